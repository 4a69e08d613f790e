"""The contract between a memory policy and the tracker.

For every frame t = 1, 2, ... of one object the tracker asks, in this order:

1. `select(t)`   what does the prediction of frame t attend to?   (one `MemorySelection` per hypothesis)
2. `choose(t)`   which candidate mask is the output?              (one `Choice` per hypothesis that lives on)
3. `observe(t)`  how is the frame to be remembered?               (one `Encoding` per choice)
4. `store(t)`    here are the records of the frame; keep what can still be needed.

Most rules follow one hypothesis: they write `select` and `store`, and inherit the rest. A rule keeps the records that
it can still reach and nothing else; `reachable` names them. The tracker holds none, so memory stays flat on a video of
any length. A policy never sees ground truth.

A rule that judges a frame only in the light of later ones says so by `revises`; at the end of the video `revise` names
the choices that were right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from torch import Tensor

from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.engine.types import MAX_POINTERS, FrameRecord, MemorySelection


class Encoding(Enum):
    """How a frame's mask becomes a memory."""

    NONE = "none"  # not at all: the frame leaves only its pointer and scores, and the memory encoder is not run
    SOFT = "soft"  # from its probabilities, as SAM 2 does for tracked frames
    BINARY = "binary"  # from 0 and 1, as SAM 2 does for prompted frames


@dataclass(frozen=True)
class Prediction:
    """What SAM 2 said about one frame under one selection, on the host. K candidates, unblanked."""

    ious: np.ndarray  # [K] predicted IoU
    peaks: np.ndarray  # [K] highest logit of each candidate at low resolution
    object_score: float  # logit
    boxes: np.ndarray | None  # [K, 4] xmin, ymin, xmax, ymax at the model's input size, where the policy needs them
    candidate_masks: Callable[[], np.ndarray]  # fetches bool [K, height, width] at the video's size: slow, ask seldom


@dataclass(frozen=True)
class Choice:
    """One candidate that lives on. The first choice of a frame is the tracker's output."""

    candidate: int
    visible: bool  # False blanks the mask and replaces the pointer
    hypothesis: int = 0  # which of this frame's selections it came from


@dataclass(frozen=True)
class Outcome:
    """What became of a choice: its mask at the video's size, and the logits behind it."""

    prediction: Prediction
    choice: Choice
    mask: np.ndarray  # bool [height, width], all False when not visible
    area: int  # pixels
    logits: Tensor  # [4h, 4w] float32 on the model's device (h, w: of a memory), -1024 everywhere when not visible


@dataclass(frozen=True)
class Start:
    """An object on its prompted frame."""

    record: FrameRecord
    num_frames: int | None  # length of the video if known; a stream does not know it, and is treated as long
    image: np.ndarray  # uint8 [height, width, 3]
    mask: np.ndarray  # bool [height, width]
    model: Model  # the network: policies made for one model may refuse another


class Policy(ABC):
    """A memory rule for one object. One object = one instance = one bank.

    Subclasses are dataclasses: their fields are the rule's parameters, each with a default, of type int, float, bool
    or str, and can be set by `--policy NAME:key=value,...`.
    """

    needs_boxes: ClassVar[bool] = False
    """Whether `choose` reads `Prediction.boxes`."""

    exact: ClassVar[bool] = False
    """Whether the rule always runs in exact mode: one that was fitted to a video is fitted to its very bits."""

    math_attention: ClassVar[bool] = False
    """Whether the published code attends by PyTorch's plain kernel on a CPU; exact mode then does the same."""

    pointer_span: int
    """P: how many frames the object pointers span; SAM 2 takes min(frames of the video, 16)."""

    def begin(self, start: Start) -> None:
        """Start on the prompted frame (frame 0)."""
        self.pointer_span = min(start.num_frames or MAX_POINTERS, MAX_POINTERS)
        self.store(0, [start.record])

    @abstractmethod
    def select(self, t: int) -> Sequence[MemorySelection]:
        """What frame t attends to: one selection per hypothesis, all of them predicted in one batch."""

    def choose(self, t: int, predictions: Sequence[Prediction]) -> Sequence[Choice]:
        """Which candidates live on; the first is the output. SAM 2's rule: the highest predicted IoU."""
        return [
            Choice(int(prediction.ious.argmax()), prediction.object_score > 0, hypothesis)
            for hypothesis, prediction in enumerate(predictions)
        ]

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> Sequence[Encoding]:
        """How each choice is to be remembered."""
        return [Encoding.SOFT] * len(outcomes)

    @abstractmethod
    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        """Take the records of frame t, one per choice, and forget those that can no longer be selected."""

    @abstractmethod
    def reachable(self) -> Collection[FrameRecord]:
        """Every record that some future `select` may still name."""

    @property
    def revises(self) -> bool:
        """Whether the output of past frames may change by `revise`. Such a policy cannot serve a stream."""
        return False

    def revise(self) -> Sequence[int]:
        """In hindsight: which choice is the output, one index a frame, for frames 1, 2, ... until now."""
        raise NotImplementedError(f"{type(self).__name__} does not revise")


class PointerWindow:
    """SAM 2's object pointers: the prompted frame's, then the last P - 1 frames', newest first."""

    def __init__(self, prompted: FrameRecord, span: int):
        self.span = span
        self.prompted = prompted
        self.recent: list[FrameRecord] = []  # newest first

    def add(self, record: FrameRecord) -> None:
        self.recent = [record, *self.recent][: self.span - 1]

    def pairs(self, t: int) -> tuple[tuple[FrameRecord, int], ...]:
        return tuple((record, t - record.frame) for record in [self.prompted, *self.recent])
