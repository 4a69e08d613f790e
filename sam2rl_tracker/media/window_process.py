"""The process that a window lives in: it does what `window.ScreenWindow` asks for on its standard input.

OpenCV's windows hang for good in a process that has loaded PyAV before (PyAV's issue 978: both bring a libxcb), and Qt
ends a process that reaches no display. So this process loads OpenCV alone, and nobody else depends on its life.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, BinaryIO

import cv2
import numpy as np

Event = tuple[str, int, int]
"""What the mouse did, as `window.OnMouse` is told."""

_LARGEST, _SMALLEST = (1280, 800), 480  # pixels on the screen: (width, height) of a window, the longer side of one
_KEYS = {13: "enter", 10: "enter", 27: "escape", 8: "backspace"}
_MOUSE = {
    cv2.EVENT_LBUTTONDOWN: "left",
    cv2.EVENT_LBUTTONDBLCLK: "left",  # the second click of two that are quick
    cv2.EVENT_RBUTTONDOWN: "right",
    cv2.EVENT_RBUTTONDBLCLK: "right",
    cv2.EVENT_MOUSEMOVE: "move",
    cv2.EVENT_LBUTTONUP: "up",
}


class _Window:
    """The window itself, which can be resized; images keep their proportions."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_sized = False
        self._events: list[Event] = []
        # In the window of its own making, Qt has a menu on the right button.
        cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(name, self._on_mouse)

    def show(self, image: np.ndarray) -> None:
        """Put an image, uint8 [h, w, 3] RGB, into the window; the first one decides how large that is."""
        if not self._is_sized:
            height, width = image.shape[:2]
            zoom = min(_LARGEST[0] / width, _LARGEST[1] / height, max(1.0, _SMALLEST / max(height, width)))
            cv2.resizeWindow(self._name, round(width * zoom), round(height * zoom))
            self._is_sized = True
        cv2.imshow(self._name, np.ascontiguousarray(image[..., ::-1]))

    def title(self, text: str) -> None:
        cv2.setWindowTitle(self._name, text)

    def key(self, seconds: float) -> tuple[str | None, list[Event]]:
        """A key, as `window.Window.key` gives it, and what the mouse did."""
        code = cv2.waitKey(max(1, round(1000 * seconds)))
        events, self._events = self._events, []
        if cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) < 1:
            return "escape", events
        if code < 0:
            return None, events
        return _KEYS.get(code & 0xFF) or (chr(code).lower() if code < 128 else None), events

    def _on_mouse(self, event: int, x: int, y: int, flags: int, extra: object) -> None:
        if event in _MOUSE:
            self._events.append((_MOUSE[event], x, y))


def serve(name: str, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer "ready" when the window is open, and what `key` gives to each request for it, until requests end."""

    def reply(answer: Any) -> None:
        pickle.dump(answer, replies)
        replies.flush()

    window = _Window(name)
    reply("ready")
    while True:
        try:
            what, value = pickle.load(requests)
        except EOFError:
            return
        if what == "key":
            reply(window.key(value))
        elif what == "show":
            window.show(value)
        else:
            window.title(value)


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print must not come between the replies
    serve(sys.argv[1], sys.stdin.buffer, own)
