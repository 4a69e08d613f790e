"""A window on a real screen where there is a server for one, and one sentence where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media import window
from sam2rl_tracker.media.window import check_screen

# An image of 80 x 60 pixels is shown six times as large, in the screen's upper left corner.
USER = """
import threading, time, subprocess
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


def test_an_opencv_without_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opencv-python-headless says; the other process is one that says it."""
    text = (
        "cv2.error: OpenCV(4.8.0) window.cpp:1272: error: (-2:Unspecified error) The function is not implemented. "
        "Rebuild the library with Windows, GTK+ 2.x or Cocoa support."
    )
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(window, "_PROBE", f"raise SystemExit({text!r})")
    with pytest.raises(Sam2rlError, match=r"^This OpenCV has no windows \(it is opencv-python-headless\)"):
        check_screen()


def test_a_screen_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(window, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(window, "_PROBE_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(Sam2rlError, match=r"^No window can be opened \(it took longer than 0\.2 seconds\)"):
        check_screen()
    assert time.monotonic() - began < 30
