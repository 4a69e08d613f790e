"""What videos show, whatever they are called and however large they are: thumbnails of their frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 16  # pixels of a thumbnail
_FAR, _NEAR = 20, 3  # grey levels by which one picture differs from itself, resized or compressed: at most, on average
_FLAT = 4  # grey levels: pictures that vary less, such as black ones, are alike and say nothing


@dataclass(frozen=True, eq=False)
class Contents:
    """Frames of videos.

    Attributes:
        thumbnails: uint8 [n, 16 * 16 * 3].
        levels: float [n], their means.
        names: [n] the video that each is of.
    """

    thumbnails: NDArray[np.uint8]
    levels: NDArray[np.float64]
    names: list[str]

    @classmethod
    def of(cls, videos: Iterable[tuple[str, Iterable[np.ndarray]]]) -> Contents:
        """Of videos, a name and images each; they are gone through once."""
        found = [(thumbnail(image), name) for name, images in videos for image in images]
        thumbnails = np.stack([one for one, _ in found]) if found else np.zeros((0, _SIDE * _SIDE * 3), np.uint8)
        return cls(thumbnails, thumbnails.mean(axis=1), [name for _, name in found])

    def find(self, image: np.ndarray) -> str | None:
        """The name of a video that has this picture, at whatever size; None where there is none."""
        wanted = thumbnail(image)
        if wanted.std() < _FLAT:
            return None
        near = np.flatnonzero(np.abs(self.levels - wanted.mean()) <= _NEAR)  # the others are apart by more on average
        apart = np.abs(self.thumbnails[near].astype(np.int16) - wanted)
        alike = near[(apart.max(axis=1, initial=0) <= _FAR) & (apart.mean(axis=1) <= _NEAR)]
        return self.names[int(alike[0])] if len(alike) else None


def thumbnail(image: np.ndarray) -> NDArray[np.uint8]:
    """What an image shows, in few numbers: uint8 [h, w, 3] -> [16 * 16 * 3]."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8).reshape(-1)
