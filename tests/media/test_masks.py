"""Index masks: written and read back, and what is refused."""

import resource

import numpy as np
import pytest
from pictures import picture, save
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.masks import object_masks, read_index_mask, write_index_mask


def test_index_mask_round_trip(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_index_mask(tmp_path / "m.png", labels)
    np.testing.assert_array_equal(read_index_mask(tmp_path / "m.png"), labels)


def test_index_mask_has_the_davis_colours(tmp_path):
    write_index_mask(tmp_path / "m.png", np.array([[0, 1, 2, 3, 20, 255]]))
    image = PILImage.open(tmp_path / "m.png")
    assert image.mode == "P"
    colours = np.array(image.convert("RGB"))[0].tolist()
    assert colours == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 64, 128], [224, 224, 192]]


def test_index_mask_of_few_objects_keeps_eight_bits(tmp_path):
    write_index_mask(tmp_path / "m.png", np.eye(5, dtype=bool))
    np.testing.assert_array_equal(np.array(PILImage.open(tmp_path / "m.png")), np.eye(5))


def test_gray_and_one_bit_masks_are_read(tmp_path):
    labels = np.array([[0, 1], [7, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(read_index_mask(save(tmp_path / "gray.png", labels)), labels)
    PILImage.fromarray(labels > 0).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "bit.png"), labels > 0)


def test_mask_that_is_no_index_image_is_refused(tmp_path):
    with pytest.raises(Sam2rlError, match="mode RGB"):
        read_index_mask(save(tmp_path / "rgb.png", picture()))
    with pytest.raises(Sam2rlError, match="JPEG"):
        read_index_mask(save(tmp_path / "lossy.jpg", picture()[..., 0] % 3))
    with pytest.raises(Sam2rlError, match="does not exist"):
        read_index_mask(tmp_path / "none.png")


@pytest.mark.parametrize("labels", [np.zeros(4), np.array([[256]]), np.array([[-1]])])
def test_labels_out_of_range_are_a_programming_error(tmp_path, labels):
    with pytest.raises(ValueError, match="labels must be"):
        write_index_mask(tmp_path / "m.png", labels)
    assert not list(tmp_path.iterdir())


def test_object_masks_leave_out_background_and_ignored():
    labels = np.array([[0, 3, 3], [255, 1, 0]], dtype=np.uint8)
    masks = object_masks(labels)
    assert list(masks) == [1, 3]
    np.testing.assert_array_equal(masks[3], [[False, True, True], [False, False, False]])
    assert object_masks(np.zeros((2, 2), dtype=np.uint8)) == {}


def test_mask_that_does_not_fit_leaves_nothing(tmp_path):
    """A real refusal by the operating system, in the middle of PIL's own writing."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(Sam2rlError, match="cannot be written"):
            write_index_mask(tmp_path / "m.png", picture(height=100, width=100)[..., 0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not list(tmp_path.iterdir())


def test_writing_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(Sam2rlError, match="there is no folder"):
        write_index_mask(tmp_path / "none" / "m.png", np.zeros((2, 2)))
