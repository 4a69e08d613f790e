"""The values that pass between the engine, the policies and the tracker: immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

_Rows = TypeVar("_Rows", bound="Rows")

CONDITIONING_SLOT = 6
"""Temporal slot of conditioning frames; the newest other memory has slot 0, the one before 1, and so on."""

MEMORY_SLOTS = 7
MAX_POINTERS = 16


@dataclass(frozen=True, eq=False)
class Features:
    """One encoded image, shared by every object, policy and rollout.

    Shapes: C = model width, h = w = model input size / 16.
    """

    map: Tensor  # [1, C, h, w], the backbone's top level
    query: Tensor  # [1, h*w, C], the top level after the memory attention's first self-attention: no memory in it yet
    high_res: tuple[Tensor, ...]  # [1, C/8, 4h, 4w], [1, C/4, 2h, 2w], already projected for the mask decoder
    video_size: tuple[int, int]  # height, width of the image as given, in pixels


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """What one frame left behind for one object. Compared by identity."""

    frame: int  # counted from the object's prompted frame, which is 0
    memory: Tensor | None  # [h*w, mem_dim] bfloat16; None when no memory was encoded
    pointer: Tensor  # [C] float32, already replaced by "no object" where the object was not visible
    predicted_iou: float
    object_score: float  # a logit: > 0 says that the object is in the picture
    area: int  # pixels of the output mask at the video's own size


@dataclass(frozen=True, eq=False)
class Prompt:
    """Extra guidance for the mask decoder on one prediction, in pixels of the model's input."""

    points: Tensor | None = None  # [n, 2] x, y
    labels: Tensor | None = None  # [n] 1 = on the object, 0 = off it, 2 and 3 = a box's two corners
    mask: Tensor | None = None  # [4h, 4w] logits of a mask at a quarter of the input size


@dataclass(frozen=True, eq=False)
class MemorySelection:
    """What one prediction attends to.

    Attributes:
        memories: (record, temporal slot) pairs, in the order in which they are attended to.
        pointers: (record, distance in frames) pairs.
        pointer_span: P; distances are divided by P - 1 before their sine encoding.
        memory_scales, pointer_scales: a factor per entry on the keys (not the values), or None.
        prompt: guidance for the mask decoder, or None.
        memory_masks: per memory which of its places count, bool [h*w] on the model's device, row by row; None = all.
            Of all memories and pointers something must count.
    """

    memories: tuple[tuple[FrameRecord, int], ...]
    pointers: tuple[tuple[FrameRecord, int], ...]
    pointer_span: int = MAX_POINTERS
    memory_scales: tuple[float, ...] | None = None
    pointer_scales: tuple[float, ...] | None = None
    prompt: Prompt | None = None
    memory_masks: tuple[Tensor | None, ...] | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch: every field is a tensor whose first dimension counts rows, or None."""

    def take(self: _Rows, rows: slice | Sequence[int]) -> _Rows:
        return type(self)(*(None if field is None else field[rows] for field in vars(self).values()))

    @classmethod
    def join(cls: type[_Rows], parts: Sequence[_Rows]) -> _Rows:
        fields = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(None if tensors[0] is None else torch.cat(tensors) for tensors in fields))


@dataclass(frozen=True, eq=False)
class Candidates(Rows):
    """The decoder's answer for a batch of rows, nothing blanked and nothing chosen yet. K is 3 for SAM 2."""

    logits: Tensor  # [rows, K, 4h, 4w] float32
    ious: Tensor  # [rows, K] predicted IoU
    tokens: Tensor  # [rows, K, C] output tokens, from which pointers are projected
    object_scores: Tensor  # [rows]


@dataclass(frozen=True, eq=False)
class Chosen(Rows):
    """One mask per row after the choice: blanked where the object was said to be absent."""

    logits: Tensor  # [rows, 4h, 4w] float32, -1024 where blanked
    pointers: Tensor  # [rows, C] float32
    object_scores: Tensor  # [rows]
    input_logits: Tensor | None = None  # [rows, S, S] in exact mode: the logits resized as stock SAM 2 resizes them


@dataclass(frozen=True)
class FixedShape:
    """A batch shape to pad to, so that a row's result does not depend on what the other rows hold.

    For that, `rows` must be 1 or a multiple of 4: BLAS computes the rows that are left over with other last bits.
    """

    rows: int
    memories: int = MEMORY_SLOTS
    pointers: int = MAX_POINTERS
