"""What the rules after DAM4SAM share: which frames tell the target from a distractor."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from sam2rl_tracker.policies.base import Outcome, Policy, Start

_AREA_FRAMES = 300  # the median area is taken over the last 10 non-empty masks
_AREA_MASKS = 10  # among these frames


class Areas:
    """Areas of the masks of the last 300 frames, to tell whether a mask is as large as they mostly are."""

    def __init__(self) -> None:
        self._areas: deque[int] = deque(maxlen=_AREA_FRAMES)

    def __len__(self) -> int:
        return len(self._areas)

    def add(self, area: int) -> None:
        self._areas.append(area)

    def replace(self, area: int) -> None:
        """Take another area for the newest frame's; 0 = it is not known."""
        self._areas[-1] = area

    def ratio(self) -> float:
        """The newest area over the median of the last ten that are not 0; 0 when it is 0."""
        newest = self._areas[-1]
        seen = [area for area in self._areas if area > 0][-_AREA_MASKS:]
        return float(newest / np.median(seen)) if newest else 0.0


@dataclass
class DistractorAware(Policy):
    """A rule that keeps frames on which another candidate mask shows a distractor.

    Source: Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2" (arXiv:2411.17576),
    section 3. Subclasses say what becomes of such a frame: it joins their DRM.

    Attributes:
        iou_threshold: Predicted IoU above which a frame may join the DRM. Higher values admit fewer frames.
        area_low: Least area of such a frame, over the recent median area. Higher values admit fewer frames.
        area_high: Greatest area of such a frame, over the recent median area. Higher values admit more frames.
        min_gap: Frames that must pass between two additions to the DRM. Higher values make additions rarer.
        distractor_iou: An alternative candidate shows a distractor when the box around the mask and the alternative's
            largest other part overlaps the mask's own box by at most this. Higher values see distractors more readily,
            and only frames with one join the DRM.
    """

    iou_threshold: float = 0.8
    area_low: float = 0.8
    area_high: float = 1.2
    min_gap: int = 5
    distractor_iou: float = 0.7

    inclusive_boxes: ClassVar[bool] = False
    """Whether a box of one pixel has sides of 1; else of 0."""

    def __post_init__(self) -> None:
        if self.min_gap < 0:
            raise ValueError("min_gap must be at least 0.")

    def begin(self, start: Start) -> None:
        self._areas = Areas()  # of the tracked frames
        self._last_added: int | None = None  # the last frame that was kept for its distractor
        super().begin(start)

    def _is_informative(self, t: int, outcome: Outcome) -> bool:
        """Whether the frame is reliable, stable in area, not too soon, and shows a distractor; its area was added."""
        if len(self._areas) < 2 or outcome.area < 1:
            return False
        if not outcome.prediction.ious[outcome.choice.candidate] > self.iou_threshold:
            return False
        if self._last_added is not None and t - self._last_added <= self.min_gap:
            return False
        if not self.area_low <= self._areas.ratio() <= self.area_high:
            return False
        return self._shows_distractor(outcome)

    def _shows_distractor(self, outcome: Outcome) -> bool:
        own = _box(outcome.mask)
        parts = other_parts(outcome.prediction.candidate_masks(), outcome.choice.candidate, outcome.mask)
        boxes = (_union(own, _box(part)) for part in parts)
        return any(_overlap(own, box, self.inclusive_boxes) <= self.distractor_iou for box in boxes)


def other_parts(candidates: np.ndarray, chosen: int, mask: np.ndarray) -> Iterator[np.ndarray]:
    """Of each other candidate the largest 8-connected part outside the mask, bool [height, width], where it has one.

    Args:
        candidates: bool [K, height, width].
        chosen: The candidate that is the mask.
        mask: bool [height, width].
    """
    for index, candidate in enumerate(candidates):
        if index == chosen:
            continue
        rest = (candidate & ~mask).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
        if count > 1:  # 0 is the background
            yield labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(xmin, ymin, xmax, ymax) of the pixels of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _union(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _overlap(inner: tuple[int, ...], outer: tuple[int, ...], inclusive: bool) -> float:
    """IoU of a box with one that contains it; a box of at most 1 pixel wide or tall counts 1.

    Args:
        inclusive: Whether sides are max - min + 1; else max - min.
    """
    width, height = outer[2] - outer[0], outer[3] - outer[1]
    if width < 1 or height < 1:
        return 1.0
    more = int(inclusive)
    return (inner[2] - inner[0] + more) * (inner[3] - inner[1] + more) / ((width + more) * (height + more))
