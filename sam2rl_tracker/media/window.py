"""A window on the screen, by OpenCV: what is in it, and the keys and clicks that it gets.

It lives in a process of its own: see `window_process`.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.images import Image

OnMouse = Callable[[str, int, int], None]
"""Gets "left" or "right" (a button goes down), "move", or "up" (the left one goes up), and x, y in image pixels."""

_PROCESS = "sam2rl_tracker.media.window_process"
_TITLE = "sam2rl"  # until it gets another
_PATIENCE = 30.0  # seconds that a window has to open, and to answer
_PACKAGE = Path(__file__).parents[2]


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
    """A window on the screen. It can be resized; images keep their proportions.

    Raises:
        Sam2rlError: No window can be opened here. All methods raise it where the window is lost, not when a user
            closes it.
    """

    def __init__(self) -> None:
        _check_display()
        self._call: OnMouse = lambda what, x, y: None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        paths = [str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, _TITLE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # a Ctrl-C that is meant for tracking leaves it alone
        )
        try:
            self._answer(_PATIENCE)
        except BaseException:
            self.close()
            raise

    def show(self, image: Image) -> None:
        self._ask("show", image)

    def title(self, text: str) -> None:
        self._ask("title", text)

    def on_mouse(self, call: OnMouse) -> None:
        self._call = call

    def key(self, seconds: float) -> str | None:
        self._ask("key", seconds)
        key, events = self._answer(seconds + _PATIENCE)
        for event in events:
            self._call(*event)
        return key

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # it may have ended before
                pipe.close()  # type: ignore[union-attr]  # both are pipes
        self._end()
        self._said.close()

    def _end(self) -> int:
        """Wait for the process, which ends where requests do; its status."""
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _ask(self, what: str, value: object) -> None:
        pipe: Any = self._process.stdin
        try:
            pickle.dump((what, value), pipe, protocol=5)
            pipe.flush()
        except OSError as error:
            raise self._lost() from error

    def _answer(self, seconds: float) -> Any:
        """What the process says next."""
        pipe: Any = self._process.stdout
        if os.name == "posix" and not select.select([pipe], [], [], seconds)[0]:
            raise _no_window(f"it took longer than {seconds:g} seconds")
        try:
            return pickle.load(pipe)
        except (EOFError, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> Sam2rlError:
        status = self._end()
        self._said.seek(0)
        lines = [line for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error:" in line]  # OpenCV's; Qt begins with what is wrong
        return _no_window([*errors, *lines, f"status {status}"][0])


def check_screen() -> None:
    """Refuse where no window can be opened, before any work.

    Raises:
        Sam2rlError: There is no display, or OpenCV has no windows.
    """
    ScreenWindow().close()


def _check_display() -> None:
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise Sam2rlError(
            "No window can be opened, as there is no display (DISPLAY is not set): leave --select and --show out, "
            "give --box or --init, and look at --overlay FILE.mp4 afterwards."
        )


def _no_window(reason: str) -> Sam2rlError:
    if "not implemented" in reason:
        return Sam2rlError(
            "This OpenCV has no windows (it is opencv-python-headless): type `pip uninstall opencv-python-headless` "
            "and `pip install --force-reinstall opencv-python`, or leave --select and --show out."
        )
    return Sam2rlError(
        f"No window can be opened ({' '.join(reason.split())}): check the display, or leave --select and --show out."
    )
