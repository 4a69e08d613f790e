"""Which SAM 2 models exist, where their files are, and how they become a network.

A model is a hydra configuration (the layout of the sam2 repository's own) and a file of weights. Neither is trusted:
weights are read as tensors only, and a configuration may name nothing but SAM 2's own classes.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError
from safetensors.torch import load_file
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES
from sam2.modeling.sam2_base import SAM2Base
from torch import nn

from sam2rl_tracker.errors import Sam2rlError

PACKAGED_MODELS = Path(__file__).resolve().parents[1] / "models"

HUB_MODELS = {
    "sam2.1_hiera_tiny": "facebook/sam2.1-hiera-tiny",
    "sam2.1_hiera_small": "facebook/sam2.1-hiera-small",
    "sam2.1_hiera_base_plus": "facebook/sam2.1-hiera-base-plus",
    "sam2.1_hiera_large": "facebook/sam2.1-hiera-large",
}

# What the official builder adds to every configuration (`sam2.build_sam`, apply_postprocessing); the YAML lacks it.
# Its hole filling is left out: it needs a CUDA extension that most installs do not have, and changes masks.
BUILDER_FLAGS = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}

ALLOWED_TARGETS = frozenset(
    f"sam2.{name}"
    for name in (
        "sam2_video_predictor.SAM2VideoPredictor",
        "modeling.sam2_base.SAM2Base",
        "modeling.backbones.hieradet.Hiera",
        "modeling.backbones.image_encoder.FpnNeck",
        "modeling.backbones.image_encoder.ImageEncoder",
        "modeling.memory_attention.MemoryAttention",
        "modeling.memory_attention.MemoryAttentionLayer",
        "modeling.memory_encoder.CXBlock",
        "modeling.memory_encoder.Fuser",
        "modeling.memory_encoder.MaskDownSampler",
        "modeling.memory_encoder.MemoryEncoder",
        "modeling.position_encoding.PositionEmbeddingSine",
        "modeling.sam.transformer.RoPEAttention",
    )
)


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's two files are. `source` says in words where they came from."""

    name: str
    config: Path
    weights: Path
    source: str


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded network on a device, in evaluation mode."""

    name: str
    network: SAM2Base
    config: DictConfig
    device: torch.device

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the names and values of all weights, 16 hex digits: the model's identity in records."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())


def resolve_device(name: str | None) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps`; None takes the best one there is."""
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Sam2rlError(f"device {name!r} is unknown: give cpu, cuda, cuda:N or mps") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        there = ", ".join(kind for kind, usable in available.items() if usable)
        raise Sam2rlError(f"device {name!r} is not usable on this machine: what is there is {there}")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise Sam2rlError(f"device {name!r} does not exist: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def packaged_models() -> list[str]:
    """Names of the models that ship inside the package."""
    return sorted(path.parent.name for path in PACKAGED_MODELS.glob("*/config.yaml"))


def resolve_model(name: str, download: bool = True) -> ModelFiles:
    """Find a model's files by name, Hugging Face repository id (`user/repository`) or folder.

    Args:
        download: fetch hub models that are not in the local cache; otherwise only the cache is looked at.

    Raises:
        Sam2rlError: no such model, a folder without its files, or a hub that cannot be reached.
    """
    if name in packaged_models():
        folder = PACKAGED_MODELS / name
        return ModelFiles(name, folder / "config.yaml", folder / "model.safetensors", "in the package")
    if Path(name).is_dir():
        return _resolve_folder(Path(name))
    repository = HUB_MODELS.get(name, name)
    if name not in HUB_MODELS and (name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/")):
        known = ", ".join([*packaged_models(), *HUB_MODELS])
        raise Sam2rlError(
            f"model {name!r} is unknown: give one of {known}, a Hugging Face id (user/repository), "
            "or an existing folder with config.yaml and model.safetensors"
        )
    source = f"Hugging Face hub, {repository}"
    if repository in HF_MODEL_ID_TO_FILENAMES:
        config, checkpoint = HF_MODEL_ID_TO_FILENAMES[repository]
        return ModelFiles(name, Path(sam2.__path__[0]) / config, _fetch(repository, checkpoint, download), source)
    config_file = _fetch(repository, "config.yaml", download)
    return ModelFiles(name, config_file, _fetch(repository, "model.safetensors", download), source)


def load_model(name: str = "nano", device: str | torch.device | None = None) -> Model:
    """Load a model by name, Hugging Face id or folder onto a device (None: the best there is).

    Raises:
        Sam2rlError: unknown model or device, unreadable files, or weights that do not fit the configuration.
    """
    target = device if isinstance(device, torch.device) else resolve_device(device)
    files = resolve_model(name)
    config = read_config(files.config)
    network = build_network(config)
    load_weights(network, read_weights(files.weights), files.weights)
    return Model(files.name, network.to(target).eval(), config, target)


def random_model(
    config: str, device: str | torch.device | None = None, seed: int = 0, input_size: int | None = None
) -> Model:
    """A network of a named hub model's real size with random weights: for tests and speed, never for tracking.

    Args:
        config: one of `HUB_MODELS`.
        input_size: another side of the input than the configuration's, in pixels.

    Raises:
        Sam2rlError: an input size that is no multiple of 32, the stride of the last features.
    """
    target = device if isinstance(device, torch.device) else resolve_device(device)
    settings = read_config(Path(sam2.__path__[0]) / HF_MODEL_ID_TO_FILENAMES[HUB_MODELS[config]][0])
    if input_size is not None:
        if input_size < 32 or input_size % 32:
            raise Sam2rlError(f"an input size is a multiple of 32 pixels, not {input_size}")
        settings.model.image_size = input_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(settings)
    return Model(f"{config}-random-{seed}", network.to(target).eval(), settings, target)


def read_config(path: Path) -> DictConfig:
    """Read a hydra configuration, with the official builder's flags set.

    Raises:
        Sam2rlError: not a SAM 2 configuration, or one that names anything but SAM 2's classes.
    """
    try:
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig) or "model" not in config:
            raise Sam2rlError(f"{path} is no SAM 2 configuration: it has no section `model`")
        config = OmegaConf.merge(config, {"model": BUILDER_FLAGS})
        OmegaConf.resolve(config)
    except Sam2rlError:
        raise
    except (OmegaConfBaseException, OSError, UnicodeDecodeError, ValueError) as error:
        raise Sam2rlError(f"{path} cannot be read as a configuration: {_first_line(error)}") from error
    except Exception as error:  # yaml's errors, which omegaconf passes on, have no common public parent
        raise Sam2rlError(f"{path} is not valid YAML: {_first_line(error)}") from error
    assert isinstance(config, DictConfig)
    trunk = OmegaConf.select(config, "model.image_encoder.trunk")
    if isinstance(trunk, DictConfig):
        trunk.pop("weights_path", None)  # SAM 2 would unpickle that file; the weights come in our own file
    for name in _targets(OmegaConf.to_container(config.model)):
        # `_target_` may name any callable of any module: a configuration from a stranger could run anything.
        # A prefix would not do: `sam2.modeling.sam2_base.torch.load` resolves too.
        if name not in ALLOWED_TARGETS:
            raise Sam2rlError(f"{path} names {name!r}: only SAM 2's own classes are allowed in a model configuration")
    return config


def build_network(config: DictConfig, target: str = "sam2.modeling.sam2_base.SAM2Base") -> SAM2Base:
    """Instantiate the network of a configuration, without weights."""
    settings = OmegaConf.merge(config.model, {"_target_": target, "compile_image_encoder": False})
    try:
        return instantiate(settings, _recursive_=True)
    except Exception as error:  # hydra wraps whatever a constructor raised
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise Sam2rlError(f"the model configuration cannot be built: {_first_line(cause)}") from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a `.safetensors` or `.pt` file of weights as tensors; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise Sam2rlError(
            f"{path} was refused: it is not a plain file of weights (it holds other objects or code), "
            "so nothing in it was run; get the weights as .safetensors"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise Sam2rlError(f"{path} cannot be read as weights: {_first_line(error)}") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):  # the layout of Meta's checkpoints
        content = content["model"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise Sam2rlError(f"{path} is no state dictionary: expected tensors by name")
    return content


def load_weights(network: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Copy weights into a network; every name and shape must fit."""
    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    reshaped = sorted(name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape)
    if missing or unexpected or reshaped:
        example = (
            f"{reshaped[0]} is {list(weights[reshaped[0]].shape)} instead of {list(expected[reshaped[0]].shape)}"
            if reshaped
            else f"{(missing or unexpected)[0]} is {'missing' if missing else 'not in the configuration'}"
        )
        raise Sam2rlError(
            f"{path} does not fit its configuration: {len(missing)} weights missing, {len(unexpected)} unknown, "
            f"{len(reshaped)} of another shape (for example {example})"
        )
    network.load_state_dict(weights)


def _resolve_folder(folder: Path) -> ModelFiles:
    config = folder / "config.yaml"
    if not config.is_file():
        raise Sam2rlError(f"{folder} is no model folder: config.yaml is missing")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        checkpoints = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.pt"))
        if len(checkpoints) != 1:
            raise Sam2rlError(
                f"{folder} is no model folder: expected model.safetensors (or a single .safetensors or .pt file), "
                f"found {len(checkpoints)} files of weights"
            )
        weights = checkpoints[0]
    return ModelFiles(str(folder), config, weights, "a folder")


def _fetch(repository: str, filename: str, download: bool) -> Path:
    """A hub file's local path, from the cache or by download."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, filename, local_files_only=True))
    except LocalEntryNotFoundError:
        if not download:
            raise Sam2rlError(f"{repository} has not been fetched: sam2rl model fetch {repository}") from None
    except HFValidationError as error:
        raise Sam2rlError(f"{repository!r} is no Hugging Face repository id: {_first_line(error)}") from error
    try:
        return Path(hf_hub_download(repository, filename))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise Sam2rlError(
            f"{filename} of {repository} could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}: {_first_line(error)}); check the name and the network, or put config.yaml and "
            "the weights into a folder and give that folder as the model"
        ) from error


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield str(value)
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
