"""What a user hands to the tracker is taken as it is meant, or refused with what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.tracking import checks

SIZE = (4, 6)  # height, width


def test_masks_may_be_numbers() -> None:
    mask = np.zeros((1, *SIZE), dtype=np.uint8)
    mask[0, 1, 2] = 255
    checked = checks.check_masks(mask, None, SIZE)
    assert checked.dtype == bool
    assert checked.sum() == 1


def test_an_empty_mask_is_called_by_its_id() -> None:
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0] = True
    for ids, name in ((None, 2), ([7, 9], 9), ([7], 2)):
        with pytest.raises(Sam2rlError, match=f"^The mask of object {name} is empty"):
            checks.check_masks(masks, ids, SIZE)


def test_a_box_may_reach_over_the_edge_but_not_lie_outside() -> None:
    assert checks.check_boxes(np.array([[-2, 1, 4, 2], [5, 3, 9, 9]]), SIZE).dtype == np.float32
    with pytest.raises(
        Sam2rlError, match=r"^The box 6,0,2,2 \(x, y, width, height\) has no area inside the image of 6x4"
    ):
        checks.check_boxes(np.array([[6, 0, 2, 2]]), SIZE)
    with pytest.raises(Sam2rlError, match=r"^Boxes must be \[objects, 4\] as x, y, width, height, but are \[4\]"):
        checks.check_boxes(np.array([0, 0, 2, 2]), SIZE)
    with pytest.raises(Sam2rlError, match=r"^No object was found in the box 0,0,2,2\.5: draw it closer"):
        checks.check_found(np.array([[0, 0, 2, 2.5]]), np.zeros((1, *SIZE), dtype=bool))


def test_new_ids_follow_the_highest() -> None:
    assert checks.check_ids(None, 2, []) == [1, 2]
    assert checks.check_ids(None, 2, [3, 7]) == [8, 9]
    assert checks.check_ids([4], 1, [3, 7]) == [4]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1], "1 ids were given for 2 objects."),
        ([0, 1], "Ids count from 1, 0 is the background: [0, 1] were given."),
        ([5, 5], "Object 5 is given twice: every object needs its own id."),
        ([3, 4], "Object 3 is given twice: every object needs its own id."),
    ],
)
def test_ids_that_are_refused(ids: list[int], message: str) -> None:
    with pytest.raises(Sam2rlError) as caught:
        checks.check_ids(ids, 2, [3])
    assert str(caught.value) == message


def test_images_of_one_size() -> None:
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    checks.check_image(image)
    checks.check_size(image, SIZE, 5)
    with pytest.raises(Sam2rlError, match=r"^Image 5 is 6x4 pixels, the first was 4x6: a video has one size"):
        checks.check_size(image, SIZE[::-1], 5)
    with pytest.raises(Sam2rlError, match="but is list"):
        checks.check_image(image.tolist())  # type: ignore[arg-type]
