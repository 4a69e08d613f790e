"""The changed versions of a video that agents are replayed on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from reference import load_video

from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.experiments.transfer import change

FRAMES = 7
NUMBERS = np.arange(FRAMES)


def clip_of(frames: int = FRAMES) -> Clip:
    video = load_video()
    return Clip(list(video.images[:frames]), video.truth[:frames], np.ones(frames, dtype=bool))


def test_the_images_change_and_the_truth_does_not() -> None:
    clip = clip_of()
    for variant, low, high in (("original", 0, 0), ("jpeg", 1, 15), ("brighter", 1, 4)):
        changed = change(clip, variant)
        assert changed.masks is clip.masks
        moved = [np.abs(a.astype(float) - b).mean() for a, b in zip(changed.images, clip.images, strict=True)]
        assert low <= max(moved) <= high
    pixels = [np.array([[[100, 250, 255]]], dtype=np.uint8)] * FRAMES
    bright = change(replace(clip, images=pixels), "brighter").images[0]
    assert bright.tolist() == [[[102, 255, 255]]]


def test_every_second_frame() -> None:
    clip = replace(clip_of(), known=NUMBERS % 4 == 0, ignored=clip_of().masks)
    half = change(clip, "halved")
    assert half.ignored is not None
    assert half.known.tolist() == [True, False, True, False]
    for k, t in enumerate(range(0, FRAMES, 2)):
        assert np.array_equal(half.images[k], clip.images[t])
        assert np.array_equal(half.masks[k], clip.masks[t])
        assert np.array_equal(half.ignored[k], clip.masks[t])
