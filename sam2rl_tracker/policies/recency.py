"""SAM 2's own rule: remember the last six frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sam2rl_tracker.engine.types import CONDITIONING_SLOT, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import PointerWindow, Policy, Start


def ranked(prompted: Sequence[FrameRecord], recent: Sequence[FrameRecord]) -> tuple[tuple[FrameRecord, int], ...]:
    """Memories with their temporal slots: conditioning frames first, then the others from oldest to newest.

    Args:
        recent: At most six other memories, newest first; slot 0 is the newest (by rank, not by distance in time).
    """
    others = [(record, slot) for slot, record in enumerate(recent)]
    return (*((record, CONDITIONING_SLOT) for record in prompted), *reversed(others))


def by_place(prompted: FrameRecord, recent: Sequence[FrameRecord], t: int) -> tuple[tuple[FrameRecord, int], ...]:
    """Pointers whose distance is the place in a list, not in time; only the prompted frame's is t.

    Args:
        recent: The others, newest first.
    """
    return ((prompted, t), *((record, place) for place, record in enumerate(recent, start=1)))


@dataclass
class Recency(Policy):
    """The prompted frame and the six frames before the current one; pointers of the last fifteen.

    Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos" (arXiv:2408.00714), as in
    `SAM2VideoPredictor` of the `sam2` package; equal to it mask for mask in exact mode.
    """

    about: ClassVar[About] = About(
        title="SAM 2",
        basis=Basis.CODE,
        compared="SAM2VideoPredictor of sam2 1.1.0",
        paper="Ravi et al., arXiv:2408.00714",
        attends="The prompted frame and frames t-6 to t-1; pointers of the prompted frame and of the last fifteen.",
        remembers="Every frame, whether it shows the object or not, until six newer ones are there.",
    )

    def begin(self, start: Start) -> None:
        self._recent: list[FrameRecord] = []  # newest first
        super().begin(start)

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            self._pointers = PointerWindow(record, self.pointer_span)
        else:
            self._recent = [record, *self._recent][: MEMORY_SLOTS - 1]
            self._pointers.add(record)

    def select(self, t: int) -> list[MemorySelection]:
        memories = ranked([self._prompted], self._recent)
        return [MemorySelection(memories, self._pointers.pairs(t), self.pointer_span)]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._recent, *self._pointers.recent}
