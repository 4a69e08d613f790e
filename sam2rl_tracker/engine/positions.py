"""Position encodings, computed once.

A model's input size and weights are fixed, and so are its position encodings. The stock modules compute them again for
each image, so the engine computes them once and runs modules that do not.

The network that an engine is given may have other users: another engine, training, stock SAM 2. It is therefore never
changed. The engine runs a twin of it, whose modules are its own and whose weights are the network's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sam2rl_tracker.engine.model import Network
from sam2rl_tracker.engine.operations import to_tokens


@dataclass(frozen=True, eq=False)
class FixedPositions:
    """A network that computes no position encodings, and what they would be. h = w = the input size / 16.

    Attributes:
        network: A twin of the given one, around the same weights.
        image: [1, h*w, C] of an image's top features.
        memory: [slots, h*w, D] of a memory in each temporal slot: spatial + temporal.
    """

    network: Network
    image: Tensor
    memory: Tensor


def fix_positions(network: Network) -> FixedPositions:
    """Compute the position encodings of a network for its input size. The network itself stays as it is."""
    twin = _twin(network)
    neck, trunk, encoder = twin.image_encoder.neck, twin.image_encoder.trunk, twin.memory_encoder
    size, side = network.image_size, network.image_size // network.backbone_stride
    pixels = torch.zeros(1, 3, size, size, device=network.no_mem_embed.device)
    for module in (neck, encoder):
        module.position_encoding.cache = {}  # the twin's own: the stock module keeps there what it has computed
    image = to_tokens(neck.position_encoding(pixels.new_zeros(1, network.hidden_dim, side, side)))
    memory = to_tokens(encoder.position_encoding(pixels.new_zeros(1, network.mem_dim, side, side)))
    embedding = trunk._get_pos_embed(trunk.patch_embed(pixels).shape[1:3])

    trunk._get_pos_embed = lambda grid: embedding
    neck.position_encoding = encoder.position_encoding = _NoPositions()
    return FixedPositions(twin, image, memory + network.maskmem_tpos_enc[:, 0])


class _NoPositions(nn.Module):
    """Stands where a stock module would compute position encodings that the engine has already."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.new_empty(0)


def _twin(module: Any) -> Any:
    """A module of its own, and so all that are in it, around the same parameters and buffers.

    What is set on the twin does not reach the original. Stock SAM 2 itself sets attributes while it runs: its rotary
    attention replaces its table of rotations (`freqs_cis`) when the image's size is not the configuration's.
    """
    twin = copy.copy(module)
    twin._modules = {name: None if child is None else _twin(child) for name, child in module._modules.items()}
    return twin
