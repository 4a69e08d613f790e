"""Images on their way into the network: each is encoded once, some of them ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from sam2rl_tracker.engine import Engine, Features
from sam2rl_tracker.tracking.stopwatch import Stopwatch

_EXPECTED = 4  # images that are remembered; more would take memory
_Ready = TypeVar("_Ready")


class Images:
    """Encodes images, and knows again by identity what was made ready: nobody may change those meanwhile.

    `expect` and `encode_ahead` may be called by another thread.

    Args:
        engine: Of the tracker.
        network: Takes the time of what is encoded.
    """

    def __init__(self, engine: Engine, network: Stopwatch) -> None:
        self._engine = engine
        self._network = network
        self._resampled: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_EXPECTED)
        self._encoded: deque[tuple[np.ndarray, Features]] = deque(maxlen=_EXPECTED)

    def expect(self, image: np.ndarray) -> None:
        """Resample an image that will be encoded soon."""
        self._resampled.append((image, self._engine.resample(image)))

    def encode_ahead(self, image: np.ndarray) -> None:
        """Encode an image that `encode` is asked for soon."""
        self._encoded.append((image, self._encode(image)))

    def encode(self, image: np.ndarray) -> Features:
        """The features of an image, made now where they were not made ahead."""
        return _made_ready(self._encoded, image) or self._encode(image)

    def _encode(self, image: np.ndarray) -> Features:
        with self._network:
            return self._engine.encode_image(image, _made_ready(self._resampled, image))


def _made_ready(images: Iterable[tuple[np.ndarray, _Ready]], image: np.ndarray) -> _Ready | None:
    """What was made of this very image ahead; None = nothing."""
    return next((ready for one, ready in tuple(images) if one is image), None)
