"""The image encoder of small models as a recorded list of operations.

Where images are small, Python takes as long to call the operations as the processor to do them. A recorded encoder
gives the same bits without Python, so that a thread may encode the next image while another tracks the last.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sam2rl_tracker.engine.model import Model

Encode = Callable[[Tensor], tuple[Tensor, ...]]
"""Normalised pixels [1, 3, S, S] -> maps of each level [1, ., ., .], finest first."""


_ENCODERS: WeakKeyDictionary[Model, dict[Hashable, Encoder]] = WeakKeyDictionary()


def shared_encoder(model: Model, kind: Hashable, network: nn.Module, record_after: int | None) -> Encoder:
    """The encoder that all engines of one kind share: PyTorch never frees a recording, and each tracker has an engine.

    Args:
        model: That the engines were given.
        kind: What makes engines' networks differ beside the weights.
        network: An engine's.
        record_after: As `Encoder` takes it.
    """
    encoders = _ENCODERS.setdefault(model, {})
    if kind not in encoders:
        encoders[kind] = Encoder(network, record_after)
    return encoders[kind]


class Encoder(nn.Module):
    """A network's image encoder; it records itself after some images, as that takes as long as encoding sixty.

    Args:
        network: Whose.
        record_after: Images; None = never.
    """

    def __init__(self, network: Any, record_after: int | None):
        super().__init__()
        self._maps = _Maps(network)
        self._left = record_after
        self._recorded: Encode | None = None

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """As `Encode`."""
        if self._recorded is not None:
            return self._recorded(pixels)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._recorded = _record(self._maps, pixels)
        return self._maps(pixels)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recorded": None, "_left": None}  # a copy does without


class _Maps(nn.Module):
    def __init__(self, network: Any):
        super().__init__()
        self._network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._network.forward_image(pixels)["backbone_fpn"])


def _record(module: nn.Module, pixels: Tensor) -> Encode:
    with warnings.catch_warnings():
        # What depends on sizes alone is recorded as it is for these: an engine's images have one size.
        warnings.simplefilter("ignore")
        return torch.jit.trace(module, pixels, check_trace=False, strict=False)
