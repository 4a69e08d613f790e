"""Where live video comes from: a camera, an address, or standard input. Each gives its pictures as they come."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import av

from sam2rl_tracker.errors import Sam2rlError, StreamError
from sam2rl_tracker.media.containers import main_stream, moving_streams, upright
from sam2rl_tracker.media.images import Image

PIPE = "-"
SCHEMES = ("http", "https", "rtsp", "rtsps")
TICK = 0.1
"""Seconds between looks at whether to go on: a lock that a signal handler would need is no good."""

_CAMERA = "camera:"
_INPUT = 0  # the descriptor of standard input
# FFmpeg looks ahead to guess the frame rate, which nobody asks for here: for seconds, while a camera waits.
_NO_LOOKING_AHEAD = {"fpsprobesize": "0", "analyzeduration": "1000000"}  # frames; microseconds
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS of FFmpeg's avformat.h: the demuxer makes timestamps up


class Picture(NamedTuple):
    """A frame that came.

    Attributes:
        stamp: When it is shown, in seconds by the stream's own clock; None where frames come when they are taken.
        decode: Makes RGB of it, uint8 [h, w, 3]: costly, and most frames that are dropped need not.
    """

    stamp: float | None
    decode: Callable[[], Image]


def is_live(source: object) -> bool:
    """Whether a source of `sam2rl track` is a camera, an address or standard input, and no path."""
    text = str(source)
    return text == PIPE or text.startswith(_CAMERA) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def shown_name(source: str) -> str:
    """What to call a live source: an address without its password, which would end up in logs."""
    return "Standard input" if source == PIPE else re.sub(r"(?<=://)[^/]*@", "", source)


def receive(source: str, timeout: float, is_over: Callable[[], bool]) -> Iterator[Picture]:
    """Open a live source and yield its pictures until it ends.

    Args:
        source: `camera:N`, an address of one of `SCHEMES`, or `-`.
        timeout: Seconds to wait for the source to answer, and for each picture.
        is_over: Whether nobody wants more.

    Raises:
        StreamError: It is not there, is no video, gave nothing for too long, or broke off.
        Sam2rlError: The source is none of these.
    """
    name = shown_name(source)
    if source == PIPE:
        return _receive_pipe(name, timeout, is_over)
    if source.startswith(_CAMERA):
        return _receive_camera(name, source.removeprefix(_CAMERA))
    if source.partition("://")[0].lower() not in SCHEMES:
        raise Sam2rlError(f"{name} is no address that can be tracked: give one of {', '.join(SCHEMES)}, or a file.")
    return _receive_address(name, source, timeout)


# ---------------------------------------------------------------- cameras


def _receive_camera(name: str, number: str) -> Iterator[Picture]:
    if not re.fullmatch(r"[0-9]{1,4}", number):
        raise Sam2rlError(f"{name} is no camera: give a number, such as camera:0.")
    import cv2  # here: where its libraries are missing, all else works

    loudness = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it fills a screen where no camera is
    try:
        camera = cv2.VideoCapture(int(number))
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    try:
        if not camera.isOpened():
            raise StreamError(
                f"{name} cannot be opened: check that it is connected, that you may read it, and that no other "
                "program uses it."
            )
        count = 0
        while True:
            is_there, image = camera.read()  # [h, w, 3] BGR
            if not is_there:
                raise StreamError(f"{name} stopped after {count} frames: check that it is still connected.")
            count += 1
            yield Picture(None, partial(cv2.cvtColor, image, cv2.COLOR_BGR2RGB))
    finally:
        camera.release()


# ---------------------------------------------------------------- addresses


def _receive_address(name: str, address: str, timeout: float) -> Iterator[Picture]:
    # By UDP, FFmpeg's own first choice, packets are lost and firewalls are in the way.
    options = {"rtsp_flags": "prefer_tcp"} if address.lower().startswith("rtsp") else {}
    options |= _NO_LOOKING_AHEAD
    began = time.monotonic()
    try:
        container = av.open(address, options=options, timeout=(timeout, timeout))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise StreamError(
            f"{name} cannot be opened ({_reason(error, began, timeout)}): check the address, and that video comes "
            "from there."
        ) from error
    with container:
        # RTSP's timestamps leap when the sender first tells the time.
        yield from _decode(name, container, timeout, is_stamped=container.format.name != "rtsp")


def _reason(error: Exception, began: float, timeout: float) -> str:
    """Why FFmpeg gave up. Where it was made to, as the time was over, what it says depends on what it was doing."""
    if isinstance(error, av.error.ExitError) or time.monotonic() - began >= timeout:
        return f"it gave nothing for {timeout:g} seconds"
    return str(getattr(error, "strerror", None) or error)


# ---------------------------------------------------------------- standard input


class _Pipe:
    """Standard input as FFmpeg reads it: at its end also when nothing came for too long, or nobody wants more."""

    def __init__(self, timeout: float, is_over: Callable[[], bool]) -> None:
        self._timeout = timeout
        self._is_over = is_over
        self.is_silent = False
        self.is_empty = True

    def read(self, size: int) -> bytes:
        deadline = time.monotonic() + self._timeout
        while self.is_silent or not select.select([_INPUT], [], [], TICK)[0]:
            self.is_silent |= time.monotonic() > deadline
            if self.is_silent or self._is_over():
                return b""
        data = os.read(_INPUT, size)
        self.is_empty &= not data
        return data


def _receive_pipe(name: str, timeout: float, is_over: Callable[[], bool]) -> Iterator[Picture]:
    if os.isatty(_INPUT):
        raise Sam2rlError("Nothing is piped to standard input: type `PROGRAM | sam2rl track - ...`.")
    pipe = _Pipe(timeout, is_over)
    try:
        container = av.open(pipe, options=_NO_LOOKING_AHEAD)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if pipe.is_silent:
            raise _silent(name, timeout) from error
        if pipe.is_empty:
            raise StreamError(f"{name} is empty: check that the program before the pipe writes a video.") from error
        raise StreamError(
            f"{name} is no video that can be read from its beginning to its end ({error.strerror or error}): pipe "  # type: ignore[union-attr]
            "Matroska, MPEG-TS, or an .mp4 whose index comes first (`ffmpeg -movflags +faststart`)."
        ) from error
    with container:
        yield from _decode(name, container, timeout, is_stamped=True)
    if pipe.is_silent:
        raise _silent(name, timeout)


def _silent(name: str, timeout: float) -> StreamError:
    return StreamError(f"{name} gave nothing for {timeout:g} seconds: check the sender, or give a longer --timeout.")


# ---------------------------------------------------------------- both


def _decode(name: str, container: Any, timeout: float, is_stamped: bool) -> Iterator[Picture]:
    """The pictures of an open container.

    Args:
        is_stamped: Whether its timestamps can be trusted, if it has any.
    """
    if not moving_streams(container) or container.format.name == "tty":  # FFmpeg takes any text for ANSI art
        raise StreamError(f"{name} has no video: check that it is the right one.")
    stream = main_stream(container)
    stream.thread_type = "SLICE"  # threads of frames would hold back as many
    is_stamped &= not container.format.flags & _NO_TIMESTAMPS
    packets = frames = 0
    began = time.monotonic()
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in _decode_packet(packet):
                frames += 1
                yield Picture(frame.time if is_stamped else None, partial(upright, frame))
            began = time.monotonic()
    except (av.error.FFmpegError, OSError) as error:
        reason = _reason(error, began, timeout)
        if not frames:
            raise StreamError(
                f"{name} gave no frame ({reason}): check the sender, and that an .mp4 has its index first (`ffmpeg "
                "-movflags +faststart`), as it is read from its beginning to its end."
            ) from error
        raise StreamError(
            f"{name} broke off after {frames} frames ({reason}): check the sender and the network."
        ) from error
    if packets < stream.frames:  # the header's claim, 0 where it makes none
        raise StreamError(
            f"{name} broke off after {frames} of the {stream.frames} frames that it promised: check the sender."
        )


def _decode_packet(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:  # lost on the way, or before the first key frame: a later one mends it
        return []
