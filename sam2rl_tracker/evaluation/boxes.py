"""Measures of boxes: success and precision as LaSOT takes them, AO and SR as GOT-10k does.

A box is x, y, width, height in pixels, and four nans where there is none. Frames on which the object is absent or its
truth unknown count in none of these measures.

Sources: Fan et al., LaSOT, CVPR 2019, section 4.1 (and Wu et al., OTB, PAMI 2015, section 4, for success and
precision; Mueller et al., TrackingNet, ECCV 2018, section 4.2, for normalised precision); Huang et al., GOT-10k, PAMI
2019, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # [T, 4]
Numbers = NDArray[np.float64]

SUCCESS_THRESHOLDS = np.arange(21) / 20
PRECISION_PIXELS = 20
PRECISION_SHARE = 0.2
"""Of the true box's width and height."""


@dataclass(frozen=True)
class BoxComparison:
    """Answers for one object beside its true boxes, on the n frames on which it is visible.

    Attributes:
        overlaps: float [n], IoU; an answer without a box is the box before it, as LaSOT's evaluation reads it.
        distances: float [n], pixels between the centres.
        shares: float [n], the same with x and y in widths and heights of the true box.
        later_overlaps: float [m], IoU inside the image on the frames after the first; 0 for an answer without a box.
    """

    overlaps: Numbers
    distances: Numbers
    shares: Numbers
    later_overlaps: Numbers


@dataclass(frozen=True)
class BoxMeasures:
    """Measures of boxes over objects, as fractions.

    Attributes:
        success_auc: LaSOT: mean over 21 thresholds from 0 to 1 of the share of frames with a larger IoU. The frame on
            which the object is given counts. Mean over objects.
        precision: LaSOT: share of frames with at most 20 pixels between the centres.
        normalized_precision: LaSOT: share of frames with at most 0.2 true boxes between them.
        ao: GOT-10k: mean IoU of all frames of all objects but those on which they are given.
        sr50: GOT-10k: share of these frames with an IoU above 0.5.
        sr75: The same above 0.75.
    """

    success_auc: float
    precision: float
    normalized_precision: float
    ao: float | None
    sr50: float | None
    sr75: float | None


def box_overlaps(first: Boxes, second: Boxes) -> Numbers:
    """IoU of boxes, float [T]; 0 where one has no area or is none."""
    lowest = np.maximum(first[:, :2], second[:, :2])
    highest = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.clip(highest - lowest, 0, None).prod(axis=1)  # nan where a box is none
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - shared
    return np.nan_to_num(shared / np.where(union > 0, union, 1))


def compare_boxes(answers: Boxes, truth: Boxes, size: tuple[int, int]) -> BoxComparison:
    """Compare one object's answers with its truth.

    Args:
        answers: float [T, 4] from the frame on which the object is given; what is answered there does not matter.
        truth: float [T, 4], of which the first is a box.
        size: (height, width) of the image.
    """
    answers = answers.copy()
    answers[0] = truth[0]
    kept = _carried_forward(answers)
    visible = (truth[:, 2:] > 0).all(axis=1)  # nans are not
    kept, true = kept[visible], truth[visible]
    apart = kept[:, :2] + kept[:, 2:] / 2 - true[:, :2] - true[:, 2:] / 2  # [n, 2] x, y
    later = visible.copy()
    later[0] = False
    return BoxComparison(
        overlaps=box_overlaps(kept, true),
        distances=np.hypot(*apart.T),
        shares=np.hypot(*(apart / true[:, 2:]).T),
        later_overlaps=box_overlaps(_cut(answers[later], size), _cut(truth[later], size)),
    )


def _carried_forward(boxes: Boxes) -> Boxes:
    """Each box, or the last one before it where there is none."""
    there = (boxes[:, 2:] > 0).all(axis=1)
    last = np.maximum.accumulate(np.where(there, np.arange(len(boxes)), 0))
    return boxes[last]


def _cut(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    limits = np.array([size[1], size[0]], dtype=np.float64)
    low = np.clip(boxes[:, :2], 0, limits)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, limits)
    return np.concatenate([low, high - low], axis=1)


def box_measures(objects: Sequence[BoxComparison]) -> BoxMeasures:
    """Measures over one object or more."""
    curves = [(one.overlaps[:, None] > SUCCESS_THRESHOLDS).mean(axis=0) for one in objects]
    later = np.concatenate([one.later_overlaps for one in objects])
    return BoxMeasures(
        success_auc=float(np.mean(curves)),
        precision=float(np.mean([(one.distances <= PRECISION_PIXELS).mean() for one in objects])),
        normalized_precision=float(np.mean([(one.shares <= PRECISION_SHARE).mean() for one in objects])),
        ao=float(later.mean()) if later.size else None,
        sr50=float((later > 0.5).mean()) if later.size else None,
        sr75=float((later > 0.75).mean()) if later.size else None,
    )
