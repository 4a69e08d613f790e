"""Prompts on any frame: in exact mode, under recency, masks are those of stock `SAM2VideoPredictor`, to the pixel.

The predictor is propagated to a frame, prompted there, and propagated on. It counts prompted frames as conditioning
frames (`add_all_frames_to_correct_as_cond`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from reference import Video, load_video
from sam2.sam2_video_predictor import SAM2VideoPredictor

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.tracking.conditioning import MAX_CONDITIONING

pytestmark = pytest.mark.usefixtures("one_thread")

Masks = dict[tuple[int, int], np.ndarray]
"""bool [height, width] by frame and object."""


@dataclass(frozen=True)
class Said:
    """What a user says of an object on a frame."""

    frame: int
    object: int = 1
    points: Sequence[tuple[float, float, int]] = ()
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None

    @property
    def table(self) -> np.ndarray:
        """The points, float32 [k, 3]."""
        return np.array(self.points, dtype=np.float32).reshape(-1, 3)


def on(video: Video, frame: int) -> tuple[float, float, int]:
    """A point in the middle of the object."""
    rows, columns = np.nonzero(video.truth[frame])
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return float(columns[middle]) + 0.25, float(rows[middle]) + 0.5, 1


def around(video: Video, frame: int) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(video.truth[frame])
    return float(columns.min()), float(rows.min()), float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1


def kinds(video: Video) -> list[Said]:
    """Points, a box, both, a mask, and points off the object; some refine what was said before on the same frame."""
    x, y, _ = on(video, 9)
    return [
        Said(0, mask=video.truth[0]),
        Said(4, points=[on(video, 4)]),
        Said(4, points=[on(video, 4), (3, 3, 0)]),
        Said(6, box=around(video, 6)),
        Said(6, points=[on(video, 6)], box=around(video, 6)),
        Said(9, mask=video.truth[9]),
        Said(9, points=[(x + 4, y, 0)]),
    ]


def many(video: Video) -> list[Said]:
    """More conditioning frames than count, some of them in a row; the prompted frame is soon none of them."""
    corrections = [
        Said(t, points=[on(video, t)]) if t % 2 else Said(t, mask=video.truth[t]) for t in (1, 2, 3, 4, 5, 7, 9, 14, 15)
    ]
    return [Said(0, mask=video.truth[0]), *corrections]


def clicked(video: Video) -> list[Said]:
    """Objects that begin with points, one of them later and in a box, and are refined on their first frame, too."""
    return [
        Said(0, points=[on(video, 0)]),
        Said(0, points=[on(video, 0), (3, 3, 0)]),
        Said(4, 2, points=[(50, 60, 1)], box=(40, 40, 30, 30)),
        Said(4, 2, points=[(55, 60, 0)]),
        Said(6, 1, points=[(20, 20, 0)]),
        Said(9, 2, points=[(50, 60, 1)]),
    ]


def stock_masks(predictor: SAM2VideoPredictor, model: Model, images: Sequence[np.ndarray], script: list[Said]) -> Masks:
    masks: Masks = {}

    def keep(frame: int, ids: Sequence[int], logits: torch.Tensor) -> None:
        masks.update({(frame, number): row[0].numpy() > 0 for number, row in zip(ids, logits, strict=True)})

    with torch.inference_mode():
        state = stock_state(model, predictor, images)
        now = 0
        for said in script:
            if said.frame > now:
                for found in predictor.propagate_in_video(state, now, said.frame - now):
                    keep(*found)
                now = said.frame
            if said.mask is not None:
                keep(*predictor.add_new_mask(state, now, said.object, said.mask))
                continue
            x, y, width, height = said.box or (0, 0, 0, 0)
            points, labels = said.table[:, :2], said.table[:, 2].astype(np.int32)
            box = np.array([x, y, x + width, y + height], dtype=np.float32) if said.box else None
            keep(*predictor.add_new_points_or_box(state, now, said.object, points=points, labels=labels, box=box))
        for found in predictor.propagate_in_video(state, now):
            keep(*found)
    return masks


def our_masks(tracker: Tracker, images: Sequence[np.ndarray], script: list[Said]) -> Masks:
    masks: Masks = {}
    for frame, image in enumerate(images):
        found = tracker.initialize(image) if frame == 0 else tracker.track(image)
        masks.update({(frame, number): mask for number, mask in zip(tracker.ids, found, strict=True)})
        for said in script:
            if said.frame == frame:
                masks[frame, said.object] = tell(tracker, said)
    return masks


def tell(tracker: Tracker, said: Said) -> np.ndarray:
    if said.object in tracker.ids:
        points = said.table if said.points else None
        return tracker.correct(said.object, mask=said.mask, box=said.box, points=points)
    if said.mask is not None:
        return tracker.add(said.mask[None], ids=[said.object])[0]
    boxes = None if said.box is None else np.array([said.box], dtype=np.float32)
    return tracker.add(ids=[said.object], boxes=boxes, points=[said.table])[0]


@pytest.mark.parametrize(
    ("make_script", "frames", "size", "limit"),
    [
        (kinds, 14, (128, 128), -1),  # stock SAM 2's default is no limit
        (many, 21, (128, 128), MAX_CONDITIONING),
        (clicked, 13, (150, 110), MAX_CONDITIONING),
    ],
)
def test_masks_are_those_of_stock_sam2(
    reference_model: Model,
    make_script: Callable[[Video], list[Said]],
    frames: int,
    size: tuple[int, int],
    limit: int,
) -> None:
    video = load_video()
    images = [np.array(Image.fromarray(image).resize(size)) for image in video.images[:frames]]
    script = make_script(video)
    predictor = stock_predictor(reference_model)
    predictor.add_all_frames_to_correct_as_cond = True
    predictor.max_cond_frames_in_attn = limit
    stock = stock_masks(predictor, reference_model, images, script)
    ours = our_masks(Tracker(reference_model, exact=True, num_frames=frames), images, script)
    last = {(said.frame, said.object): said for said in script}
    for key in [key for key, said in last.items() if said.mask is not None]:
        del stock[key], ours[key]  # stock SAM 2 shows a given mask at a quarter of its size
    assert ours.keys() == stock.keys()
    apart = {key: int(np.count_nonzero(ours[key] != mask)) for key, mask in stock.items()}
    assert {key: pixels for key, pixels in apart.items() if pixels} == {}
    assert np.mean([mask.any() for mask in stock.values()]) > 0.8, "the objects are lost: this shows nothing"


def test_the_mask_that_is_refined_is_clamped_as_stock_sam2_does(reference_model: Model) -> None:
    """Where the object is absent its logits are -1024, which the prompt encoder has never seen."""
    video = load_video()
    masks = []
    for low in (-1024.0, -32.0, -8.0):
        tracker = Tracker(reference_model, exact=True)
        tracker.initialize(video.images[0], video.truth[:1])
        tracker.track(video.images[1])
        (one,) = tracker._objects
        one.logits = torch.full_like(one.logits, low)
        masks.append(tracker.correct(1, points=np.array([on(video, 1)])))
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])
