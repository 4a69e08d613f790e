"""A window on the screen, by OpenCV: what is in it, and the keys and clicks that it gets.

Everything here belongs to the main thread, as window systems want it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Protocol

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.images import Image

OnMouse = Callable[[str, int, int], None]
"""Gets "left" or "right" (a button goes down), "move", or "up" (the left one goes up), and x, y in image pixels."""

_LARGEST, _SMALLEST = (1280, 800), 480  # pixels on the screen: (width, height) of a window, the longer side of one
_KEYS = {13: "enter", 10: "enter", 27: "escape", 8: "backspace"}
_PROBE = "import cv2; cv2.namedWindow('sam2rl')"
_PROBE_SECONDS = 30.0


class Window(Protocol):
    """What selecting and showing need of a window; tests have one without a screen."""

    def show(self, image: Image) -> None:
        """Put an image, uint8 [h, w, 3] RGB, into the window."""

    def title(self, text: str) -> None:
        """Write above it."""

    def on_mouse(self, call: OnMouse) -> None:
        """Have a function called for what the mouse does, during `key`."""

    def key(self, seconds: float) -> str | None:
        """Wait for a key: a lower-case character, "enter", "escape" or "backspace"; None: no other, or none came.

        A window that was closed gives "escape".
        """

    def close(self) -> None:
        """Take it off the screen."""


class ScreenWindow:
    """A window of OpenCV. It can be resized; images keep their proportions.

    Args:
        name: Its title, which is also its identity: one at a time has a name.

    Raises:
        Sam2rlError: No window can be opened here.
    """

    def __init__(self, name: str = "sam2rl") -> None:
        check_screen()
        import cv2

        self._cv2: Any = cv2
        self._name = name
        self._is_sized = False
        # In the window of its own making, Qt has a menu on the right button.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(name, flags)
        except cv2.error as error:
            raise _no_window(str(error)) from error

    def show(self, image: Image) -> None:
        if not self._is_sized:
            height, width = image.shape[:2]
            zoom = min(_LARGEST[0] / width, _LARGEST[1] / height, max(1.0, _SMALLEST / max(height, width)))
            self._cv2.resizeWindow(self._name, round(width * zoom), round(height * zoom))
            self._is_sized = True
        self._cv2.imshow(self._name, image[..., ::-1])

    def title(self, text: str) -> None:
        self._cv2.setWindowTitle(self._name, text)

    def on_mouse(self, call: OnMouse) -> None:
        cv2 = self._cv2
        names = {
            cv2.EVENT_LBUTTONDOWN: "left",
            cv2.EVENT_LBUTTONDBLCLK: "left",  # the second click of two that are quick
            cv2.EVENT_RBUTTONDOWN: "right",
            cv2.EVENT_RBUTTONDBLCLK: "right",
            cv2.EVENT_MOUSEMOVE: "move",
            cv2.EVENT_LBUTTONUP: "up",
        }

        def told(event: int, x: int, y: int, flags: int, extra: object) -> None:
            if event in names:
                call(names[event], x, y)

        cv2.setMouseCallback(self._name, told)

    def key(self, seconds: float) -> str | None:
        code = self._cv2.waitKey(max(1, round(1000 * seconds)))
        if self._cv2.getWindowProperty(self._name, self._cv2.WND_PROP_VISIBLE) < 1:
            return "escape"
        if code < 0:
            return None
        return _KEYS.get(code & 0xFF) or (chr(code).lower() if code < 128 else None)

    def close(self) -> None:
        try:
            self._cv2.destroyWindow(self._name)
            self._cv2.waitKey(1)  # it goes when events are looked at
        except self._cv2.error:  # the user has closed it
            pass


def check_screen() -> None:
    """Refuse where no window can be opened, before any work.

    Raises:
        Sam2rlError: There is no display, or OpenCV has no windows.
    """
    if sys.platform != "linux":  # elsewhere OpenCV says so itself, when a window is opened
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise Sam2rlError(
            "No window can be opened, as there is no display (DISPLAY is not set): leave --select and --show out, "
            "give --box or --init, and look at --overlay FILE.mp4 afterwards."
        )
    # Qt ends the whole process where it reaches no display: another process tries it.
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _no_window(f"it took longer than {_PROBE_SECONDS:g} seconds") from error
    if tried.returncode:
        lines = [line for line in tried.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "error:" in line]  # OpenCV's; Qt begins with what is wrong
        raise _no_window([*errors, *lines, f"status {tried.returncode}"][0])


def _no_window(reason: str) -> Sam2rlError:
    if "not implemented" in reason:
        return Sam2rlError(
            "This OpenCV has no windows (it is opencv-python-headless): type `pip uninstall opencv-python-headless` "
            "and `pip install --force-reinstall opencv-python`, or leave --select and --show out."
        )
    return Sam2rlError(
        f"No window can be opened ({' '.join(reason.split())}): check the display, or leave --select and --show out."
    )
