"""The frames of a video in order: from a folder of images or a video file."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.images import IMAGE_SUFFIXES, Image, read_image


class Frame(NamedTuple):
    """A frame of a video: the stem for its output file and the RGB image, uint8 [h, w, 3]."""

    name: str
    image: Image


class FrameSource(ABC):
    """The frames of a video in order; open one with `open_frames`.

    Every `iter()` starts again at the first frame, and one frame is held at a time, so a video of any length fits.

    Attributes:
        path: The folder or file.
        count: Number of frames, None when a video file does not say. For video files it is the header's claim.
        fps: Frames per second, None when unknown (folders).
    """

    def __init__(self, path: Path, count: int | None, fps: float | None) -> None:
        self.path = path
        self.count = count
        self.fps = fps
        self._first_size: tuple[int, int] | None = None

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Decode from the first frame on."""

    @abstractmethod
    def may_name(self, name: str) -> bool:
        """Whether a frame has this name; of a video file, whose length nobody knows for sure, whether one could."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            Sam2rlError: A frame cannot be decoded, or its size differs from the first one's.
        """
        size: tuple[int, int] | None = None
        for frame in self._frames():
            name, image = frame
            height, width = image.shape[:2]
            size = size or (height, width)
            if (height, width) != size:
                raise Sam2rlError(
                    f"Frame {name} of {self.path} is {width}x{height} pixels but the first is {size[1]}x{size[0]}: all "
                    "frames must have the same size, resize them first."
                )
            yield frame
        if size is None:
            raise Sam2rlError(f"{self.path} has no frame that can be decoded: check that it is a complete video.")

    def first(self) -> Frame:
        """The first frame, without consuming it."""
        frames = iter(self)
        try:
            return next(frames)
        finally:
            frames.close()  # type: ignore[attr-defined]  # a generator: closing it closes the video file

    def first_size(self) -> tuple[int, int]:
        """(height, width) of the first frame in pixels."""
        if self._first_size is None:
            height, width = self.first().image.shape[:2]
            self._first_size = (height, width)
        return self._first_size


def open_frames(source: StrPath) -> FrameSource:
    """Open a folder of frames or a video file.

    Args:
        source: A folder with .jpg, .jpeg, .png, .bmp or .webp files, read in natural order (2 before 10), or a video
            file that FFmpeg can decode, whose frames are named %08d from 1.

    Raises:
        Sam2rlError: There is nothing at the path, no frame in the folder, two frames share a stem, the file is no
            video, or its first frame cannot be decoded.
    """
    path = Path(source)
    if path.is_dir():
        frames: FrameSource = _FolderSource(path)
    elif path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise Sam2rlError(f"{path} is a single image, expected a folder of frames or a video: give its folder.")
        frames = _VideoSource(path)
    else:
        raise Sam2rlError(f"{path} does not exist, expected a folder of frames or a video file: check the path.")
    frames.first_size()  # a source that cannot be decoded is reported here, before a model is loaded
    return frames


# ---------------------------------------------------------------- folders


class _FolderSource(FrameSource):
    """Image files in natural order."""

    def __init__(self, folder: Path) -> None:
        self.files = list_frames(folder)
        self._names = {file.stem for file in self.files}
        super().__init__(folder, count=len(self.files), fps=None)

    def _frames(self) -> Iterator[Frame]:
        for file in self.files:
            yield Frame(file.stem, read_image(file))

    def may_name(self, name: str) -> bool:
        return name in self._names


def list_frames(folder: StrPath) -> list[Path]:
    """The image files of a folder in natural order: 2 before 10.

    Raises:
        Sam2rlError: The folder cannot be listed, holds no images, or two of them share a stem.
    """
    folder = Path(folder)
    try:
        # Hidden files are no frames: macOS leaves `._0001.jpg` beside `0001.jpg`, atomic_path leaves dot files.
        names = [entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be listed ({error.strerror}): give a folder you may read.") from error
    files = sorted((f for f in names if f.suffix.lower() in IMAGE_SUFFIXES), key=_natural_key)
    if not files:
        raise Sam2rlError(
            f"{folder} holds no frames, expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}: "
            "give the folder that directly contains them."
        )
    stem, repeats = Counter(file.stem for file in files).most_common(1)[0]
    if repeats > 1:
        twins = ", ".join(file.name for file in files if file.stem == stem)
        raise Sam2rlError(
            f"{folder} holds several frames named {stem} ({twins}), whose output would collide: keep one of them."
        )
    return files


def _natural_key(file: Path) -> tuple[list[int | str], str]:
    """Numbers in a name compare as numbers: 2 before 10. Text and digits alternate, so like meets like.

    The package `natsort` would order digits of other scripts and letters with accents differently.
    """
    parts = re.split(r"([0-9]+)", file.stem.lower())
    return [int(part) if part.isdecimal() and part.isascii() else part for part in parts], file.name


# ---------------------------------------------------------------- video files


class _VideoSource(FrameSource):
    """A video file, decoded by FFmpeg."""

    def __init__(self, file: Path) -> None:
        with _open_container(file) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            super().__init__(file, count=stream.frames or None, fps=float(rate) if rate else None)

    def _frames(self) -> Iterator[Frame]:
        number = 0
        with _open_container(self.path) as container:
            try:
                container.streams.video[0].thread_type = "AUTO"
                for frame in container.decode(video=0):
                    number += 1
                    yield Frame(f"{number:08d}", _upright(frame))
            except av.error.FFmpegError as error:
                raise Sam2rlError(
                    f"{self.path} cannot be decoded after frame {number} ({error.strerror}): the file may be damaged, "
                    "re-encode it or give a folder of frames."
                ) from error

    def may_name(self, name: str) -> bool:
        return re.fullmatch(r"[0-9]{8,}", name) is not None


def _upright(frame: Any) -> Image:
    """RGB pixels as players show them.

    Unlike an image's EXIF data, a video's rotation is applied: `ffmpeg` applies it to the frames one draws masks on.
    """
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # counter-clockwise, as in np.rot90
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns))


def _open_container(file: Path) -> Any:
    try:
        container = av.open(str(file.absolute()))  # FFmpeg would take `a:b.mp4` for a protocol `a`
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Sam2rlError(
            f"{file} cannot be read as a video ({reason}), expected a video file or a folder of frames: check the path."
        ) from error
    # FFmpeg takes any text for ANSI art ("tty"), which nobody means to track.
    if not container.streams.video or container.format.name == "tty":
        container.close()
        raise Sam2rlError(
            f"{file} has no video stream, expected a video file or a folder of frames: check that it is the right file."
        )
    return container
