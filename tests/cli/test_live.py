"""`sam2rl track` of live video and in windows, and what it says of `nano`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from PIL import Image
from reference import Video
from streams import FPS, encode, http_folder, http_part, one_answer, piped
from windows import Act, FakeWindow, click, drag

from sam2rl_tracker.media import receivers, window
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.vot.workspace import generate

COUNT = 12
NANO = "nano is for trying: it has seen generated scenes only. A real model: `sam2rl model fetch sam2.1_hiera_tiny`"
NOWHERE = "http://127.0.0.1:9/x"
User = Callable[..., list[FakeWindow]]
OUTPUTS = ("--overlay", "o.mp4", "--trace", "t.jsonl", "--device", "cpu")


@pytest.fixture
def film(video: Video) -> bytes:
    """A short MPEG-TS of a generated scene."""
    return encode(iter(video.images[:COUNT]))


@pytest.fixture
def box(video: Video) -> str:
    """X,Y,W,H of the object on its first frame."""
    rows, columns = np.nonzero(video.truth[0])
    return f"{columns.min()},{rows.min()},{np.ptp(columns) + 1},{np.ptp(rows) + 1}"


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    """A function that says what a user does in each window; it returns the windows, which open later."""

    def call(*acts: list[Act]) -> list[FakeWindow]:
        windows = [FakeWindow(own) for own in acts]
        waiting = iter(windows)
        monkeypatch.setattr(window, "ScreenWindow", lambda: next(waiting))
        monkeypatch.setattr(window, "check_screen", lambda: None)
        return windows

    return call


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    with ExitStack() as stack:
        yield lambda data: monkeypatch.setattr(receivers, "_INPUT", stack.enter_context(piped(data)))


def masks(folder: str = "live-masks") -> list[str]:
    return sorted(path.stem for path in Path(folder).glob("*.png"))


def traced() -> list[int]:
    return [json.loads(line)["frame"] for line in Path("t.jsonl").read_text().splitlines()]


# ---------------------------------------------------------------- live


def test_an_address_is_tracked_live(
    run: Run, film: bytes, box: str, tmp_path: Path, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a tracker that cannot keep up; the window is one in which looking at a frame takes time."""
    Path("film.ts").write_bytes(film)
    (shown,) = user([])
    monkeypatch.setattr(shown, "key", lambda seconds: time.sleep(2.5 / FPS))
    with http_folder(tmp_path) as address:
        status, _, said = run("track", f"{address}/film.ts", "--box", box, "--show", *OUTPUTS)
    assert status == 0, said
    assert f"{len(masks())} frames, 1 object" in said
    assert f"dropped {COUNT - len(masks())} of the stream's frames" in said
    assert 1 < len(masks()) < COUNT
    assert traced() == [int(name) - 1 for name in masks()]
    assert len(shown.shown) == len(masks())
    assert not shown.is_open
    assert NANO in said


def test_a_pipe_is_tracked_frame_by_frame(run: Run, film: bytes, box: str, pipe: Callable[[bytes], None]) -> None:
    pipe(film)
    status, _, said = run("track", "-", "--box", box, "--every-frame", "--out", "masks", *OUTPUTS)
    assert status == 0, said
    assert len(masks("masks")) == COUNT
    assert "dropped" not in said
    pipe(film)
    assert run("track", "-", "--box", box, "--every-frame")[0] == 0
    assert len(masks()) == COUNT


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["camera:99"], 1, "error: camera:99 cannot be opened: check that it is connected"),
        (["camera:x"], 2, "error: camera:x is no camera"),
        ([NOWHERE], 1, r"cannot be opened \(Connection refused\)"),
        (["gopher://x"], 2, "error: gopher://x is no address that can be tracked"),
        ([NOWHERE, "--backward"], 2, "error: Live video cannot be tracked backwards"),
        ([NOWHERE, "--policy", "sam2long:output=final"], 2, "error: Policy 'sam2long:output=final' chooses its masks"),
    ],
)
def test_bad_sources_are_one_sentence(run: Run, arguments: list[str], status: int, message: str) -> None:
    found, out, said = run("track", *arguments, "--box", "1,2,30,30", "--device", "cpu")
    assert (found, out) == (status, "")
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert re.search(message, said), said
    assert not Path("live-masks").exists()


def test_what_was_tracked_before_a_stream_broke_off_is_kept(run: Run, video: Video, box: str) -> None:
    data = encode(iter(video.images[:COUNT]), "matroska")
    with one_answer(http_part(data, len(data) * 3 // 4)) as place:
        status, _, said = run("track", f"http://{place}/x", "--box", box, "--every-frame", *OUTPUTS)
    assert status == 1
    assert f"The masks of the {len(masks())} frames before it are in live-masks" in said
    assert len(traced()) == len(masks()) > 1
    assert Path("o.mp4").stat().st_size > 0


@pytest.mark.slow  # two processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_a_normal_end(
    tmp_path: Path, film: bytes, box: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pipe that goes on and on; all that is written is complete."""
    arguments = ["track", "-", "--box", box, "--every-frame", "--timeout", "100", *OUTPUTS]
    command = [sys.executable, "-m", "sam2rl_tracker", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
    assert process.stdin
    assert process.stderr
    process.stdin.write(film)
    process.stdin.flush()  # and it stays open
    deadline = time.monotonic() + 100
    while len(list(tmp_path.glob("live-masks/[!.]*.png"))) < 4:  # a mask that is being written has a hidden name
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    said = process.stderr.read().decode()
    assert process.wait(60) == 0, said
    process.stdin.close()
    monkeypatch.chdir(tmp_path)
    assert len(masks()) >= 4
    assert f"{len(masks())} frames, 1 object" in " ".join(said.split())
    assert "Traceback" not in said
    assert traced() == [int(name) - 1 for name in masks()]
    assert Path("o.mp4").stat().st_size > 0


# ---------------------------------------------------------------- windows


def test_an_object_is_selected_in_a_window(run: Run, video: Video, box: str, user: User) -> None:
    """Of a folder; and the masks are those of the box and the point that were drawn."""
    Path("clip").mkdir()
    for index, image in enumerate(video.images[:4]):
        Image.fromarray(image).save(f"clip/{index}.png")
    x, y, width, height = map(int, box.split(","))
    corners = (x, y, x + width - 1, y + height - 1)
    (selecting, showing) = user([*drag(*corners), ("right", 0, 0), "n", *click(100, 100), "enter"], [])
    status, _, said = run("track", "clip", "--select", "--show", "--out", "masks", *OUTPUTS)
    assert status == 0, said
    assert "4 frames, 2 objects" in said
    assert np.array_equal(selecting.shown[0], video.images[0])
    assert len(showing.shown) == 4
    assert not selecting.is_open
    assert not showing.is_open
    points = ("--point", "0,0,-,object=1", "--point", "100,100,object=2")
    assert run("track", "clip", "--box", f"{box},object=1", *points, "--out", "expected", "--device", "cpu")[0] == 0
    for name in masks("expected"):
        expected = np.asarray(Image.open(f"expected/{name}.png"))
        assert np.array_equal(np.asarray(Image.open(f"masks/{name}.png")), expected)


def test_a_frame_to_begin_with_is_selected_on(run: Run, film: bytes, user: User) -> None:
    Path("film.ts").write_bytes(film)
    (selecting,) = user(["escape"])
    status, _, said = run("track", "film.ts", "--select", "--start", "5")
    assert status == 2
    assert "error: No object was selected, so nothing was tracked." in said
    assert not selecting.is_open
    assert not Path("film-masks").exists()


def test_q_ends_tracking(run: Run, film: bytes, box: str, user: User) -> None:
    Path("film.ts").write_bytes(film)
    (showing,) = user([None, None, "q"])
    status, _, said = run("track", "film.ts", "--box", box, "--show", *OUTPUTS)
    assert status == 0, said
    assert "3 frames, 1 object" in said
    assert len(traced()) == len(masks("film-masks")) == 3
    assert not showing.is_open


def test_windows_without_a_screen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before the video is looked at."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for option in ("--select", "--show"):
        status, _, said = run("track", "nowhere", option)
        assert status == 2
        assert "No window can be opened, as there is no display" in said


def test_objects_are_given_in_one_way(run: Run, user: User) -> None:
    user([])
    status, _, said = run("track", "nowhere", "--select", "--box", "1,2,3,4")
    assert status == 2
    assert "either by --select, or by --init, --box, --point and --prompts" in said


# ---------------------------------------------------------------- nano


def test_nano_is_said_to_be_for_trying(run: Run, film: bytes, box: str) -> None:
    """On footage; not on a generated scene, and not of another model."""
    Path("film.ts").write_bytes(film)
    status, _, said = run("track", "film.ts", "--box", box)
    assert status == 0
    assert said.count(NANO) == 1
    assert "then --model sam2.1_hiera_tiny" in said

    generate("W", 1, 3, frames=3)
    status, _, said = run("track", "W/sequences/scene-00003/color", "--box", "30,30,40,40")
    assert status == 0, said
    assert "for trying" not in said

    model = Path(__file__).parents[1] / "data" / "model"
    status, _, said = run("track", "film.ts", "--box", box, "--model", model)
    assert status == 0, said
    assert "for trying" not in said


def test_nano_is_not_blamed_for_an_error(run: Run) -> None:
    with VideoWriter("film.mp4") as writer:
        writer.write(np.zeros((32, 32, 3), dtype=np.uint8))
    assert "for trying" not in run("track", "film.mp4", "--box", "1,2,3")[2]
