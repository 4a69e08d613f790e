"""SAM 3's memory rule, on SAM 2: remember the frames on which the object was surely seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sam2rl_tracker.engine.types import MAX_POINTERS, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Correction, Policy, Start
from sam2rl_tracker.policies.recency import by_place, ranked

_MAX_KEPT = MAX_POINTERS - 1  # good frames after which the walk back through the video stops


@dataclass
class Sam3(Policy):
    """SAM 3's memory rule (on SAM 2): the newest frames on which the object was surely seen.

    Source: Carion et al., "SAM 3: Segment Anything with Concepts" (arXiv:2511.16719); the published code's memory
    selection (facebookresearch/sam3 at 99d02f2, `use_memory_selection`, which its video model turns on), with its
    default.

    Only the rule is SAM 3's; the network is the SAM 2 that was loaded. Each object decides for itself. The published
    code takes one decision for all objects that were prompted on the same frame, by the mean of their scores, so that
    a frame is kept or dropped for all of them; with one object the two are the same.

    Quirks of the published code, kept: the frame before the current one is always attended to, good or not. Pointers
    count places in the list of frames, not frames, and the oldest frame of the list has none.

    Attributes:
        iou_threshold: A frame is remembered when its predicted IoU, times how surely the object is there (0 at an
            object score of 0, 1 at a high one), is above this. Higher values remember fewer frames.
    """

    iou_threshold: float = 0.01

    about: ClassVar[About] = About(
        title="SAM 3's memory rule (on SAM 2)",
        basis=Basis.CODE,
        compared="for one object; the published code decides for all objects at once",
        paper="Carion et al., arXiv:2511.16719",
        attends="The prompted frame, frame t-1 and the newest remembered ones, seven in all; pointers of the "
        "prompted frame and of up to fifteen of the others, whose distance is their place in the list.",
        remembers="Frames whose predicted IoU, times how surely the object is there, is above 0.01.",
        corrected="The frame joins the prompted one as a conditioning frame. It takes no place among the remembered. "
        "Where the object was lost, those are forgotten.",
    )

    def begin(self, start: Start) -> None:
        self._good: list[FrameRecord] = []  # newest first
        self._newest: FrameRecord | None = None  # frame t-1
        super().begin(start)

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            return
        self._newest = record
        if _score(record) > self.iou_threshold:
            self._good = [record, *self._good][:_MAX_KEPT]

    def select(self, t: int) -> list[MemorySelection]:
        frames = self._frames()
        memories = ranked([self._prompted], frames[: MEMORY_SLOTS - 1])
        return [MemorySelection(memories, by_place(self._prompted, frames[:-1], t), self.pointer_span)]

    def correct(self, t: int, correction: Correction) -> None:
        # It is a conditioning frame now, and needs no place among the others.
        self._good = [] if correction.was_lost else [record for record in self._good if record.frame != t]
        self._newest = None

    def _frames(self) -> list[FrameRecord]:
        """What is remembered beside the prompted frame, newest first: frame t-1 always, then the good ones."""
        if self._newest is None or self._newest in self._good:
            return self._good
        return [self._newest, *self._good]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._frames()}


def _score(record: FrameRecord) -> np.float32:
    """How good a memory the frame makes, 0 to 1, in float32 as in the published code."""
    score = max(np.float32(0), np.float32(record.object_score))  # below, the published score is 0, too
    return (2 / (1 + np.exp(-score)) - 1) * np.float32(record.predicted_iou)
