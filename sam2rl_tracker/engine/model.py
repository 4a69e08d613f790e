"""A loaded network on a device: from a name to a `Model`.

`catalogue` finds a model's two files, `configuration` builds its network, `weights` fills it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from omegaconf import DictConfig
from sam2.modeling.sam2_base import SAM2Base

from sam2rl_tracker.engine.catalogue import hub_configuration, resolve_model
from sam2rl_tracker.engine.configuration import build_network, read_config
from sam2rl_tracker.engine.devices import resolve_device
from sam2rl_tracker.engine.weights import load_weights, read_weights
from sam2rl_tracker.errors import Sam2rlError

Network: TypeAlias = SAM2Base
"""SAM 2's modules and weights."""

STRIDE = 32
"""Pixels of the input per place of the image encoder's last features."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded network on a device, in evaluation mode. Nobody who is given one changes it.

    Attributes:
        name: As it was asked for; it stands in records.
        network: SAM 2's modules with their weights.
        config: The configuration that the network was built from.
        device: Where the weights are.
    """

    name: str
    network: Network
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
        """How many numbers the network has learned."""
        return sum(parameter.numel() for parameter in self.network.parameters())


def load_model(name: str = "nano", device: str | torch.device | None = None) -> Model:
    """Load a model by name, Hugging Face id or folder onto a device (None: the best there is).

    Raises:
        Sam2rlError: Unknown model or device, unreadable files, or weights that do not fit the configuration.
    """
    target = resolve_device(device)
    files = resolve_model(name)
    config = read_config(files.config)
    network = build_network(config)
    load_weights(network, read_weights(files.weights), files.weights)
    return Model(files.name, network.to(target).eval(), config, target)


def random_model(
    name: str, device: str | torch.device | None = None, seed: int = 0, input_size: int | None = None
) -> Model:
    """A network of a named hub model's real size with random weights: for tests and speed, never for tracking.

    Args:
        name: One of `HUB_MODELS`.
        input_size: Another side of the input than the configuration's, in pixels.

    Raises:
        Sam2rlError: An input size that is no multiple of the encoder's stride, or an unknown device.
    """
    target = resolve_device(device)
    config = read_config(hub_configuration(name))
    if input_size is not None:
        if input_size < STRIDE or input_size % STRIDE:
            raise Sam2rlError(f"An input size is a multiple of {STRIDE} pixels, not {input_size}.")
        config.model.image_size = input_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config)
    return Model(f"{name}-random-{seed}", network.to(target).eval(), config, target)
