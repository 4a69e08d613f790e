"""A video file, written frame by frame."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, check_output_file, temporary_path, write_error
from sam2rl_tracker.media.images import Image

_TICK = Fraction(1, 90000)
"""Seconds; the resolution of times in a video whose frames are not equally long."""
_MARK = "written by sam2rl_tracker"
"""The file's comment, by which a later run knows that it may overwrite it."""


class VideoWriter:
    """Write frames to an H.264 .mp4 that every player opens; a context manager.

    The file appears under its name when the block ends without an exception, and not at all otherwise. Odd sizes are
    padded to even by repeating the last row or column, which yuv420p needs.

    Args:
        path: Where to write; must end in .mp4.
        fps: Frames per second; None (unknown) stands for 25. Frames that tell when they are shown keep their times.

    Raises:
        Sam2rlError: The name does not end in .mp4, the file cannot be written, or no frame was written.
    """

    def __init__(self, path: StrPath, fps: float | None = None) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise Sam2rlError(f"{path} does not end in .mp4, the only video format written: give a name that does.")
        self._temporary = temporary_path(self.path)
        self._rate = Fraction(fps or 25).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, ...] = ()
        self._last_tick = -1

    def __enter__(self) -> VideoWriter:
        try:
            self._container = av.open(str(self._temporary.absolute()), "w", format="mp4")
            self._container.metadata["comment"] = _MARK
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error
        return self

    def write(self, image: Image, time: float | None = None) -> None:
        """Append one frame.

        Args:
            image: uint8 [h, w, 3] RGB, of the same size as the first.
            time: When it is shown, in seconds; None: one frame after the one before. For all frames or for none.

        Raises:
            Sam2rlError: Encoding or writing failed.
        """
        if self._stream is None:
            self._size = image.shape
            self._stream = self._add_stream(image, timed=time is not None)
        if image.shape != self._size:
            raise ValueError(f"frame of shape {image.shape} in a video of shape {self._size}")
        height, width = image.shape[:2]
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        if time is not None:
            frame.time_base = _TICK
            # Of two frames at one time, or in the wrong order, the encoder would take none.
            frame.pts = self._last_tick = max(round(time / _TICK), self._last_tick + 1)
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error

    def _add_stream(self, image: Image, timed: bool) -> Any:
        try:
            stream = self._container.add_stream("h264", rate=self._rate, options={"crf": "20", "preset": "veryfast"})
        except (av.error.FFmpegError, ValueError) as error:
            raise Sam2rlError(
                f"{self.path} cannot be written: this PyAV has no H.264 encoder, `pip install --force-reinstall av`."
            ) from error
        if timed:
            stream.codec_context.time_base = _TICK
        stream.pix_fmt = "yuv420p"
        stream.height = image.shape[0] + image.shape[0] % 2
        stream.width = image.shape[1] + image.shape[1] % 2
        return stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(av.error.FFmpegError, OSError):  # whatever made the block fail is what to report
                self._container.close()
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._stream is None:
            raise Sam2rlError(f"{self.path} was not written: no frame was given, give a video with frames.")
        try:
            self._container.mux(self._stream.encode(None))  # None flushes the encoder
            self._container.close()  # writes the index, which can fail: the disk may be full
            os.replace(self._temporary, self.path)
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error


def check_output_video(path: StrPath, inputs: Iterable[StrPath] = ()) -> None:
    """Refuse a video file that could not be written in the end, or that somebody else made.

    Args:
        path: The file.
        inputs: As `check_output_file` takes them.

    Raises:
        Sam2rlError: As `check_output_file`; or there is a file already that no `VideoWriter` wrote.
    """
    check_output_file(path, inputs)
    path = Path(path)
    if not path.is_file() or path.stat().st_size == 0:
        return
    try:
        with av.open(str(path.absolute())) as container:
            is_ours = container.metadata.get("comment") == _MARK
    except (av.error.FFmpegError, OSError):
        is_ours = False
    if not is_ours:
        raise Sam2rlError(
            f"{path} is there already and was not written by this command, so it is not overwritten: give another name."
        )
