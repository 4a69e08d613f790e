"""DAM4SAM's rule: a second memory for frames that tell the target from a distractor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

from sam2rl_tracker.engine.types import MAX_POINTERS, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Correction, Encoding, Outcome, Start
from sam2rl_tracker.policies.distractors import DistractorAware
from sam2rl_tracker.policies.recency import ranked


class _Role(Enum):
    """What a frame becomes in the memory."""

    ABSENT = auto()  # nothing: the object is not seen
    RECENT = auto()  # it joins the RAM
    INFORMATIVE = auto()  # it joins the DRM


@dataclass
class Dam4Sam(DistractorAware):
    """Distractor-resolving memory (DRM, in conditioning slots) beside a strided recent memory (RAM).

    Source: Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2" (arXiv:2411.17576),
    section 3, and its published code's defaults.

    Attributes:
        drm_size: Conditioning frames that take part in a prediction, the prompted one included. Higher values leave
            less room for the RAM.
        ram_stride: The RAM holds the newest visible frame and visible frames at multiples of this. Higher values reach
            farther back.
    """

    drm_size: int = 4
    ram_stride: int = 5

    about: ClassVar[About] = About(
        title="DAM4SAM",
        basis=Basis.CODE,
        paper="Videnovic et al., arXiv:2411.17576",
        attends="The DRM: the prompted frame and up to three that show a distractor, as conditioning frames. The RAM: "
        "the newest visible frame and those at multiples of five before it; seven in all. Pointers of the DRM and of "
        "the visible frames among the last fifteen.",
        remembers="Visible frames. One joins the DRM, encoded from its binarised mask, when its predicted IoU is high, "
        "its area steady, the last addition far enough back, and another candidate covers something else.",
        corrected="The frame joins the prompted one as a conditioning frame. It joins the DRM, and its area the "
        "recent median. Where the object was lost, DRM and RAM are emptied first.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ram_stride < 1 or not 1 <= self.drm_size <= MEMORY_SLOTS:
            raise ValueError(f"ram_stride must be at least 1, drm_size 1 to {MEMORY_SLOTS}.")

    def begin(self, start: Start) -> None:
        self._drm: list[FrameRecord] = []  # newest first, without the prompted frame
        self._ram: list[FrameRecord] = []  # newest first: visible frames outside the DRM that can still be picked
        self._pointers: list[FrameRecord] = []  # visible frames, newest first
        self._last: FrameRecord | None = None  # frame t-1 where visible, in the DRM or not
        self._role = _Role.ABSENT  # of the current frame: `observe` decides, `store` carries out
        super().begin(start)

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        (outcome,) = outcomes
        self._areas.add(outcome.area)
        is_seen = outcome.choice.visible and bool(outcome.prediction.peaks[outcome.choice.candidate] > 0)
        if self._is_informative(t, outcome):
            self._role = _Role.INFORMATIVE
        else:
            self._role = _Role.RECENT if is_seen else _Role.ABSENT
        return [Encoding.BINARY if self._role is _Role.INFORMATIVE else Encoding.SOFT]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            return
        self._last = None if self._role is _Role.ABSENT else record
        if self._last:
            self._pointers.insert(0, record)
        self._pointers = [r for r in self._pointers if r.frame > t + 1 - MAX_POINTERS]
        if self._role is _Role.INFORMATIVE:
            self._last_added = t
            # One more than fits, since the newest is not used by the frame right after it.
            self._drm = [record, *self._drm][: self.drm_size]
        elif self._role is _Role.RECENT:
            self._ram = self._prune([record, *self._ram])

    def correct(self, t: int, correction: Correction) -> None:
        record = correction.record
        self._areas.replace(record.area)
        self._drm, self._ram, self._pointers = (
            [each for each in records if each.frame != t] for records in (self._drm, self._ram, self._pointers)
        )
        if correction.was_lost:
            self._drm, self._ram = [], []
        self._last = None
        if record.area > 0:  # an addition to the DRM, of which the user is sure
            self._last, self._last_added = record, t
            self._drm = [record, *self._drm][: self.drm_size]
            self._pointers.insert(0, record)

    def _prune(self, ram: list[FrameRecord]) -> list[FrameRecord]:
        """The newest frame, and as many multiples of the stride as a selection can hold."""
        strided = [record for record in ram[1:] if record.frame % self.ram_stride == 0]
        return [ram[0], *strided[:MEMORY_SLOTS]]

    def select(self, t: int) -> list[MemorySelection]:
        drm = self._select_drm(t)
        memories = ranked(drm, self._select_ram(MEMORY_SLOTS - len(drm)))
        span = min(t + 1, MAX_POINTERS)
        recent = [r for r in self._pointers if t - r.frame < span and r not in drm]
        pointers = tuple((record, t - record.frame) for record in [*drm, *recent])
        return [MemorySelection(memories, pointers, span)]

    def _select_drm(self, t: int) -> list[FrameRecord]:
        older = [record for record in self._drm if record.frame < t - 1]
        return [self._prompted, *reversed(older[: self.drm_size - 1])]

    def _select_ram(self, count: int) -> list[FrameRecord]:
        """Newest first: the newest visible frame, then visible multiples of the stride before it."""
        newest = self._last or (self._ram[0] if self._ram else None)
        if newest is None or count < 1:
            return []
        strided = [r for r in self._ram if r.frame < newest.frame and r.frame % self.ram_stride == 0]
        return [newest, *strided[: count - 1]]

    def reachable(self) -> Collection[FrameRecord]:
        last = {self._last} if self._last else set()
        return {self._prompted, *self._drm, *self._ram, *self._pointers} | last
