"""Corrections: in exact mode, under recency, they are stock SAM 2's; under every rule they bring a lost object back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.tracking.conditioning import MAX_CONDITIONING


@dataclass(frozen=True)
class Said:
    """What a user says of an object on a frame."""

    frame: int
    object: int = 1
    points: Sequence[tuple[float, float, int]] = ()
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


def stock_masks(
    model: Model, images: Sequence[np.ndarray], script: Sequence[Said]
) -> dict[tuple[int, int], np.ndarray]:
    """Masks by frame and object of the stock predictor, propagated to each prompt and on."""
    predictor = stock_predictor(model)
    predictor.add_all_frames_to_correct_as_cond = True
    predictor.max_cond_frames_in_attn = MAX_CONDITIONING
    masks: dict[tuple[int, int], np.ndarray] = {}

    def keep(frame: int, ids: Sequence[int], logits: torch.Tensor) -> None:
        masks.update({(frame, number): row[0].numpy() > 0 for number, row in zip(ids, logits, strict=True)})

    with torch.inference_mode():
        state = stock_state(model, predictor, images)
        state["video_height"], state["video_width"] = images[0].shape[:2]
        now = 0
        for said in script:
            if said.frame > now:
                for frame, ids, logits in predictor.propagate_in_video(state, now, said.frame - now):
                    keep(frame, ids, logits)
                now = said.frame
            if said.mask is not None:
                keep(*predictor.add_new_mask(state, now, said.object, said.mask))
                masks[now, said.object] = said.mask  # we return what was given
                continue
            points = np.array(said.points, dtype=np.float32).reshape(-1, 3)
            x, y, width, height = said.box or (0, 0, 0, 0)
            keep(
                *predictor.add_new_points_or_box(
                    state,
                    now,
                    said.object,
                    points=points[:, :2] if len(points) else None,
                    labels=points[:, 2].astype(np.int32) if len(points) else None,
                    box=np.array([x, y, x + width, y + height], dtype=np.float32) if said.box else None,
                )
            )
        shown = {key: mask for key, mask in masks.items() if key[0] == now}
        for frame, ids, logits in predictor.propagate_in_video(state, now):
            keep(frame, ids, logits)
        masks.update(shown)
    return masks


def our_masks(
    tracker: Tracker, images: Sequence[np.ndarray], script: Sequence[Said]
) -> dict[tuple[int, int], np.ndarray]:
    masks: dict[tuple[int, int], np.ndarray] = {}
    for frame, image in enumerate(images):
        found = tracker.initialize(image) if frame == 0 else tracker.track(image)
        masks.update({(frame, number): mask for number, mask in zip(tracker.ids, found, strict=True)})
        for said in script:
            if said.frame == frame:
                masks[frame, said.object] = say(tracker, said)
    return masks


def say(tracker: Tracker, said: Said) -> np.ndarray:
    points = np.array(said.points, dtype=np.float32).reshape(-1, 3)
    if said.object in tracker.ids:
        if said.mask is not None:
            return tracker.correct(said.object, mask=said.mask)
        return tracker.correct(said.object, box=said.box, points=points)
    if said.mask is not None:
        return tracker.add(said.mask[None], ids=[said.object])[0]
    boxes = None if said.box is None else np.array([said.box], dtype=np.float32)
    return tracker.add(ids=[said.object], boxes=boxes, points=[points])[0]


def check(model, images, script):
    ours = our_masks(Tracker(model, exact=True, num_frames=len(images)), images, script)
    stock = stock_masks(model, images, script)
    for said in script:
        if said.mask is not None:  # stock SAM 2 returns it at a quarter of its size
            del ours[said.frame, said.object], stock[said.frame, said.object]
    apart = {key: int(np.count_nonzero(ours[key] != stock[key])) for key in stock}
    assert ours.keys() == stock.keys()
    assert {key: count for key, count in apart.items() if count} == {}


def center(mask):
    r, c = np.nonzero(mask)
    i = len(r) // 2
    return float(c[i]), float(r[i])


def test_points(one_thread, nano, video):
    x, y = center(video.truth[5])
    check(
        nano,
        video.images[:12],
        [
            Said(0, mask=video.truth[0]),
            Said(5, points=[(x, y, 1)]),
            Said(8, points=[(x, y, 1), (10, 10, 0)]),
            Said(8, box=(30, 40, 30, 30)),
        ],
    )


def test_many(one_thread, nano, video):
    s = [Said(0, mask=video.truth[0])]
    for t in (1, 2, 3, 4, 5, 7, 9, 14, 15):
        x, y = center(video.truth[t])
        s.append(Said(t, points=[(x, y, 1)]) if t % 2 else Said(t, mask=video.truth[t]))
    check(nano, video.images[:24], s)


def test_start(one_thread, nano, video):
    x, y = center(video.truth[0])
    images = [np.asarray(Image.fromarray(i).resize((150, 110))) for i in video.images[:12]]
    check(
        nano,
        images,
        [
            Said(0, points=[(x, y, 1)]),
            Said(0, points=[(x, y, 1), (3, 3, 0)]),
            Said(4, 2, points=[(50, 60, 1)], box=(40, 40, 30, 30)),
            Said(4, 2, points=[(55, 60, 0)]),
            Said(6, 1, points=[(20, 20, 0)]),
            Said(9, 2, points=[(50, 60, 1)]),
        ],
    )
