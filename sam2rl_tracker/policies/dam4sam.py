"""DAM4SAM's rule: a second memory for frames that tell the target from a distractor."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

import cv2
import numpy as np

from sam2rl_tracker.engine.types import MAX_POINTERS, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Encoding, Outcome, Policy, Start
from sam2rl_tracker.policies.recency import ranked

_AREA_FRAMES = 300  # the median area is taken over the last 10 non-empty masks
_AREA_MASKS = 10  # among these frames


class _Role(Enum):
    """What a frame becomes in the memory."""

    ABSENT = auto()  # nothing: the object is not seen
    RECENT = auto()  # it joins the RAM
    INFORMATIVE = auto()  # it joins the DRM


@dataclass
class Dam4Sam(Policy):
    """Distractor-resolving memory (DRM, in conditioning slots) beside a strided recent memory (RAM).

    Source: Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2" (arXiv:2411.17576),
    section 3, and its published code's defaults.

    Attributes:
        iou_threshold: Predicted IoU above which a frame may join the DRM. Higher values admit fewer frames.
        area_low: Least area of such a frame, over the recent median area. Higher values admit fewer frames.
        area_high: Greatest area of such a frame, over the recent median area. Higher values admit more frames.
        min_gap: Frames that must pass between two additions to the DRM. Higher values make additions rarer.
        distractor_iou: An alternative candidate shows a distractor when the box around the mask and the alternative's
            largest other part overlaps the mask's own box by at most this. Higher values see distractors more readily,
            and only frames with one join the DRM.
        drm_size: Conditioning frames that take part in a prediction, the prompted one included. Higher values leave
            less room for the RAM.
        ram_stride: The RAM holds the newest visible frame and visible frames at multiples of this. Higher values reach
            farther back.
    """

    iou_threshold: float = 0.8
    area_low: float = 0.8
    area_high: float = 1.2
    min_gap: int = 5
    distractor_iou: float = 0.7
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
    )

    def __post_init__(self) -> None:
        if self.ram_stride < 1 or self.min_gap < 0 or not 1 <= self.drm_size <= MEMORY_SLOTS:
            raise ValueError(f"ram_stride must be at least 1, min_gap at least 0, drm_size 1 to {MEMORY_SLOTS}.")

    def begin(self, start: Start) -> None:
        self._drm: list[FrameRecord] = []  # newest first, without the prompted frame
        self._ram: list[FrameRecord] = []  # newest first: visible frames outside the DRM that can still be picked
        self._pointers: list[FrameRecord] = []  # visible frames, newest first
        self._areas: deque[int] = deque(maxlen=_AREA_FRAMES)
        self._last: FrameRecord | None = None  # frame t-1 where visible, in the DRM or not
        self._last_added: int | None = None
        self._role = _Role.ABSENT  # of the current frame: `observe` decides, `store` carries out
        super().begin(start)

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        (outcome,) = outcomes
        self._areas.append(outcome.area)
        is_seen = outcome.choice.visible and bool(outcome.prediction.peaks[outcome.choice.candidate] > 0)
        if self._is_informative(t, outcome):
            self._role = _Role.INFORMATIVE
        else:
            self._role = _Role.RECENT if is_seen else _Role.ABSENT
        return [Encoding.BINARY if self._role is _Role.INFORMATIVE else Encoding.SOFT]

    def _is_informative(self, t: int, outcome: Outcome) -> bool:
        """Whether the frame is reliable, stable in area, not too soon, and shows a distractor."""
        if t < 2 or outcome.area < 1:
            return False
        if not outcome.prediction.ious[outcome.choice.candidate] > self.iou_threshold:
            return False
        if self._last_added is not None and t - self._last_added <= self.min_gap:
            return False
        areas = [area for area in self._areas if area > 0][-_AREA_MASKS:]
        if not self.area_low <= outcome.area / np.median(areas) <= self.area_high:
            return False
        return self._shows_distractor(outcome)

    def _shows_distractor(self, outcome: Outcome) -> bool:
        candidates = outcome.prediction.candidate_masks()
        own = _box(outcome.mask)
        for index, candidate in enumerate(candidates):
            if index == outcome.choice.candidate:
                continue
            rest = _largest_component(candidate & ~outcome.mask)
            if rest is not None and _half_open_iou(own, _union(own, _box(rest))) <= self.distractor_iou:
                return True
        return False

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


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(xmin, ymin, xmax, ymax) of the pixels of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _union(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _half_open_iou(inner: tuple[int, ...], outer: tuple[int, ...]) -> float:
    """IoU of a box with one that contains it; sides are max - min; a box of at most 1 pixel wide or tall counts 1."""
    width, height = outer[2] - outer[0], outer[3] - outer[1]
    if width < 1 or height < 1:
        return 1.0
    return (inner[2] - inner[0]) * (inner[3] - inner[1]) / (width * height)


def _largest_component(mask: np.ndarray) -> np.ndarray | None:
    """The largest 8-connected part of a mask; None when it is empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
