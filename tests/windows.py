"""A window without a screen: what it shows is kept, and a script says what the user does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.media.window import OnMouse

Act = str | tuple[str, int, int] | None


class FakeWindow:
    """A user who does one thing after the other, and then nothing.

    Args:
        acts: A key as `Window.key` gives it, what the mouse does as `OnMouse` gets it, or None: nothing for a while.
    """

    def __init__(self, acts: Iterable[Act] = ()) -> None:
        self._acts: Iterator[Act] = iter(acts)
        self._call: OnMouse = lambda what, x, y: None
        self.shown: list[NDArray[np.uint8]] = []
        self.titles: list[str] = []
        self.is_open = True

    def show(self, image: NDArray[np.uint8]) -> None:
        self.shown.append(image.copy())

    def title(self, text: str) -> None:
        self.titles.append(text)

    def on_mouse(self, call: OnMouse) -> None:
        self._call = call

    def key(self, seconds: float) -> str | None:
        act = next(self._acts, None)
        if isinstance(act, tuple):
            self._call(*act)
            return None
        return act

    def close(self) -> None:
        self.is_open = False


def drag(x0: int, y0: int, x1: int, y1: int) -> list[Act]:
    """A box is drawn from one corner to the other."""
    return [("left", x0, y0), ("move", (x0 + x1) // 2, (y0 + y1) // 2), ("move", x1, y1), ("up", x1, y1)]


def click(x: int, y: int) -> list[Act]:
    return [("left", x, y), ("up", x, y)]
