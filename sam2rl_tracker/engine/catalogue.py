"""Which SAM 2 models exist and where their files are: in the package, on the Hugging Face hub, or in a folder.

A model is two files: a hydra configuration (the layout of the sam2 repository's own) and its weights. Neither is
trusted: see `configuration` and `weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sam2
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

from sam2rl_tracker.errors import Sam2rlError, first_line

PACKAGED_MODELS = Path(__file__).resolve().parents[1] / "models"
"""A folder for each model that ships inside the package."""

HUB_MODELS = {
    "sam2.1_hiera_tiny": "facebook/sam2.1-hiera-tiny",
    "sam2.1_hiera_small": "facebook/sam2.1-hiera-small",
    "sam2.1_hiera_base_plus": "facebook/sam2.1-hiera-base-plus",
    "sam2.1_hiera_large": "facebook/sam2.1-hiera-large",
}
"""Meta's models by name, and their repositories on the Hugging Face hub."""

_SAM2 = Path(sam2.__path__[0])


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's two files are.

    Attributes:
        name: As it was asked for.
        config: The hydra configuration.
        weights: A `.safetensors` or `.pt` file.
        source: Where they came from, in words.
    """

    name: str
    config: Path
    weights: Path
    source: str


def packaged_models() -> list[str]:
    """Names of the models that ship inside the package."""
    return sorted(path.parent.name for path in PACKAGED_MODELS.glob("*/config.yaml"))


def resolve_model(name: str, download: bool = True) -> ModelFiles:
    """Find a model's files by name, Hugging Face repository id (`user/repository`) or folder.

    Args:
        download: Fetch hub models that are not in the local cache; otherwise only the cache is looked at.

    Raises:
        Sam2rlError: No such model, a folder without its files, or a hub that cannot be reached.
    """
    if name in packaged_models():
        folder = PACKAGED_MODELS / name
        return ModelFiles(name, folder / "config.yaml", folder / "model.safetensors", "in the package")
    if Path(name).is_dir():
        return _resolve_folder(Path(name))
    if name not in HUB_MODELS and not _is_repository(name):
        known = ", ".join([*packaged_models(), *HUB_MODELS])
        raise Sam2rlError(
            f"Model {name!r} is unknown: give one of {known}, a Hugging Face id (user/repository), "
            "or an existing folder with config.yaml and model.safetensors."
        )
    return _resolve_repository(name, HUB_MODELS.get(name, name), download)


def hub_configuration(name: str) -> Path:
    """The configuration of one of `HUB_MODELS`. The `sam2` package holds those of Meta's models."""
    return _SAM2 / HF_MODEL_ID_TO_FILENAMES[HUB_MODELS[name]][0]


def _is_repository(name: str) -> bool:
    """Whether a name may be a Hugging Face id, and not a mistyped model or path."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/")


def _resolve_repository(name: str, repository: str, download: bool) -> ModelFiles:
    source = f"Hugging Face hub, {repository}"
    if repository in HF_MODEL_ID_TO_FILENAMES:
        config, checkpoint = HF_MODEL_ID_TO_FILENAMES[repository]
        return ModelFiles(name, _SAM2 / config, _fetch(repository, checkpoint, download), source)
    config_file = _fetch(repository, "config.yaml", download)
    return ModelFiles(name, config_file, _fetch(repository, "model.safetensors", download), source)


def _resolve_folder(folder: Path) -> ModelFiles:
    config = folder / "config.yaml"
    if not config.is_file():
        raise Sam2rlError(f"{folder} is no model folder: config.yaml is missing.")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        checkpoints = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.pt"))
        if len(checkpoints) != 1:
            raise Sam2rlError(
                f"{folder} is no model folder: expected model.safetensors (or a single .safetensors or .pt file), "
                f"found {len(checkpoints)} files of weights."
            )
        weights = checkpoints[0]
    return ModelFiles(str(folder), config, weights, "a folder")


def _fetch(repository: str, filename: str, download: bool) -> Path:
    """A hub file's local path, from the cache or by download."""
    # Imported here: it takes a while, and packaged models do not need it.
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, filename, local_files_only=True))
    except LocalEntryNotFoundError:
        if not download:
            raise Sam2rlError(f"{repository} has not been fetched: type `sam2rl model fetch {repository}`.") from None
    except HFValidationError as error:
        raise Sam2rlError(f"{repository!r} is no Hugging Face repository id ({first_line(error)}).") from error
    if constants.HF_HUB_OFFLINE:
        raise Sam2rlError(
            f"{repository} has not been fetched, and HF_HUB_OFFLINE forbids the network: unset it and type "
            f"`sam2rl model fetch {repository}`, or set HF_HOME to where it has been fetched."
        )
    try:
        return Path(hf_hub_download(repository, filename))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise Sam2rlError(
            f"{filename} of {repository} could not be fetched from the Hugging Face hub at {constants.ENDPOINT} "
            f"({type(error).__name__}: {first_line(error)}): check the name and the network, set HF_ENDPOINT to a "
            "mirror, or put config.yaml and the weights into a folder and give that folder as the model."
        ) from error
