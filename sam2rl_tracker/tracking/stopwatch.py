"""How long something takes that happens again and again."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up how long its blocks take; they do not nest.

    Attributes:
        seconds: So far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began
