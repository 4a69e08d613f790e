"""How long something takes that happens again and again."""

from __future__ import annotations

import threading
import time


class Stopwatch:
    """Adds up how long at least one of its blocks runs, in whichever threads.

    Attributes:
        seconds: So far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        self._running = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._running:
                self._began = time.perf_counter()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self.seconds += time.perf_counter() - self._began
