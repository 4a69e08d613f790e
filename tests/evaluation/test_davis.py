"""DAVIS' measures on masks that are worked out by hand."""

import numpy as np
import pytest

from sam2rl_tracker.evaluation.davis import (
    MaskMeasures,
    contour,
    contour_accuracy,
    mean_mask_measures,
    measure_frame,
    tolerance_of,
)


def square(x: int, y: int, side: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[y : y + side, x : x + side] = True
    return mask


EMPTY = np.zeros((40, 40), dtype=bool)


def test_a_contour_is_left_above_and_inside_of_a_change():
    expected = np.array(
        [
            [1, 1, 1, 0],
            [1, 0, 1, 0],
            [1, 1, 1, 0],
            [0, 0, 0, 0],
        ],
        dtype=bool,
    )
    assert np.array_equal(contour(square(1, 1, 2, size=4)), expected)
    assert not contour(np.ones((4, 4), dtype=bool)).any()  # the image's edge is none


def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up():
    assert tolerance_of((480, 854)) == 8  # 7.84
    assert tolerance_of((30, 40)) == 1


@pytest.mark.parametrize(
    ("predicted", "true", "j", "f"),
    [
        (square(5, 5, 10), square(5, 5, 10), 1, 1),
        (square(6, 5, 10), square(5, 5, 10), 90 / 110, 1),  # every point of the contours lies within a pixel
        (square(25, 25, 10), square(5, 5, 10), 0, 0),
        (EMPTY, EMPTY, 1, 1),
        (EMPTY, square(5, 5, 10), 0, 0),
        (square(5, 5, 10), EMPTY, 0, 0),
    ],
)
def test_one_frame(predicted, true, j, f):
    found = measure_frame(predicted, true, tolerance=1)
    assert (found.j, found.f) == (pytest.approx(j), pytest.approx(f))


def test_contours_that_meet_in_part():
    """Shifted by 3 with tolerance 1: of 40 points of either contour, those of two sides near their ends meet."""
    predicted, true = square(8, 5, 10), square(5, 5, 10)
    found, wanted = contour(predicted), contour(true)
    assert found.sum() == wanted.sum() == 40
    near = [  # by definition: a point of the other contour at a distance of at most 1
        sum(min(np.hypot(*(point - other)) for other in np.argwhere(b)) <= 1 for point in np.argwhere(a))
        for a, b in ((found, wanted), (wanted, found))
    ]
    precision, recall = near[0] / 40, near[1] / 40
    assert 0 < precision < 1
    assert contour_accuracy(predicted, true, 1) == pytest.approx(2 * precision * recall / (precision + recall))


def test_ignored_pixels_do_not_count():
    ignored = square(20, 0, 20)
    found = measure_frame(square(5, 5, 10) | square(22, 5, 6), square(5, 5, 10), 1, ignored)
    assert (found.j, found.f) == (1, 1)


def test_means():
    mean = mean_mask_measures([MaskMeasures(1, 0.5), MaskMeasures(0, 0.5)])
    assert (mean.j, mean.f, mean.j_and_f) == (0.5, 0.5, 0.5)
