"""Masks drawn into pictures."""

import numpy as np
import pytest

from sam2rl_tracker.media.overlay import object_color, overlay

GRAY = np.full((40, 50, 3), 100, dtype=np.uint8)


def square(object_id: int) -> np.ndarray:
    labels = np.zeros((40, 50), dtype=np.uint8)
    labels[10:20, 10:20] = object_id
    return labels


def test_fill_is_mixed_and_contour_is_opaque():
    result = overlay(GRAY, square(1), alpha=0.5)
    np.testing.assert_array_equal(result[10, 10], object_color(1))
    np.testing.assert_array_equal(result[15, 19], object_color(1))
    np.testing.assert_array_equal(result[15, 15], np.rint((100 + np.array(object_color(1))) / 2))
    outside = square(1) == 0
    np.testing.assert_array_equal(result[outside], GRAY[outside])


def test_inputs_are_not_changed():
    image, labels = GRAY.copy(), square(2)
    overlay(image, labels)
    np.testing.assert_array_equal(image, GRAY)
    np.testing.assert_array_equal(labels, square(2))


def test_background_and_ignored_area_stay():
    np.testing.assert_array_equal(overlay(GRAY, square(255)), GRAY)
    np.testing.assert_array_equal(overlay(GRAY, square(0)), GRAY)


def test_image_border_is_no_contour():
    full = np.ones((40, 50), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(GRAY, full, alpha=0.0), GRAY)


def test_neighbouring_objects_both_have_a_contour():
    labels = np.ones((40, 50), dtype=np.uint8)
    labels[:, 25:] = 2
    result = overlay(GRAY, labels, alpha=0.0)
    np.testing.assert_array_equal(result[20, 24], object_color(1))
    np.testing.assert_array_equal(result[20, 25], object_color(2))
    np.testing.assert_array_equal(result[20, 22], GRAY[20, 22])


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        overlay(GRAY, np.zeros((50, 40), dtype=np.uint8))


def test_colours_differ():
    colours = np.array([object_color(k) for k in range(1, 31)])
    distances = np.abs(colours[:, None] - colours[None]).max(axis=2) + 255 * np.eye(len(colours), dtype=int)
    assert distances.min() >= 10
