"""Checks of what a user hands to the tracker. Each says what was given and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2rl_tracker.errors import NothingFound, Sam2rlError


def check_image(image: np.ndarray) -> None:
    """An image must be RGB, uint8 [height, width, 3].

    Raises:
        Sam2rlError: It is not.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise Sam2rlError(f"An image must be an RGB array, uint8 [height, width, 3], but is {found}.")


def check_size(image: np.ndarray, size: tuple[int, int], frame: int) -> None:
    """All images of a video have one size.

    Args:
        size: Height, width of the first image.
        frame: The image's number, counted from 0.

    Raises:
        Sam2rlError: This one has another.
    """
    if image.shape[:2] != size:
        raise Sam2rlError(
            f"Image {frame} is {image.shape[1]}x{image.shape[0]} pixels, the first was {size[1]}x{size[0]}: "
            "a video has one size."
        )


def check_masks(masks: np.ndarray, ids: Sequence[int] | None, size: tuple[int, int]) -> np.ndarray:
    """Masks of objects to track, as bool [objects, height, width].

    Args:
        ids: Of the objects, to name them in errors; None = 1, 2, 3, ...
        size: Height, width of the image.

    Raises:
        Sam2rlError: There are none, they have another shape, or one is empty.
    """
    masks = np.asarray(masks)
    if len(masks) == 0:
        raise Sam2rlError("No masks were given: call initialize(image) to begin without objects.")
    if masks.ndim != 3 or masks.shape[1:] != size:
        raise Sam2rlError(
            f"Masks must be [objects, {size[0]}, {size[1]}] as the image is {size[1]}x{size[0]} pixels, "
            f"but are {list(masks.shape)}."
        )
    for index, mask in enumerate(masks):
        if not mask.any():
            name = ids[index] if ids is not None and index < len(ids) else index + 1
            raise Sam2rlError(f"The mask of object {name} is empty: it must show the object on its first frame.")
    return masks != 0


def check_boxes(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes around objects to track, as float32 [objects, 4]: x, y, width, height in pixels.

    Args:
        size: Height, width of the image.

    Raises:
        Sam2rlError: They have another shape, or one has no area inside the image.
    """
    boxes = np.asarray(boxes, dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise Sam2rlError(f"Boxes must be [objects, 4] as x, y, width, height, but are {list(boxes.shape)}.")
    for box in boxes:
        x, y, width, height = box
        inside = np.isfinite(box).all() and x < size[1] and y < size[0] and x + width > 0 and y + height > 0
        if not inside or width <= 0 or height <= 0:
            raise Sam2rlError(
                f"The box {_numbers(box)} (x, y, width, height) has no area inside the image of "
                f"{size[1]}x{size[0]} pixels."
            )
    return boxes


def check_found(boxes: np.ndarray, masks: np.ndarray) -> None:
    """Something must have been found in every box.

    Args:
        boxes: float [objects, 4].
        masks: bool [objects, height, width].

    Raises:
        NothingFound: A mask is empty.
    """
    for box, mask in zip(boxes, masks, strict=True):
        if not mask.any():
            raise NothingFound(f"No object was found in the box {_numbers(box)}: draw it closer, or give a mask.")


def check_ids(ids: Sequence[int] | None, count: int, tracked: Sequence[int]) -> list[int]:
    """Ids of new objects; by default those that follow the highest one so far.

    Args:
        count: How many objects there are.
        tracked: Ids of the objects that are tracked already.

    Raises:
        Sam2rlError: More or fewer ids than objects, one below 1, or one that another object has.
    """
    if ids is None:
        first = max(tracked, default=0) + 1
        return list(range(first, first + count))
    ids = [int(number) for number in ids]
    if len(ids) != count:
        raise Sam2rlError(f"{len(ids)} ids were given for {count} objects.")
    if any(number < 1 for number in ids):
        raise Sam2rlError(f"Ids count from 1, 0 is the background: {ids} were given.")
    taken = [number for number in ids if number in tracked or ids.count(number) > 1]
    if taken:
        raise Sam2rlError(f"Object {taken[0]} is given twice: every object needs its own id.")
    return ids


def _numbers(box: np.ndarray) -> str:
    return ",".join(f"{value:g}" for value in box)
