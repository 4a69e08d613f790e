"""Each published rule gives its published code's masks: 0 differing pixels, default and stress parameters."""

from __future__ import annotations

import numpy as np
import pytest
from reference import PUBLISHED, SCENES, load_video, published_masks, track_exactly

from sam2rl_tracker.engine import CONDITIONING_SLOT, Model

# Frames that the published DAM4SAM added to its distractor memory.
DRM_FRAMES = {
    ("scene-930105", "dam4sam"): {41},
    ("scene-930108", "dam4sam"): {40, 73},
    ("scene-930014", "dam4sam"): {30},
    ("scene-930105", "dam4sam-stress"): {2, 5, 8, 11, 14, 33},
    ("scene-930108", "dam4sam-stress"): {5, 9, 31, 40, 62, 71, 74, 77},
    ("scene-930014", "dam4sam-stress"): {2, 6, 9, 14, 29, 32, 35, 56, 59, 62, 66},
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("golden", PUBLISHED)
@pytest.mark.parametrize("scene", SCENES)
def test_masks_are_the_published_codes(reference_model: Model, scene: str, golden: str) -> None:
    video = load_video(scene)
    masks, conditioning = [], set()
    for mask, tracker in track_exactly(reference_model, video, PUBLISHED[golden]):
        masks.append(mask)
        (line,) = tracker.trace()
        conditioning |= {frame for frame, slot in line["memories"] if slot == CONDITIONING_SLOT and frame > 0}
    if tracker.revises:
        masks[1:] = [mask for (mask,), _ in tracker.revise()]
    differing = (np.stack(masks) != published_masks(scene, golden)).sum(axis=(1, 2))
    assert differing.tolist() == [0] * 80
    # The newest addition is used from the frame after the next one on, so one at the very end leaves no trace.
    expected = {frame for frame in DRM_FRAMES.get((scene, golden), ()) if frame <= 77}
    assert conditioning == expected
