"""d4sm's rule: DAM4SAM's two memories in one list, as the baseline for several objects keeps them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sam2rl_tracker.engine.types import CONDITIONING_SLOT, MAX_POINTERS, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Correction, Encoding, Outcome, Start
from sam2rl_tracker.policies.distractors import DistractorAware
from sam2rl_tracker.policies.recency import by_place


@dataclass
class D4Sm(DistractorAware):
    """DAM4SAM for several objects: distractor-resolving (DRM) and recent memories (RAM) in one list.

    Source: Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2" (arXiv:2411.17576),
    section 3, as in the published code for several objects (alanlukezic/d4sm at 67d5dfe), with its defaults.

    The published code keeps a bank for each object and only predicts them together, so this is the whole rule.

    Quirks of the published code, kept: a frame that joins the DRM is still part of the RAM for the next frame. Its
    memory stays soft. The temporal slot of a RAM frame counts the DRM frames behind it in the list. Pointers run from
    oldest to newest, count places, and are spread over as many frames as there are. A frame without a single pixel of
    the object leaves nothing behind.

    Attributes:
        drm_size: Frames in the DRM at most, beside the prompted one. Higher values leave less room for the RAM.
        ram_size: Frames in the RAM when the DRM is full; before, it has the DRM's room too. Higher values reach farther
            back.
        ram_stride: The RAM holds the newest visible frame and visible frames at multiples of this. Higher values reach
            farther back.
    """

    drm_size: int = 3
    ram_size: int = 3
    ram_stride: int = 5

    about: ClassVar[About] = About(
        title="D4SM",
        basis=Basis.CODE,
        paper="Videnovic et al., arXiv:2411.17576",
        attends="The prompted frame and up to three that show a distractor (DRM), as conditioning frames; the newest "
        "visible frame and those at multiples of five before it (RAM); seven in all. Pointers of the last fifteen "
        "visible frames, whose distance is their place.",
        remembers="Visible frames, from their soft masks. One moves from the RAM to the DRM, a frame later, when its "
        "predicted IoU is high, its area steady, the last addition far enough back, and another candidate covers "
        "something else.",
        corrected="The frame joins the prompted one as a conditioning frame, and counts as an addition to the DRM. "
        "Where the object was lost, DRM and RAM are emptied.",
    )
    inclusive_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.ram_stride, self.ram_size) < 1 or self.drm_size < 0:
            raise ValueError("ram_stride and ram_size must be at least 1, drm_size at least 0.")
        if self.drm_size + self.ram_size >= MEMORY_SLOTS:
            raise ValueError(f"drm_size and ram_size must be at most {MEMORY_SLOTS - 1} together.")

    def begin(self, start: Start) -> None:
        self._list: list[FrameRecord] = []  # RAM and DRM as they came, oldest first, without the prompted frame
        self._drm: list[FrameRecord] = []  # those of the list that are conditioning frames
        self._admitted: FrameRecord | None = None  # it joins the DRM when the next frame is stored
        self._pointers: deque[FrameRecord] = deque(maxlen=MAX_POINTERS - 1)  # of visible frames, oldest first
        self._is_admitted = False  # the current frame: `observe` decides, `store` carries out
        super().begin(start)

    def select(self, t: int) -> list[MemorySelection]:
        last = len(self._list) - 1
        slots = [CONDITIONING_SLOT if r in self._drm else last - place for place, r in enumerate(self._list)]
        memories = ((self._prompted, CONDITIONING_SLOT), *zip(self._list, slots, strict=True))
        prompted, *others = by_place(self._prompted, list(self._pointers)[::-1], t)
        return [MemorySelection(memories, (prompted, *reversed(others)), max(2, len(others) + 1))]

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        (outcome,) = outcomes
        if outcome.area:
            self._areas.add(outcome.area)
        self._is_admitted = self._is_informative(t, outcome)
        return [Encoding.SOFT if outcome.area else Encoding.NONE]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            return
        self._move_admitted()
        if not record.area:
            return
        self._pointers.append(record)
        self._add_recent(record)
        if self._is_admitted:
            self._admitted, self._last_added = record, t

    def correct(self, t: int, correction: Correction) -> None:
        # It is a conditioning frame now, as an addition to the DRM is, and one of which the user is sure.
        record = correction.record
        self._list = [other for other in self._list if other.frame != t]
        self._admitted = None
        if correction.was_lost:
            self._list, self._drm = [], []
        if self._pointers and self._pointers[-1].frame == t:
            self._pointers.pop()
            self._areas.replace(record.area)
        elif record.area:
            self._areas.add(record.area)
        if record.area:
            self._pointers.append(record)
            self._last_added = t

    def _move_admitted(self) -> None:
        """Make the frame that was admitted before this one a part of the DRM, where it stands in the list."""
        if self._admitted is not None:
            self._drm.append(self._admitted)
            self._admitted = None
        if len(self._drm) > self.drm_size:
            self._list.remove(self._drm.pop(0))

    def _add_recent(self, record: FrameRecord) -> None:
        ram = [recent for recent in self._list if recent not in self._drm]
        if ram and ram[-1].frame % self.ram_stride:
            self._list[self._list.index(ram[-1])] = record
            return
        self._list.append(record)
        if len(self._list) > self.drm_size + self.ram_size:
            self._list.remove(ram[0])

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._list, *self._pointers}
