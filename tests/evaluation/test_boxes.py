"""Measures of boxes on examples that are worked out by hand."""

import numpy as np
import pytest

from sam2rl_tracker.evaluation.boxes import box_measures, box_overlaps, compare_boxes

NONE = (np.nan,) * 4
SIZE = (100, 100)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


def test_overlaps():
    first = boxes((0, 0, 10, 10), (0, 0, 10, 10), (0.5, 0, 1, 1), NONE, (0, 0, 0, 0))
    second = boxes((5, 0, 10, 10), (20, 20, 5, 5), (0, 0, 1, 1), (0, 0, 5, 5), (0, 0, 0, 0))
    assert box_overlaps(first, second).tolist() == pytest.approx([50 / 150, 0, 0.5 / 1.5, 0, 0])


def test_success_precision_and_average_overlap():
    """Four frames: given; IoU 1/3, 5 px off; IoU 0, 40 px off; the object is absent and does not count."""
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 0, 0))
    answers = boxes((50, 50, 1, 1), (5, 0, 10, 10), (40, 0, 10, 10), (0, 0, 10, 10))
    one = compare_boxes(answers, truth, SIZE)
    assert one.overlaps.tolist() == pytest.approx([1, 1 / 3, 0])
    assert one.distances.tolist() == [0, 5, 40]
    assert one.shares.tolist() == [0, 0.5, 4]
    measures = box_measures([one])
    # Thresholds 0, 0.05, ... 1: IoU 1 is above 20 of 21, IoU 1/3 above 7 (0 to 0.30), IoU 0 above none.
    assert measures.success_auc == pytest.approx((20 + 7) / 21 / 3)
    assert measures.precision == pytest.approx(2 / 3)
    assert measures.normalized_precision == pytest.approx(1 / 3)
    assert (measures.ao, measures.sr50, measures.sr75) == (pytest.approx(1 / 6), 0, 0)


def test_an_answer_without_a_box_is_the_one_before_for_lasot_and_nothing_for_got10k():
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10))
    one = compare_boxes(boxes(NONE, (0, 0, 10, 8), NONE), truth, SIZE)
    assert one.overlaps.tolist() == pytest.approx([1, 0.8, 0.8])
    assert one.later_overlaps.tolist() == pytest.approx([0.8, 0])


def test_got10k_cuts_boxes_to_the_image():
    truth = boxes((0, 0, 10, 10), (90, 0, 20, 10))  # half of it is outside
    one = compare_boxes(boxes(NONE, (90, 0, 10, 10)), truth, SIZE)
    assert one.overlaps[1] == pytest.approx(0.5)
    assert one.later_overlaps.tolist() == [1]


def test_got10k_pools_frames_and_lasot_objects():
    long = compare_boxes(boxes(*[(0, 0, 10, 10)] * 4), boxes(*[(0, 0, 10, 10)] * 4), SIZE)
    short = compare_boxes(boxes(NONE, (50, 50, 10, 10)), boxes(*[(0, 0, 10, 10)] * 2), SIZE)
    measures = box_measures([long, short])
    assert (measures.ao, measures.sr50, measures.sr75) == (0.75, 0.75, 0.75)
    assert measures.precision == 0.75
    assert measures.success_auc == pytest.approx((20 / 21 + 10 / 21) / 2)


def test_an_object_without_later_frames_has_no_average_overlap():
    measures = box_measures([compare_boxes(boxes(NONE), boxes((0, 0, 5, 5)), SIZE)])
    assert (measures.ao, measures.sr50, measures.sr75, measures.precision) == (None, None, None, 1)
