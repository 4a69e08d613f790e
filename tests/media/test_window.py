"""A window on a real screen where there is a server for one, and one sentence where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media import window
from sam2rl_tracker.media.window import ScreenWindow, check_screen

# PyAV comes first, as it does where video is tracked: in its process, a window of OpenCV's would hang.
# An image of 80 x 60 pixels is shown six times as large, in the screen's upper left corner.
USER = """
import threading, time, subprocess
import av
import numpy as np
from sam2rl_tracker.media.selection import select_objects
from sam2rl_tracker.media.window import ScreenWindow

def do(*words):
    subprocess.run(["xdotool", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    time.sleep(0.1)

def user():
    do("search", "--sync", "--name", "Drag")
    do("mousemove", 63, 63, "mousedown", 1)
    do("mousemove", 150, 150)
    do("mousemove", 243, 183)
    do("mouseup", 1)
    do("mousemove", 303, 303, "click", 3)
    do("key", "Return")

window = ScreenWindow()
threading.Thread(target=user, daemon=True).start()
print(select_objects(np.zeros((60, 80, 3), dtype=np.uint8), window))
window.close()
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """The name of a display that nobody looks at."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install xvfb xdotool")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()  # it says so when it is ready
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    server.terminate()
    server.wait()


def test_a_box_and_a_click_on_a_screen(screen: str) -> None:
    command = [sys.executable, "-c", USER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "DISPLAY": screen})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[Selected(box=(10.0, 10.0, 31.0, 21.0), points=((50, 50, 0),))]\n"


def test_there_is_a_screen(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    check_screen()
    shown = ScreenWindow()
    shown.show(np.zeros((4, 4, 3), dtype=np.uint8))
    shown.title("one")
    assert shown.key(0.01) is None
    shown.close()
    assert shown._process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a display is always there")
def test_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(Sam2rlError, match=r"^No window can be opened, as there is no display.*leave --select and"):
        check_screen()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a display is always there")
def test_a_screen_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt would end this process; a sentence comes instead."""
    monkeypatch.setenv("DISPLAY", "127.0.0.1:9999")
    with pytest.raises(Sam2rlError, match=r"^No window can be opened \(.+\): check the display.*\.$"):
        check_screen()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """A function that puts some code in the place of the window's process."""
    monkeypatch.setenv("DISPLAY", ":0")

    def call(code: str) -> None:
        (tmp_path / "stand_in.py").write_text(code)
        monkeypatch.setattr(window, "_PACKAGE", tmp_path)
        monkeypatch.setattr(window, "_PROCESS", "stand_in")

    return call


def test_an_opencv_without_windows(process: Callable[[str], None]) -> None:
    """What opencv-python-headless says."""
    text = (
        "cv2.error: OpenCV(4.8.0) window.cpp:1272: error: (-2:Unspecified error) The function is not implemented. "
        "Rebuild the library with Windows, GTK+ 2.x or Cocoa support."
    )
    process(f"raise SystemExit({text!r})")
    with pytest.raises(Sam2rlError, match=r"^This OpenCV has no windows \(it is opencv-python-headless\)"):
        check_screen()


def test_a_window_that_takes_for_ever(process: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    process("import time; time.sleep(60)")
    monkeypatch.setattr(window, "_PATIENCE", 0.2)
    began = time.monotonic()
    with pytest.raises(Sam2rlError, match=r"^No window can be opened \(it took longer than 0\.2 seconds\)"):
        check_screen()
    assert time.monotonic() - began < 30


def test_a_window_that_is_lost(process: Callable[[str], None]) -> None:
    """The display may go away while tracking is shown."""
    process(
        "import pickle, sys\n"
        "pickle.dump('ready', sys.stdout.buffer); sys.stdout.flush()\n"
        "pickle.load(sys.stdin.buffer)\n"
        "raise SystemExit('The X11 connection broke')"
    )
    screen = ScreenWindow()
    screen.title("one")
    with pytest.raises(Sam2rlError, match=r"\(The X11 connection broke\)"):
        screen.key(0)
    with pytest.raises(Sam2rlError, match=r"\(The X11 connection broke\)"):
        screen.show(np.zeros((4, 4, 3), dtype=np.uint8))
    screen.close()
    screen.close()
