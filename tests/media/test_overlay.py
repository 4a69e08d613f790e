"""Masks drawn into pictures."""

import numpy as np
import pytest

from sam2rl_tracker.media.overlay import draw_caption, draw_prompt, object_color, overlay

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


def test_a_prompt_is_drawn_where_it_is():
    """A line around the mask and none inside, a box, a plus where the object is and a minus where it is not."""
    mask = square(2) == 2
    outlined = draw_prompt(GRAY, 2, mask)
    white = (outlined == 255).all(axis=2)
    np.testing.assert_array_equal(outlined[mask], GRAY[mask])
    assert white[9, 9:21].all()
    assert white.sum() == 12 * 12 - 10 * 10

    boxed = draw_prompt(GRAY, 2, box=(10, 10, 20, 15))
    for y, x in ((10, 10), (10, 29), (24, 10), (24, 29), (17, 10)):
        np.testing.assert_array_equal(boxed[y, x], object_color(2))
    np.testing.assert_array_equal(boxed[17, 20], GRAY[17, 20])

    pointed = draw_prompt(GRAY, 2, points=np.array([[20, 20, 1], [40, 10, 0]], dtype=np.float32))
    on, off = pointed[17:24, 17:24], pointed[7:14, 37:44]
    assert (on == object_color(2)).all(axis=2).any()
    assert not (off == object_color(2)).all(axis=2).any()
    assert (off == 0).all(axis=2).any()
    assert (on[1:6, 3] == 255).all(), "a plus"
    assert not (off[1:6, 3] == 255).all(), "a minus"
    assert (off[3, 1:6] == 255).all()
    np.testing.assert_array_equal(GRAY, np.full((40, 50, 3), 100))


def test_what_lies_at_the_edge_is_drawn_as_far_as_it_is_seen():
    drawn = draw_prompt(GRAY, 1, box=(-5, -5, 200, 0.2), points=np.array([[49.9, 39.9, 1]], dtype=np.float32))
    assert drawn.shape == GRAY.shape
    assert (drawn != GRAY).any()


def test_a_caption_is_in_the_corner():
    image = np.full((200, 300, 3), 100, dtype=np.uint8)
    assert draw_caption(image, []) is image
    one, two = (draw_caption(image, lines) for lines in (["frame 3"], ["frame 3", "object 1 corrected"]))
    for drawn in (one, two):
        assert (drawn[0, 0] == 0).all()
        assert (drawn[100:] == 100).all()
        assert (drawn > 200).any()
    assert (two == 0).sum() > (one == 0).sum()
