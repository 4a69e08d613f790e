"""A loaded network on a device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sam2
import torch
from omegaconf import DictConfig
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES
from sam2.modeling.sam2_base import SAM2Base

from sam2rl_tracker.engine.catalogue import HUB_MODELS, resolve_model
from sam2rl_tracker.engine.configuration import build_network, read_config
from sam2rl_tracker.engine.weights import load_weights, read_weights
from sam2rl_tracker.errors import Sam2rlError


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
