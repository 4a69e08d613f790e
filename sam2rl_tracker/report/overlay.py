"""Showing masks: objects coloured in the picture, and the pictures as a video file."""

from __future__ import annotations

import colorsys
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.video import IGNORED, Image, Labels, StrPath, temporary_path, write_error

# Okabe and Ito's colours, which readers with colour-blindness can tell apart; without black, which hides in shadows.
_OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def object_color(object_id: int) -> tuple[int, int, int]:
    """RGB colour of an object (ids from 1): Okabe-Ito first, then hues spread by the golden ratio."""
    if 1 <= object_id <= len(_OKABE_ITO):
        return _OKABE_ITO[object_id - 1]
    value = (1.0, 0.75, 0.5)[object_id % 3]  # also vary brightness: hue alone runs out
    red, green, blue = colorsys.hsv_to_rgb(object_id * 0.618034 % 1, 0.8, value)
    return round(255 * red), round(255 * green), round(255 * blue)


_COLORS = np.array([object_color(k) for k in range(256)], dtype=np.float32)  # [256, 3]


def overlay(image: Image, labels: Labels, alpha: float = 0.5) -> Image:
    """Colour the objects in an image and draw their contours; background and ignored area stay as they are.

    Args:
        image: uint8 [h, w, 3].
        labels: uint8 [h, w].
        alpha: Opacity of the fill, 0 to 1; contours are always opaque.

    Returns:
        A new image, uint8 [h, w, 3].

    Raises:
        ValueError: The sizes differ.
    """
    if labels.shape != image.shape[:2]:
        raise ValueError(f"labels {labels.shape} and image {image.shape[:2]} differ in size")
    height, width = labels.shape
    # An object's pixel is contour when a pixel `reach` away belongs to something else; the image border is no contour.
    reach = max(1, round(min(height, width) / 400))
    padded = np.pad(labels, reach, mode="edge")
    contour = np.zeros((height, width), dtype=bool)
    for dy, dx in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach)):
        contour |= padded[dy : dy + height, dx : dx + width] != labels

    result = image.copy()
    inside = (labels != 0) & (labels != IGNORED)  # [h, w]
    opacity = np.where(contour, np.float32(1), np.float32(alpha))[inside][:, None]  # [pixels, 1]
    mixed = (1 - opacity) * image[inside] + opacity * _COLORS[labels[inside]]
    result[inside] = np.rint(mixed).astype(np.uint8)
    return result


class VideoWriter:
    """Write frames to an H.264 .mp4 that every player opens; a context manager.

    The file appears under its name when the block ends without an exception, and not at all otherwise. Odd sizes are
    padded to even by repeating the last row or column, which yuv420p needs.

    Args:
        path: Where to write; must end in .mp4.
        fps: Frames per second; None (unknown) stands for 25.

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

    def __enter__(self) -> VideoWriter:
        try:
            self._container = av.open(str(self._temporary.absolute()), "w", format="mp4")
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error
        return self

    def write(self, image: Image) -> None:
        """Append one frame, uint8 [h, w, 3] RGB, of the same size as the first.

        Raises:
            Sam2rlError: Encoding or writing failed.
        """
        if self._stream is None:
            self._size = image.shape
            self._stream = self._add_stream(image)
        if image.shape != self._size:
            raise ValueError(f"frame of shape {image.shape} in a video of shape {self._size}")
        height, width = image.shape[:2]
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error

    def _add_stream(self, image: Image) -> Any:
        try:
            stream = self._container.add_stream("h264", rate=self._rate, options={"crf": "20", "preset": "veryfast"})
        except (av.error.FFmpegError, ValueError) as error:
            raise Sam2rlError(
                f"{self.path} cannot be written: this PyAV has no H.264 encoder, `pip install --force-reinstall av`."
            ) from error
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
