"""Looks: what masks show, as features of the image averaged over them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.engine import Features
from sam2rl_tracker.engine.types import Rows

_SOFT = 1e-3  # places, so that an empty mask has a look, too: nearly zero


@dataclass(frozen=True, eq=False)
class Looks(Rows):
    """What masks show. `...` is [rows] or [rows, K].

    Attributes:
        vector: [..., L] all there is to compare, level by level: see `LookParts`.
        inside: [..., A] the image's features inside, less their mean over the image.
        outside: [..., A] the same in a ring around it.
        pointer: [..., C] what the decoder says it is.
    """

    vector: Tensor
    inside: Tensor
    outside: Tensor
    pointer: Tensor


@dataclass(frozen=True)
class LookParts:
    """Where the parts of `Looks.vector` stand.

    Attributes:
        image: Features of the image, of all levels, and texture.
        pointer: What the decoder says the mask is.
        attended: The image's features after memory attention.
    """

    image: slice
    pointer: slice
    attended: slice

    @property
    def size(self) -> int:
        """L, the length of the vector."""
        return int(self.attended.stop)


def look_parts(channels: int, high_res: tuple[int, ...]) -> LookParts:
    """The parts of a look of a model of width C whose finer levels have so many channels."""
    levels = [*high_res, channels]
    image = sum(levels) + levels[0]
    return LookParts(slice(0, image), slice(image, image + channels), slice(image + channels, image + 2 * channels))


def look_at(features: Features, logits: Tensor, pointers: Tensor, maps: Tensor) -> Looks:
    """The looks of masks.

    Args:
        features: Of the images: one for all rows, or one for each.
        logits: [rows, K, 4h, 4w].
        pointers: [rows, K, C].
        maps: [rows, C, h, w] the image's features after memory attention.
    """
    weight = torch.sigmoid(logits)
    ring = (F.max_pool2d(weight, 5, stride=1, padding=2) - weight).clamp(min=0)
    inside, outside, vectors = [], [], []
    for index, level in enumerate([*features.high_res, features.map]):
        mine, around = _fit(weight, level), _fit(ring, level)
        middle = level.float().mean(dim=(2, 3))[:, None]  # [rows or 1, 1, channels]
        mean = _mean(level, mine)
        inside.append(mean - middle)
        outside.append(_mean(level, around) - middle)
        vectors.append(mean)
        if index == 0:  # the finest level's spread is texture
            vectors.append((_mean(level.float().square(), mine) - mean.square()).clamp(min=0).sqrt())
    vectors += [pointers, _mean(maps, _fit(weight, maps))]
    return Looks(torch.cat(vectors, dim=-1), torch.cat(inside, dim=-1), torch.cat(outside, dim=-1), pointers)


def _fit(weight: Tensor, level: Tensor) -> Tensor:
    """Weights [rows, K, 4h, 4w] at a level's own size."""
    if weight.shape[-2:] == level.shape[-2:]:
        return weight
    return F.adaptive_avg_pool2d(weight, (level.shape[-2], level.shape[-1]))


def _mean(level: Tensor, weight: Tensor) -> Tensor:
    """Mean of [rows or 1, c, h, w] under weights [rows, K, h, w] -> [rows, K, c]."""
    flat, values = weight.flatten(2), level.float().flatten(2).transpose(1, 2)
    return flat @ values / (flat.sum(dim=-1, keepdim=True) + _SOFT)
