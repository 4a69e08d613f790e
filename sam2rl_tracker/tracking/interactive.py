"""What a user shows on one frame, by masks or by points and boxes, and what the network makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from sam2rl_tracker.engine import Chosen, Engine, Features, MemorySelection
from sam2rl_tracker.errors import NothingFound, Sam2rlError
from sam2rl_tracker.tracking import checks, steps

_SATURATED = 32.0  # SAM 2 clamps the logits of an earlier mask to this before it feeds them back


@dataclass(frozen=True, eq=False)
class Clicks:
    """Where one object is: a box around it, points on and off it, or both.

    Attributes:
        points: float32 [k, 3] x, y in pixels of the image, and 1 on the object or 0 off it.
        box: float32 [4] x, y, width, height in pixels of the image, or None.
    """

    points: np.ndarray
    box: np.ndarray | None

    @property
    def show_something(self) -> bool:
        """Whether they say where the object is, and not only where it is not."""
        return self.box is not None or bool((self.points[:, 2] == 1).any())


@dataclass(frozen=True, eq=False)
class Shown:
    """Objects on a frame on which a user prompted them.

    Attributes:
        chosen: As the engine goes on with them.
        masks: bool [objects, height, width].
        ious: The predicted IoU of each; 1 for masks that were given.
    """

    chosen: Chosen
    masks: np.ndarray
    ious: list[float]


def read_clicks(
    points: Sequence[np.ndarray] | None, boxes: np.ndarray | None, ids: Sequence[int] | None, size: tuple[int, int]
) -> list[Clicks]:
    """Points and boxes of objects, checked.

    Args:
        points: float [k, 3] for each object; None = no points.
        boxes: float [objects, 4]; None = no boxes. Beside points, a row of NaN is no box.
        ids: Of the objects, to name them in errors; None = 1, 2, 3, ...
        size: Height, width of the image.

    Raises:
        Sam2rlError: They have another shape, lie outside the image, or differ in number; an object has neither.
    """
    if points is None:
        boxes = checks.check_boxes(np.asarray(boxes), size)
        points = [np.zeros((0, 3))] * len(boxes)
    if len(points) == 0:
        raise Sam2rlError("No points and no boxes were given: call initialize(image) to begin without objects.")
    boxes = np.full((len(points), 4), np.nan) if boxes is None else np.asarray(boxes, dtype=np.float32)
    if boxes.shape != (len(points), 4):
        raise Sam2rlError(
            f"Beside the points, boxes must be [{len(points)}, 4] (NaN where an object has none), but are "
            f"{list(boxes.shape)}."
        )
    clicks = []
    for index, (own, box) in enumerate(zip(points, boxes, strict=True)):
        checked = None if np.isnan(box).all() else checks.check_boxes(box[None], size)[0]
        clicks.append(Clicks(checks.check_points(own, size), checked))
        if checked is None and len(clicks[-1].points) == 0:
            raise Sam2rlError(f"Neither points nor a box were given for object {_name(index, ids)}.")
    return clicks


def check_new(clicks: Sequence[Clicks], ids: Sequence[int] | None) -> None:
    """Something must say where a new object is; `ids` as in `read_clicks`.

    Raises:
        Sam2rlError: All points of an object are off it, and it has no box.
    """
    for index, own in enumerate(clicks):
        if not own.show_something:
            raise Sam2rlError(
                f"Object {_name(index, ids)} has points off it alone: give a point on it, or a box around it."
            )


def _name(index: int, ids: Sequence[int] | None) -> int:
    return ids[index] if ids is not None and index < len(ids) else index + 1


def show_masks(engine: Engine, features: Features, masks: np.ndarray) -> Shown:
    """Objects by their masks, bool [objects, height, width]."""
    return Shown(engine.prompt_masks(features, masks), masks, [1.0] * len(masks))


def show_clicks(engine: Engine, features: Features, clicks: Sequence[Clicks]) -> Shown:
    """New objects by points and boxes.

    Raises:
        NothingFound: The network sees nothing there.
    """
    prompts = [engine.point_prompt(features.video_size, own.points, own.box) for own in clicks]
    return _shown(engine, features, *engine.prompt_points(features, prompts), clicks)


def show_correction(
    engine: Engine, features: Features, clicks: Clicks, logits: Tensor, selection: MemorySelection | None
) -> Shown:
    """An object whose mask is refined by points or a box.

    Args:
        logits: [4h, 4w] of the mask as it is.
        selection: What the frame attended to; None on the object's first frame, which attends to nothing.

    Raises:
        NothingFound: The network sees nothing where the object is said to be, or nothing at all on the first frame.
    """
    previous = logits.clamp(-_SATURATED, _SATURATED)
    prompt = engine.point_prompt(features.video_size, clicks.points, clicks.box, previous)
    if selection is None:
        found = engine.prompt_points(features, [prompt])
    else:
        found = engine.prompt_tracked(features, replace(selection, prompt=prompt))
    shown = _shown(engine, features, *found, [clicks])
    if selection is None and not shown.masks.any():  # an object must begin with something
        raise NothingFound("The points off the object leave nothing of it: give a point on it, a box or a mask.")
    return shown


def _shown(engine: Engine, features: Features, chosen: Chosen, ious: Tensor, clicks: Sequence[Clicks]) -> Shown:
    masks = steps.to_masks(engine, chosen.logits, features)
    for own, mask in zip(clicks, masks, strict=True):
        if own.box is not None:
            checks.check_found(own.box[None], mask[None])
        elif own.show_something and not mask.any():
            x, y = own.points[own.points[:, 2] == 1][0, :2]
            raise NothingFound(f"No object was found at the point {x:g},{y:g}: give more points, a box or a mask.")
    return Shown(chosen, masks, ious.tolist())
