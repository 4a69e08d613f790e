"""Measures of masks as DAVIS takes them: region similarity J, contour accuracy F, and their mean.

Sources: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016,
section 4; the tolerance and the approximation of the matching by morphology are those of the benchmark's evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # [h, w]

TOLERANCE = 0.008
"""How far two contours may lie apart and still meet, as a share of the image's diagonal."""


@dataclass(frozen=True)
class MaskMeasures:
    """DAVIS' measures, means over frames, then over all objects of all sequences, as fractions.

    Attributes:
        j: Region similarity: IoU.
        f: Contour accuracy: F-measure of the contours' points that meet.
    """

    j: float
    f: float

    @property
    def j_and_f(self) -> float:
        """Their mean."""
        return (self.j + self.f) / 2


def mean_mask_measures(items: Sequence[MaskMeasures]) -> MaskMeasures:
    """Mean over frames or objects, at least one."""
    return MaskMeasures(float(np.mean([one.j for one in items])), float(np.mean([one.f for one in items])))


def measure_frame(predicted: Mask, true: Mask, tolerance: int, ignored: Mask | None = None) -> MaskMeasures:
    """J and F on one frame.

    Args:
        predicted: bool [h, w], of the whole image or of a part that reaches `tolerance` + 1 pixels beyond both masks.
        true: bool [h, w].
        tolerance: In pixels, from `tolerance_of`.
        ignored: bool [h, w], pixels that do not count; None = all count.
    """
    if ignored is not None:
        predicted, true = predicted & ~ignored, true & ~ignored
    union = np.count_nonzero(predicted | true)
    j = np.count_nonzero(predicted & true) / union if union else 1.0
    return MaskMeasures(j, contour_accuracy(predicted, true, tolerance))


def tolerance_of(size: tuple[int, int]) -> int:
    """How many pixels contours may lie apart in an image of `size` (height, width)."""
    return math.ceil(TOLERANCE * math.hypot(*size))


def contour_accuracy(predicted: Mask, true: Mask, tolerance: int) -> float:
    """F on one frame: harmonic mean of the shares of each contour that lie within the tolerance of the other.

    Two masks without contours agree (1); one without does not meet one with (0).
    """
    found, wanted = contour(predicted), contour(true)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    precision = np.count_nonzero(found & _widened(wanted, tolerance)) / np.count_nonzero(found)
    recall = np.count_nonzero(wanted & _widened(found, tolerance)) / np.count_nonzero(wanted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(mask: Mask) -> Mask:
    """Where a mask changes: pixels that differ from the one to the right, below, or right below, bool [h, w]."""
    edges = np.zeros_like(mask)
    edges[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edges[:-1] |= mask[:-1] != mask[1:]
    edges[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edges


def _widened(edges: Mask, radius: int) -> Mask:
    """All pixels within a distance of set ones."""
    rows, columns = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    disk = (rows**2 + columns**2 <= radius**2).astype(np.uint8)
    return cv2.dilate(edges.astype(np.uint8), disk).astype(bool)
