"""One object of one video with its ground truth, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam2rl_tracker.errors import Sam2rlError

FEWEST_FRAMES = 3
"""Of a clip: on the first the object is given, on the second there is one memory to choose from."""


@dataclass(frozen=True)
class Clip:
    """One object of one video with its ground truth, from the frame on which the object is given.

    Args:
        images: T frames, uint8 [h, w, 3] each; 3 or more.
        masks: bool [T, h, w], the truth; not empty on the first frame.
        known: bool [T], False where nobody knows the truth; known on some frame after the first.
        ignored: bool [T, h, w], the pixels that do not count; None = all count.
        start_counts: Whether the frame on which the object is given is scored, with IoU 1. The toolkit does that for
            objects that appear after a video's first frame.

    Raises:
        Sam2rlError: There is nothing to start from or to learn from.
    """

    images: Sequence[np.ndarray]
    masks: np.ndarray
    known: np.ndarray
    ignored: np.ndarray | None = None
    start_counts: bool = False

    def __post_init__(self) -> None:
        if len(self.images) < FEWEST_FRAMES:
            raise Sam2rlError(f"The video has {len(self.images)} frames: there is a decision to take from 3 on.")
        if not self.masks[0].any():
            raise Sam2rlError("The object is not visible on the first frame: there is nothing to start from.")
        if not self.known[1:].any():
            raise Sam2rlError("No frame after the first one has a known truth: there is nothing to learn from.")

    def __len__(self) -> int:
        return len(self.images)
