"""Clips: what there is to start from and to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip

FRAMES = 4


def test_clips_that_teach_nothing_are_refused() -> None:
    images = [np.zeros((6, 8, 3), dtype=np.uint8)] * FRAMES
    masks = np.ones((FRAMES, 6, 8), dtype=bool)
    known = np.ones(FRAMES, dtype=bool)
    assert len(Clip(images, masks, known)) == FRAMES
    with pytest.raises(Sam2rlError, match=r"^The video has 2 frames"):
        Clip(images[:2], masks[:2], known[:2])
    with pytest.raises(Sam2rlError, match="not visible on the first frame"):
        Clip(images, np.zeros_like(masks), known)
    with pytest.raises(Sam2rlError, match=r"^No frame after the first one has a known truth"):
        Clip(images, masks, np.arange(FRAMES) == 0)
