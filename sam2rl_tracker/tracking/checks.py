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


def check_points(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Points on and off one object, as float32 [k, 3]: x, y in pixels, and 1 on the object or 0 off it.

    Args:
        size: Height, width of the image.

    Raises:
        Sam2rlError: They have another shape, or one has another label or lies outside the image.
    """
    points = np.asarray(points, dtype=np.float32)
    if points.size == 0:
        return points.reshape(0, 3)
    if points.ndim != 2 or points.shape[1] != 3:
        raise Sam2rlError(
            "The points of an object must be [points, 3] as x, y, label (1 on the object, 0 off it), but are "
            f"{list(points.shape)}."
        )
    for x, y, label in points:
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            raise Sam2rlError(f"The point {x:g},{y:g} lies outside the image of {size[1]}x{size[0]} pixels.")
        if label not in (0, 1):
            raise Sam2rlError(
                f"The label of the point {x:g},{y:g} must be 1 (on the object) or 0 (off it), but is {label:g}."
            )
    return points


def check_correction(mask: np.ndarray, id: int, size: tuple[int, int]) -> np.ndarray:
    """The mask that an object's is corrected to, as bool [height, width].

    Args:
        id: Of the object.
        size: Height, width of the image.

    Raises:
        Sam2rlError: It has another shape, or is empty.
    """
    mask = np.asarray(mask)
    if mask.shape != size:
        raise Sam2rlError(
            f"The corrected mask of object {id} must be [{size[0]}, {size[1]}] as the image is {size[1]}x{size[0]} "
            f"pixels, but is {list(mask.shape)}."
        )
    if not mask.any():
        raise Sam2rlError(f"The corrected mask of object {id} is empty: it must show the object.")
    return mask != 0


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
