"""Masks for tests of measures, and the toolkit's regions of them."""

import numpy as np
from vot.region import Special
from vot.region.shapes import Mask

HEIGHT, WIDTH = 24, 32


def random_masks(rng: np.random.Generator, frames: int, absent: float = 0.2) -> np.ndarray:
    """Rectangles and noise, at least two pixels wide and tall (the toolkit misreads thinner ones); some are empty."""
    masks = np.zeros((frames, HEIGHT, WIDTH), dtype=bool)
    for frame in np.flatnonzero(rng.random(frames) >= absent):
        top, left = rng.integers(0, HEIGHT - 2), rng.integers(0, WIDTH - 2)
        height, width = rng.integers(2, HEIGHT - top + 1), rng.integers(2, WIDTH - left + 1)
        box = masks[frame, top : top + height, left : left + width]
        box[:] = rng.random((height, width)) < rng.uniform(0.3, 1.1)
        box[0, 0] = box[-1, -1] = True
    return masks


def regions(masks: np.ndarray, known: np.ndarray | None = None) -> list:
    """As the toolkit would read them: cropped masks, `Special(0)` where unknown."""
    known = np.ones(len(masks), dtype=bool) if known is None else known
    return [Mask(mask, optimize=True) if k else Special(0) for mask, k in zip(masks, known, strict=True)]


def video(*frames: str) -> np.ndarray:
    """Masks from rows of text, one string a frame, rows divided by spaces; # is set."""
    return np.array([[[pixel == "#" for pixel in row] for row in frame.split()] for frame in frames])
