"""The contract between a memory policy and the tracker.

For every frame t = 1, 2, ... of one object the tracker asks, in this order:

1. `select(t)`   what does the prediction of frame t attend to?   (one `MemorySelection` per hypothesis)
2. `choose(t)`   which candidate mask is the output?              (one `Choice` per hypothesis that lives on)
3. `observe(t)`  how is the frame to be remembered?               (one `Encoding` per choice)
4. `store(t)`    here are the records of the frame; keep what can still be needed.

Most rules follow one hypothesis: they write `select` and `store`, and inherit the rest. A rule keeps the records that
it can still reach and nothing else; `reachable` names them. The tracker holds none, so memory stays flat on a video of
any length. A policy never sees ground truth.

Where a user corrects a frame's output after that, `correct(t)` lets the rule mend what it concluded from the frame.

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

from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.control.agent import ControlAgent
from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.engine.types import MAX_POINTERS, Candidates, Features, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About


class Encoding(Enum):
    """How a frame's mask becomes a memory."""

    NONE = "none"  # not at all: the frame leaves only its pointer and scores, and the memory encoder is not run
    SOFT = "soft"  # from its probabilities, as SAM 2 does for tracked frames
    BINARY = "binary"  # from 0 and 1, as SAM 2 does for prompted frames


@dataclass(frozen=True)
class Prediction:
    """What SAM 2 said about one frame under one selection, on the host. K candidates, unblanked.

    Attributes:
        ious: [K] predicted IoU of each candidate.
        peaks: [K] highest logit of each candidate at low resolution.
        object_score: A logit; SAM 2 takes the object to be in the picture above 0.
        boxes: [K, 4] xmin, ymin, xmax, ymax at the model's input size; None unless the policy sets `needs_boxes`.
        candidate_masks: Fetches bool [K, height, width] at the video's size. Slow: ask seldom.
        measured: [n] what `Policy.measure` said of this row; None unless the policy sets `needs_features`.
        areas: [K] pixels at the model's input size; None where `boxes` is.
        input_masks: Fetches bool [K, S, S] at the model's input size. As slow. The tracker always gives it.
    """

    ious: np.ndarray
    peaks: np.ndarray
    object_score: float
    boxes: np.ndarray | None
    candidate_masks: Callable[[], np.ndarray]
    measured: np.ndarray | None = None
    areas: np.ndarray | None = None
    input_masks: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Choice:
    """One candidate that lives on. The first choice of a frame is the tracker's output.

    Attributes:
        candidate: Which of the K candidate masks.
        visible: Whether the object is in the picture. False blanks the mask and replaces the pointer.
        hypothesis: Which of this frame's selections the candidate came from.
    """

    candidate: int
    visible: bool
    hypothesis: int = 0


@dataclass(frozen=True)
class Said:
    """What a rule that judges by itself said of the last frame's output, for the trace.

    Attributes:
        candidate: Which of the K candidates it took.
        visible: Whether it took the object to be in the picture.
        changed: Whether SAM 2's own rule would have put out something else.
        presence: How sure it is that the object is in the picture, 0 to 1.
        quality: The IoU that it expects of the candidate, 0 to 1.
    """

    candidate: int
    visible: bool
    changed: bool
    presence: float
    quality: float


@dataclass(frozen=True)
class Outcome:
    """What became of a choice: its mask at the video's size, and the logits behind it.

    Attributes:
        prediction: The one that the choice came from.
        choice: The object that `choose` returned.
        mask: bool [height, width], all False when not visible.
        area: Pixels of the mask.
        logits: float32 [4h, 4w] on the model's device, where a memory is [h, w]; -1024 everywhere when not visible.
    """

    prediction: Prediction
    choice: Choice
    mask: np.ndarray
    area: int
    logits: Tensor


@dataclass(frozen=True)
class Start:
    """An object on its prompted frame.

    Attributes:
        record: What the frame left behind. Its memory comes from the given mask.
        num_frames: Length of the video, or None for a stream, which is treated as long.
        image: uint8 [height, width, 3].
        mask: bool [height, width].
        model: The network. A policy made for one model may refuse another.
        agent: The trained agent of this object, where the policy has an `agent_source`.
        logits: float32 [4h, 4w] of the mask, on the model's device.
        control: The agent for any video, where the policy has a `control_source`.
    """

    record: FrameRecord
    num_frames: int | None
    image: np.ndarray
    mask: np.ndarray
    model: Model
    agent: Agent | None = None
    logits: Tensor | None = None
    control: ControlAgent | None = None


@dataclass(frozen=True, eq=False)
class Correction:
    """What a user made of the most recent frame's output.

    Attributes:
        record: What the frame leaves behind now. Its memory comes from the corrected mask.
        replaced: The record that `store` got for the frame's output.
        mask: bool [height, width], the corrected mask; all False where the user said what the object is not.
        box: float [4] xmin, ymin, xmax, ymax of it at the model's input size; zeros where it is empty.
        logits: float32 [4h, 4w] of it, on the model's device.
        overlap: IoU of the corrected mask with the one that it replaces, 0 to 1.
    """

    record: FrameRecord
    replaced: FrameRecord
    mask: np.ndarray
    box: np.ndarray
    logits: Tensor
    overlap: float

    @property
    def was_lost(self) -> bool:
        """Whether the output was not the object, so that frames before it are likely wrong, too."""
        return self.overlap < 0.5


class Policy(ABC):
    """A memory rule for one object. One object = one instance = one bank.

    Subclasses are dataclasses: their fields are the rule's parameters, each with a default, of type int, float, bool
    or str, and can be set by `--policy NAME:key=value,...`. A field with the metadata
    `parameters.INTERNAL` is none of them.
    """

    needs_boxes: ClassVar[bool] = False
    """Whether the rule reads `Prediction.boxes` or `Prediction.areas`."""

    needs_features: ClassVar[bool] = False
    """Whether the rule looks at features of the image, by `look` and `measure`."""

    exact: ClassVar[bool] = False
    """Whether the rule always runs in exact mode: one that was fitted to a video is fitted to its very bits."""

    math_attention: ClassVar[bool] = False
    """Whether the published code attends by PyTorch's plain kernel on a CPU; exact mode then does the same."""

    about: ClassVar[About | None] = None
    """What `sam2rl policies` says of the rule. A subclass gives its own: it is another rule."""

    takes_corrections: ClassVar[bool] = True
    """Whether a user may correct the output on a later frame. A rule fitted to a video without corrections says no."""

    pointer_span: int
    """P: how many frames the object pointers span; SAM 2 takes min(frames of the video, 16)."""

    def look(self, t: int, features: Features) -> None:  # noqa: B027  # most rules need not
        """See the image of frame t, encoded: before `begin` for frame 0, before `select` for the others."""

    def begin(self, start: Start) -> None:
        """Start on the prompted frame (frame 0)."""
        self.pointer_span = min(start.num_frames or MAX_POINTERS, MAX_POINTERS)
        self.store(0, [start.record])

    @abstractmethod
    def select(self, t: int) -> Sequence[MemorySelection]:
        """What frame t attends to: one selection per hypothesis, all of them predicted in one batch."""

    def measure(self, t: int, candidates: Candidates) -> Tensor:
        """Measure on the device what `choose` wants to know, which is told by `Prediction.measured`.

        Args:
            candidates: One row per selection, with their `maps`.

        Returns:
            float32 [selections, n], for any n.
        """
        return candidates.ious[:, :0]

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

    def correct(self, t: int, correction: Correction) -> None:  # noqa: B027  # most rules need not
        """Mend the rule's own state after a user corrected frame t, the last one that was stored.

        The tracker itself sees to it that later frames attend to the corrected frame, as to a conditioning frame, and
        no longer to any record that the policy has of it. What is left to the rule is what it concluded from the frame.
        Called again when the frame is corrected again. On the prompted frame the policy begins anew instead.
        """

    @property
    def agent_source(self) -> str | None:
        """Where the tracker finds `Start.agent`: a folder of agents or a file; "" = where the tracker is told to look.

        None = the rule has no use for an agent.
        """
        return None

    @property
    def agent_in_use(self) -> Agent | None:
        """The trained agent that decides, once the policy has begun; None for a rule without one."""
        return None

    @property
    def said(self) -> Said | None:
        """What the rule said of the last frame's output; None for a rule that does not judge by itself."""
        return None

    @property
    def control_source(self) -> str | None:
        """Where the tracker finds `Start.control`: a file that `sam2rl learn` made; "" = the shipped one of the model.

        None = the rule has no use for one.
        """
        return None

    @property
    def revises(self) -> bool:
        """Whether the output of past frames may change by `revise`. Such a policy cannot serve a stream."""
        return False

    def revise(self) -> Sequence[int]:
        """In hindsight: which choice is the output, one index a frame, for frames 1, 2, ... until now."""
        raise NotImplementedError(f"{type(self).__name__} does not revise.")


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
