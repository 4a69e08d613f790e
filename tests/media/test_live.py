"""Live video: what comes is numbered by the stream, what is not taken in time is dropped, and nothing hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from streams import FPS, encode, grey_frames, http_folder, http_part, number_of, one_answer, piped, rtp_packets, rtsp

from sam2rl_tracker.errors import Sam2rlError, StreamError
from sam2rl_tracker.media import live, receivers
from sam2rl_tracker.media.frames import Frame
from sam2rl_tracker.media.live import LiveSource
from sam2rl_tracker.media.receivers import is_live, shown_name

COUNT = 20
SHORT = 0.5  # seconds that a silent source is waited for


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that makes data standard input: as `piped`."""
    with ExitStack() as stack:

        def call(data: bytes, silent: float = 0) -> None:
            monkeypatch.setattr(receivers, "_INPUT", stack.enter_context(piped(data, silent)))

        yield call


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(FakeCamera, "count", COUNT)
    return FakeCamera


class FakeCamera:
    """A camera of OpenCV's with blue pictures; 0 is the only one that is there."""

    count = COUNT

    def __init__(self, number: int) -> None:
        self.is_there = number == 0
        self.given = 0

    def isOpened(self) -> bool:
        return self.is_there

    def read(self) -> tuple[bool, Any]:
        if self.given == self.count:
            return False, None
        self.given += 1
        time.sleep(0.01)
        return True, np.full((6, 8, 3), (200, 0, 10 * self.given % 256), dtype=np.uint8)

    def release(self) -> None:
        self.is_there = False


def take(source: LiveSource, pause: float = 0, taken: list[Frame] | None = None) -> list[Frame]:
    """All frames, each looked at for some seconds; a list that is given has those before an error."""
    taken = [] if taken is None else taken
    try:
        for frame in source:
            taken.append(frame)
            time.sleep(pause)
        return taken
    finally:
        source.close()
        assert not source._reader.is_alive()


def numbers(frames: list[Frame]) -> list[int]:
    return [int(frame.name) for frame in frames]


# ---------------------------------------------------------------- what is dropped


@pytest.mark.parametrize("kind", ["mp4", "mpegts"])
def test_a_file_from_a_server_comes_as_from_a_camera(tmp_path: Path, kind: str) -> None:
    (tmp_path / "film").write_bytes(encode(grey_frames(COUNT), kind))
    with http_folder(tmp_path) as address:
        source = LiveSource(f"{address}/film")
        assert (source.count, source.first_size(), source.first().name) == (None, (48, 64), "00000001")
        time.sleep(0.2)  # while an object is selected: nothing goes by
        began = time.monotonic()
        frames = take(source, pause=2.5 / FPS)
    assert time.monotonic() - began > (COUNT - 1) / FPS
    assert source.dropped > 0
    assert len(frames) + source.dropped == COUNT
    assert numbers(frames) == [number_of(frame.image) for frame in frames]
    assert (numbers(frames)[0], numbers(frames)[-1]) == (1, COUNT)
    assert [frame.time for frame in frames] == pytest.approx([(n - 1) / FPS for n in numbers(frames)], abs=1e-3)


def test_all_frames_of_a_pipe(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: LiveSource, at: float) -> None:
        raise AssertionError("waited for a frame's time, though all frames are wanted")

    monkeypatch.setattr(LiveSource, "_wait", fail)
    pipe(encode(grey_frames(COUNT)))
    source = LiveSource("-", every_frame=True)
    frames = take(source)
    assert numbers(frames) == [number_of(frame.image) for frame in frames] == list(range(1, COUNT + 1))
    assert source.dropped == 0


def test_a_pipe_begins_with_its_first_frames(pipe: Any) -> None:
    """They are not held back until FFmpeg knows more of the stream: the rest of it may take its time."""
    pipe(encode(grey_frames(COUNT)), silent=30)
    began = time.monotonic()
    source = LiveSource("-", every_frame=True, timeout=20)
    assert source.first().name == "00000001"
    assert time.monotonic() - began < 20
    source.close()
    assert not source._reader.is_alive()


def test_frames_to_keep_are_not_dropped(pipe: Any) -> None:
    pipe(encode(grey_frames(COUNT)))
    source = LiveSource("-", keep={5, 6, 15})
    frames = take(source, pause=5 / FPS)
    assert {"00000001", "00000006", "00000007", "00000016"} <= {frame.name for frame in frames}
    assert len(frames) + source.dropped == COUNT
    assert source.dropped > 0


def test_a_part_of_a_stream(pipe: Any) -> None:
    pipe(encode(grey_frames(COUNT)))
    source = LiveSource("-", every_frame=True, start=4)
    assert source.part(4, 8) is source
    frames = list(source.numbered())
    assert [number for number, _ in frames] == [4, 5, 6, 7, 8]
    assert frames[0][1].name == "00000005"
    assert [number_of(frame.image) - 1 for _, frame in frames] == [4, 5, 6, 7, 8]
    assert frames[0][1].time == 0
    source.close()


def test_a_part_that_never_comes(pipe: Any) -> None:
    pipe(encode(grey_frames(3)))
    with pytest.raises(StreamError, match="Standard input ended before frame 3, counted from 0"):
        LiveSource("-", start=3)


def test_frames_that_are_passed_over_are_no_silence(camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_GRACE", 0.0)
    source = LiveSource("camera:0", start=COUNT - 1, timeout=0.1)  # a picture takes 0.01 s
    assert source.first().name == f"{COUNT:08d}"
    source.close()


def test_a_camera_that_is_not_waited_for(camera: type[FakeCamera]) -> None:
    """What went by before the first frame was asked for counts as dropped. Colours are RGB."""
    source = LiveSource("camera:0")
    while source.dropped < 5:
        time.sleep(0.01)
    frames: list[Frame] = []
    with pytest.raises(StreamError, match="camera:0 stopped after 20 frames: check that it is still connected"):
        take(source, 0.03, frames)
    assert numbers(frames)[0] == 1
    assert numbers(frames)[1] > 5
    assert len(frames) + source.dropped == COUNT
    assert frames[0].image[0, 0].tolist() == [10, 0, 200]
    assert all(frame.image[0, 0, 0] == 10 * int(frame.name) for frame in frames)


def test_a_camera_on_the_network() -> None:
    """RTSP: frames are taken as they come, whatever their timestamps say."""
    with one_answer(rtsp(rtp_packets(grey_frames(COUNT)), pause=0.03)) as place:
        source = LiveSource(f"rtsp://name:secret@{place}/one")
        frames = take(source, pause=0.06)
    assert source.path == f"rtsp://{place}/one"
    assert numbers(frames)[0] == 1
    assert numbers(frames) == [number_of(frame.image) for frame in frames]
    assert len(frames) + source.dropped >= COUNT - 1  # the end of the last one may lack
    assert source.dropped > 0


# ---------------------------------------------------------------- how it ends


def test_a_stream_that_is_stopped_ends_after_the_frame_at_work(camera: type[FakeCamera]) -> None:
    camera.count = 10**9
    source = LiveSource("camera:0")
    taken = 0
    for _ in source:
        taken += 1
        if taken == 3:
            source.stop()
    assert taken == 3
    source.close()
    assert not source._reader.is_alive()
    with pytest.raises(RuntimeError, match="can be read once"):
        next(iter(source))


def test_ctrl_c_ends_it_and_the_second_interrupts(camera: type[FakeCamera], request: pytest.FixtureRequest) -> None:
    before = signal.default_int_handler
    # A shell's background jobs ignore it.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, before)))
    camera.count = 10**9
    source = LiveSource("camera:0")
    taken = 0
    with source.stopped_by_signals():
        for _ in source:
            taken += 1
            os.kill(os.getpid(), signal.SIGINT)
        assert taken == 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    source.close()


def test_signals_are_left_alone_in_other_threads(camera: type[FakeCamera]) -> None:
    taken: list[Frame] = []

    def track() -> None:
        source = LiveSource("camera:0", every_frame=True)
        with source.stopped_by_signals(), suppress(StreamError):
            take(source, taken=taken)

    thread = threading.Thread(target=track)
    thread.start()
    thread.join()
    assert len(taken) == COUNT


def test_a_size_that_changes(pipe: Any) -> None:
    pipe(encode(grey_frames(5)) + encode(grey_frames(5, size=(64, 48))))
    source = LiveSource("-", every_frame=True)
    frames: list[Frame] = []
    with pytest.raises(
        StreamError, match=r"^Standard input changed its size from 64x48 to 48x64 pixels at frame 00000006: .*\.$"
    ):
        take(source, taken=frames)
    assert numbers(frames) == [1, 2, 3, 4, 5]


def noise_frames(count: int) -> Iterator[Any]:
    """Larger in a file than what FFmpeg can go back in a pipe."""
    generator = np.random.default_rng(0)
    return (generator.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(count))


@pytest.mark.parametrize(
    ("data", "silent", "message"),
    [
        (b"", 0, "Standard input is empty: check that the program before the pipe"),
        (b"no video at all\n" * 1000, 0, "Standard input (is no video that can be read|has no video)"),
        (b"", 5, "Standard input gave nothing for 0.5 seconds"),
        (encode(grey_frames(3), "mpegts")[:188], 0, "Standard input (is no video|has no video)"),
        (encode(noise_frames(3), "mp4"), 0, "Standard input gave no frame .* has its index first"),
    ],
)
def test_a_pipe_without_a_video(pipe: Any, data: bytes, silent: float, message: str) -> None:
    pipe(data, silent)
    with pytest.raises(StreamError, match=message):
        LiveSource("-", timeout=SHORT)
    assert threading.current_thread() is threading.main_thread()


def test_a_pipe_that_falls_silent(pipe: Any) -> None:
    pipe(encode(grey_frames(COUNT)), silent=30)
    source = LiveSource("-", every_frame=True, timeout=SHORT)
    frames: list[Frame] = []
    with pytest.raises(StreamError, match=r"Standard input gave nothing for 0\.5 seconds"):
        take(source, taken=frames)
    assert len(frames) >= COUNT - 1


def test_nothing_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    master, terminal = os.openpty()
    monkeypatch.setattr(receivers, "_INPUT", terminal)
    with pytest.raises(Sam2rlError, match=r"Nothing is piped.*sam2rl track -"):
        LiveSource("-")
    os.close(master)
    os.close(terminal)


def test_addresses_without_a_video(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video\n" * 1000)
    with http_folder(tmp_path) as address:
        with pytest.raises(StreamError, match=r"/none cannot be opened \(Server returned 404 Not Found\)"):
            LiveSource(f"{address}/none")
        with pytest.raises(StreamError, match=r"notes\.txt (has no video|cannot be opened)"):
            LiveSource(f"{address}/notes.txt")
    with pytest.raises(StreamError, match=r"^http://127.*cannot be opened \(Connection refused\): check the address"):
        LiveSource(f"{address}/notes.txt")
    with pytest.raises(StreamError, match=r"^rtsp://127.*cannot be opened \(Connection refused\): check the address"):
        LiveSource(f"{address}/notes.txt".replace("http", "rtsp"))


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_says_nothing(scheme: str) -> None:
    with (
        one_answer(lambda caller: time.sleep(5)) as place,
        pytest.raises(StreamError, match=r"cannot be opened \(it gave nothing for 0\.5 seconds\)"),
    ):
        LiveSource(f"{scheme}://{place}/x", timeout=SHORT)


@pytest.mark.parametrize(("silent", "reason"), [(0.0, "Input/output error"), (5.0, "it gave nothing for 0.5 seconds")])
def test_a_server_that_breaks_off(silent: float, reason: str) -> None:
    data = encode(grey_frames(COUNT), "matroska")
    with one_answer(http_part(data, len(data) // 2, silent)) as place:
        source = LiveSource(f"http://{place}/film.mkv", every_frame=True, timeout=SHORT)
        frames: list[Frame] = []
        with pytest.raises(StreamError, match=rf"film\.mkv broke off after \d+ frames \({reason}\)"):
            take(source, taken=frames)
    assert 1 < len(frames) < COUNT


def test_cameras_that_are_not_there(camera: type[FakeCamera], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StreamError, match="camera:1 cannot be opened: check that it is connected"):
        LiveSource("camera:1")
    with pytest.raises(Sam2rlError, match="camera:front is no camera: give a number, such as camera:0"):
        LiveSource("camera:front")
    camera.count = 0
    with pytest.raises(StreamError, match="camera:0 stopped after 0 frames"):
        LiveSource("camera:0")
    assert capfd.readouterr().err == ""


def test_opencv_keeps_quiet_of_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StreamError, match="camera:999 cannot be opened"):
        LiveSource("camera:999")
    assert capfd.readouterr().err == ""


def test_a_reader_that_hangs(camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver may wait for ever: its thread is left behind."""
    monkeypatch.setattr(live, "_GRACE", 0.0)
    monkeypatch.setattr(live, "_FAREWELL", 0.1)
    released = threading.Event()
    monkeypatch.setattr(camera, "read", lambda self: (released.wait(5), None))
    with pytest.raises(StreamError, match=r"camera:0 gave nothing for 0\.5 seconds after 0 frames"):
        LiveSource("camera:0", timeout=SHORT)
    released.set()


# ---------------------------------------------------------------- names and times


@pytest.mark.parametrize("source", ["-", "camera:0", "rtsp://a/b", "http://a", "https://a:1/b?c", "foo+bar://x"])
def test_what_is_live(source: str) -> None:
    assert is_live(source)


@pytest.mark.parametrize("source", ["a.mp4", "./-", "./camera:0", "a:b.mp4", "a/b", "C:/film.mp4", Path("http://a")])
def test_what_is_a_path(source: object) -> None:
    assert not is_live(source)


def test_passwords_are_not_shown() -> None:
    assert shown_name("rtsp://me:se@cret@host:554/a@b") == "rtsp://host:554/a@b"
    assert shown_name("http://host/a") == "http://host/a"
    with pytest.raises(Sam2rlError, match=r"^ftp://host/a is no address that can be tracked: give one of http"):
        LiveSource("ftp://me:secret@host/a")


def test_times_where_timestamps_leap() -> None:
    clock = live._Clock(longest=10)
    told = [clock.time(stamp) for stamp in (5.0, 5.5, 1e6, 1e6 + 0.25, 0.0, 0.5)]
    assert told == pytest.approx([0, 0.5, 0.5, 0.75, 0.75, 1.25], abs=0.05)
