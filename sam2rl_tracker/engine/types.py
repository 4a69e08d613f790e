"""The values that pass between the engine, the policies and the tracker. All are immutable.

Letters in shapes: C = model width, D = memory width, S = the model's input size, h = w = S / 16, K = 3 candidates.
"""

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
"""Memories that one prediction attends to at most: a conditioning frame's and six others."""

MAX_POINTERS = 16
"""Pointers that stock SAM 2 attends to at most."""


@dataclass(frozen=True, eq=False)
class Features:
    """One encoded image, shared by every object, policy and rollout.

    Attributes:
        map: [1, C, h, w] the backbone's top level.
        positions: [1, h*w, C] position encodings of its places, the same for every image.
        query: [1, h*w, C] the top level after memory attention's first self-attention. No memory is in it yet.
        high_res: [1, C/8, 4h, 4w] and [1, C/4, 2h, 2w], already projected for the mask decoder.
        video_size: Height and width of the image as given, in pixels.
    """

    map: Tensor
    positions: Tensor
    query: Tensor
    high_res: tuple[Tensor, ...]
    video_size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """What one frame left behind for one object. Compared by identity.

    Attributes:
        frame: Counted from the object's prompted frame, which is 0.
        memory: [h*w, D] bfloat16, or None when no memory was encoded.
        pointer: [C] float32, already replaced by the "no object" pointer where the object was not visible.
        predicted_iou: What the network thinks of its mask, 0 to 1. Higher values say that it fits better.
        object_score: A logit. Values above 0 say that the object is in the picture.
        area: Pixels of the output mask at the video's own size.
    """

    frame: int
    memory: Tensor | None
    pointer: Tensor
    predicted_iou: float
    object_score: float
    area: int


@dataclass(frozen=True, eq=False)
class Prompt:
    """Extra guidance for the mask decoder on one prediction.

    Attributes:
        points: [n, 2] x, y in pixels of the model's input, or None.
        labels: [n] what each point says: 1 = on the object, 0 = off it, 2 and 3 = a box's two corners.
        mask: [4h, 4w] logits of a mask at a quarter of the input size, or None.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True, eq=False)
class MemorySelection:
    """What one prediction attends to.

    Attributes:
        memories: (record, temporal slot) pairs, in the order in which they are attended to.
        pointers: (record, distance in frames) pairs.
        pointer_span: Distances are divided by it, less 1, before their sine encoding. Higher values make pointers look
            closer in time.
        memory_scales: A factor per memory on its keys (not its values), or None. Higher values make attention to it
            more decided, for and against.
        pointer_scales: The same per pointer, or None.
        prompt: Guidance for the mask decoder, or None.
        memory_masks: Per memory which of its places count, bool [h*w] on the model's device, row by row; None = all.
            Of all memories and pointers something must count.
    """

    memories: tuple[tuple[FrameRecord, int], ...]
    pointers: tuple[tuple[FrameRecord, int], ...]
    pointer_span: int = MAX_POINTERS
    memory_scales: tuple[float, ...] | None = None
    pointer_scales: tuple[float, ...] | None = None
    prompt: Prompt | None = None
    memory_masks: tuple[Tensor | None, ...] | None = None

    @property
    def bank(self) -> tuple[object, ...]:
        """What memory attention sees of it: two selections with equal banks differ in their prompts at most."""
        scales = (self.memory_scales, self.pointer_scales)
        return (self.memories, self.pointers, self.pointer_span, *scales, self.memory_masks)


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch: every field is a tensor whose first dimension counts rows, or None."""

    def take(self: _Rows, rows: slice | Sequence[int]) -> _Rows:
        """Some of the rows, in the order given."""
        return type(self)(**{name: None if field is None else field[rows] for name, field in vars(self).items()})

    @classmethod
    def join(cls: type[_Rows], parts: Sequence[_Rows]) -> _Rows:
        """The rows of one batch after those of another; at least one batch."""
        tensors = {name: [vars(part)[name] for part in parts] for name in vars(parts[0])}
        return cls(**{name: None if each[0] is None else torch.cat(each) for name, each in tensors.items()})


@dataclass(frozen=True, eq=False)
class Candidates(Rows):
    """The decoder's answer for a batch of rows, nothing blanked and nothing chosen yet.

    Attributes:
        logits: [rows, K, 4h, 4w] float32.
        ious: [rows, K] predicted IoUs.
        tokens: [rows, K, C] output tokens, from which pointers are projected.
        object_scores: [rows] logits.
        maps: [rows, C, h, w] the image's features after memory attention, where they were asked for; else None.
    """

    logits: Tensor
    ious: Tensor
    tokens: Tensor
    object_scores: Tensor
    maps: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Masks(Rows):
    """One mask per row, blanked where the object was said to be absent: what a memory is encoded from.

    Attributes:
        logits: [rows, 4h, 4w] float32, -1024 where blanked.
        object_scores: [rows] logits.
        input_logits: [rows, S, S] the logits as stock SAM 2 resizes them, in exact mode; else None.
    """

    logits: Tensor
    object_scores: Tensor
    input_logits: Tensor | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Chosen(Masks):
    """The masks of a choice, and what else the choice left.

    Attributes:
        pointers: [rows, C] float32.
    """

    pointers: Tensor


@dataclass(frozen=True)
class FixedShape:
    """A batch shape to pad to, so that a row's result does not depend on what the other rows hold.

    Attributes:
        rows: Rows of the batch, 1 or a multiple of 4: BLAS computes the rows that are left over with other last bits.
        memories: Memories of each row. Higher values cost time, whether a row has them or not.
        pointers: Pointers of each row, likewise.
    """

    rows: int
    memories: int = MEMORY_SLOTS
    pointers: int = MAX_POINTERS
