"""The frames of a video in order: from a folder of images or a video file."""

from __future__ import annotations

import math
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.containers import (
    is_hidden,
    main_stream,
    moving_streams,
    promised_seconds,
    size_text,
    upright,
)
from sam2rl_tracker.media.files import StrPath, same_file, temporary_folder, write_error
from sam2rl_tracker.media.images import IMAGE_SUFFIXES, Image, narrow_range, read_image


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        name: Stem for its output file.
        image: RGB, uint8 [h, w, 3].
        time: When it is shown, in seconds from the first frame; None where all frames are known to be equally long.
    """

    name: str
    image: Image
    time: float | None = None


class FrameSource(ABC):
    """The frames of a video in order; open one with `open_frames`.

    Every `iter()` starts again at the first frame, except of a live source, which can be read once. One frame is held
    at a time, so a video of any length fits.

    Attributes:
        is_live: Whether it is read as it comes, and only once: see `media.live`.
        path: The folder or file; of a live source what was asked for, without a password.
        count: Number of frames, None when a video file does not say. For video files it is the header's claim.
        fps: Frames per second, None when unknown (folders); the average where it varies.
        start: Number of the first frame, where the source is a part of a video: see `part`.
        notes: What the user should know of the source, a sentence each: what was left out, and, once the last frame
            was given, which frames were promised and did not come.
    """

    is_live = False

    def __init__(self, path: Path | str, count: int | None, fps: float | None) -> None:
        self.path = path
        self.count = count
        self.fps = fps
        self.start = 0
        self.notes: list[str] = []
        self._first_size: tuple[int, int] | None = None

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Decode from the first frame on."""

    @abstractmethod
    def may_name(self, name: str) -> bool:
        """Whether a frame has this name; of a video file, whose length nobody knows for sure, whether one could."""

    def part(self, start: int = 0, end: int | None = None) -> FrameSource:
        """The frames from `start` to `end`, counted from 0 and both included, as a source; None = to the last one."""
        return self if start == 0 and end is None else _Part(self, start, end)

    def backwards(self, count: int, scratch: Path) -> Iterator[tuple[int, Frame]]:
        """The first `count` frames with their numbers in the video, the last first; one is held at a time.

        Video files can be decoded in one direction only. Their frames lie as lossless images in a folder for the time
        being. A frame that cannot be decoded is no error here: fewer are given, and whoever reads on meets it again.

        Args:
            count: How many.
            scratch: A folder on a disk with room for them.

        Raises:
            Sam2rlError: There is no room for them.
        """
        with temporary_folder(scratch / "frames") as folder:
            kept: list[tuple[str, float | None]] = []
            frames = islice(iter(self), count)
            while (frame := _next(frames)) is not None:
                file = folder / f"{len(kept)}.png"
                try:
                    PILImage.fromarray(frame.image).save(file, compress_level=1)
                except OSError as error:
                    raise write_error(file, error) from error
                kept.append((frame.name, frame.time))
            for index in reversed(range(len(kept))):
                name, time = kept[index]
                yield self.start + index, Frame(name, read_image(folder / f"{index}.png"), time)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            Sam2rlError: A frame cannot be decoded, or its size differs from the first one's.
        """
        size: tuple[int, int] | None = None
        for frame in self._frames():
            height, width = frame.image.shape[:2]
            size = size or (height, width)
            if (height, width) != size:
                raise Sam2rlError(
                    f"Frame {frame.name} of {self.path} is {width}x{height} pixels but the first is "
                    f"{size[1]}x{size[0]}: all frames must have the same size, resize them first."
                )
            yield frame
        if size is None:
            raise Sam2rlError(
                f"{self.path} has no frame {self.start}, counted from 0: begin with an earlier one."
                if self.start
                else f"{self.path} has no frame that can be decoded: check that it is a complete video."
            )

    def numbered(self) -> Iterator[tuple[int, Frame]]:
        """The frames with their numbers in the video, counted from 0; errors as those of `iter()`."""
        return enumerate(self, self.start)

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


class _Part(FrameSource):
    """Some of the frames of another source, which keep their names."""

    def __init__(self, whole: FrameSource, start: int, end: int | None) -> None:
        last = [number for number in (whole.count and whole.count - 1, end) if number is not None]
        super().__init__(whole.path, min(last) + 1 - start if whole.count else None, whole.fps)
        self.notes = whole.notes  # the same list: more may come
        self.start = start
        self._whole, self._stop = whole, None if end is None else end + 1

    def _frames(self) -> Iterator[Frame]:
        return islice(self._whole._frames(), self.start, self._stop)

    def may_name(self, name: str) -> bool:
        return self._whole.may_name(name)


def _next(frames: Iterator[Frame]) -> Frame | None:
    """The next frame; None at the end, and where it cannot be decoded."""
    try:
        return next(frames, None)
    except Sam2rlError:
        return None


def open_frames(source: StrPath, mask: StrPath | Sequence[StrPath] | None = None) -> FrameSource:
    """Open a folder of frames or a video file.

    Args:
        source: A folder with .jpg, .jpeg, .png, .bmp or .webp files, read in natural order (2 before 10), or a video
            file that FFmpeg can decode, whose frames are named %08d from 1. Of several video streams the largest is
            read, and never an attached picture.
        mask: A file, or several, that is no frame, though it may lie among them.

    Raises:
        Sam2rlError: There is nothing at the path, no frame in the folder, a link without target among them, two frames
            share a stem, the file is no video, or its first frame cannot be decoded.
    """
    path = Path(source)
    if path.is_dir():
        frames: FrameSource = _FolderSource(path, mask)
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

    def __init__(self, folder: Path, mask: StrPath | Sequence[StrPath] | None) -> None:
        self.files = list_frames(folder, mask)
        self._names = {file.stem for file in self.files}
        super().__init__(folder, count=len(self.files), fps=None)
        for one in _several(mask):
            if any(same_file(entry, one) for entry in folder.iterdir()):
                self.notes.append(f"{one} lies among the frames of {folder} and is no frame: it was left out.")
        narrow = narrow_range(self.files[0], self.files[len(self.files) // 2], self.files[-1])
        if narrow:
            low, high = math.floor(1000 * narrow[0]) / 10, math.ceil(1000 * narrow[1]) / 10
            self.notes.append(
                f"The frames of {folder} have 16 bits, of whose range the first, middle and last use {low:g}% to "
                f"{high:g}%, so the tracker sees little contrast: stretch all frames alike, for example with "
                f"`mkdir NEW; mogrify -path NEW -level {low:g}%,{high:g}% {folder}/*`."
            )

    def _frames(self) -> Iterator[Frame]:
        for file in self.files:
            yield Frame(file.stem, read_image(file))

    def part(self, start: int = 0, end: int | None = None) -> FrameSource:
        part = copy(self)
        part.files = self.files[start : None if end is None else end + 1]
        part.start, part.count, part._first_size = start, len(part.files), None
        return part

    def backwards(self, count: int, scratch: Path) -> Iterator[tuple[int, Frame]]:
        numbers = list(enumerate(self.files[:count], self.start))
        frames = (Frame(file.stem, read_image(file)) for _, file in reversed(numbers))
        for number, _ in reversed(numbers):
            frame = _next(frames)
            if frame is None:
                return
            yield number, frame

    def may_name(self, name: str) -> bool:
        return name in self._names


def list_frames(folder: StrPath, mask: StrPath | Sequence[StrPath] | None = None) -> list[Path]:
    """The image files of a folder in natural order: 2 before 10.

    Args:
        folder: The folder.
        mask: A file, or several, that is left out if it lies there.

    Raises:
        Sam2rlError: The folder cannot be listed, holds no images, a link without target, or two that share a stem.
    """
    folder = Path(folder)
    try:
        # Hidden files are no frames: macOS leaves `._0001.jpg` beside `0001.jpg`, atomic_path leaves dot files.
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be listed ({error.strerror}): give a folder you may read.") from error
    images = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES]
    dangling = sorted((entry for entry in images if entry.is_symlink() and not entry.exists()), key=_natural_key)
    if dangling:
        raise Sam2rlError(
            f"{len(dangling)} of the {len(images)} images in {folder} are links to files that do not exist, such as "
            f"{dangling[0].name} to {dangling[0].readlink()}: copy the files again, or delete the links."
        )
    left_out = _several(mask)
    files = [file for file in images if file.is_file() and not any(same_file(file, one) for one in left_out)]
    files.sort(key=_natural_key)
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


def _several(mask: StrPath | Sequence[StrPath] | None) -> Sequence[StrPath]:
    """No file, one file or several, as a sequence of files."""
    if mask is None:
        return []
    return [mask] if isinstance(mask, str | os.PathLike) else mask


def _natural_key(file: Path) -> tuple[list[int | str], str]:
    """Numbers in a name compare as numbers: 2 before 10. Text and digits alternate, so like meets like.

    The package `natsort` would order digits of other scripts and letters with accents differently.
    """
    parts = re.split(r"([0-9]+)", file.stem.lower())
    return [int(part) if part.isdecimal() and part.isascii() else part for part in parts], file.name


# ---------------------------------------------------------------- video files


class _VideoSource(FrameSource):
    """A video file, decoded by FFmpeg."""

    path: Path

    def __init__(self, file: Path) -> None:
        with _open_container(file) as container:
            stream = main_stream(container)
            rate = stream.average_rate
            super().__init__(file, count=stream.frames or None, fps=float(rate) if rate else None)
            self._index = stream.index
            # Only a header that counts its frames knows their average rate; others state what the rate is meant to be.
            self._varies = not stream.frames or stream.base_rate != rate
            self._seconds = promised_seconds(container, stream)
            if others := ", ".join(size_text(other) for other in moving_streams(container) if other is not stream):
                self.notes.append(
                    f"{file} has several video streams: the one of {size_text(stream)} pixels was read, not {others}."
                )

    def _frames(self) -> Iterator[Frame]:
        read = _Reading()
        with _open_container(self.path) as container:
            stream = container.streams[self._index]
            try:
                stream.thread_type = "AUTO"
                for packet in container.demux(stream):
                    read.packets += packet.size > 0  # the last one is empty, and flushes the decoder
                    read.hidden += is_hidden(packet)
                    for frame in packet.decode():
                        time = read.add(frame, self.fps)
                        yield Frame(f"{read.frames:08d}", upright(frame), time if self._varies else None)
            except av.error.FFmpegError as error:
                promised = f" of {self.count}" if self.count else ""
                raise Sam2rlError(
                    f"{self.path} cannot be decoded after frame {read.frames}{promised} ({error.strerror}): the file "
                    "may be damaged, re-encode it or give a folder of frames."
                ) from error
        self.notes += [note for note in self._losses(read) if note not in self.notes]

    def may_name(self, name: str) -> bool:
        return re.fullmatch(r"[0-9]{8,}", name) is not None

    def _losses(self, read: _Reading) -> Iterator[str]:
        """What the file promised and did not give."""
        if not read.frames:
            return
        if self.count and read.packets < self.count:
            yield (
                f"{self.path} gave {read.frames} of the {self.count} frames that its header promises: the file is cut "
                "off or damaged, or an edit list in it hides the others."
            )
        elif self.fps and self._seconds and read.end < self._seconds - 0.75 / self.fps:
            yield (
                f"{self.path} gave {read.frames} frames and ends after {read.end:.2f} of the {self._seconds:.2f} "
                "seconds that its header promises: the file is cut off or damaged."
            )
        elif read.frames < read.packets - read.hidden and not read.interlaced:
            yield (
                f"{self.path} is damaged: only {read.frames} of its {read.packets - read.hidden} frames could be "
                "decoded, and the masks are numbered without the others."
            )
        if read.damaged:
            yield (
                f"{self.path} is damaged: of its {read.frames} frames {len(read.damaged)} could be decoded only in "
                f"part, the first is frame {read.damaged[0]}, so check the masks there."
            )


@dataclass
class _Reading:
    """What came of a video file so far.

    Attributes:
        packets: Compressed frames.
        hidden: Those of them that are not to be shown.
        frames: Decoded frames.
        damaged: Numbers of frames that were decoded only in part.
        start: When the first frame is shown, in seconds.
        end: When the latest frame ends.
        interlaced: Whether two packets can make one frame.
    """

    packets: int = 0
    hidden: int = 0
    frames: int = 0
    damaged: list[int] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    interlaced: bool = False

    def add(self, frame: Any, fps: float | None) -> float:
        """Count a frame; when it is shown, in seconds from the first one."""
        self.frames += 1
        time = self.end if frame.time is None else frame.time
        if self.frames == 1:
            self.start = time
        told = getattr(frame, "duration", 0) * frame.time_base if frame.time_base else 0  # the last may stay longer
        self.end = time + max(float(told), 1 / fps if fps else 0)
        self.interlaced |= frame.interlaced_frame
        if frame.is_corrupt:
            self.damaged.append(self.frames)
        return time - self.start


def _open_container(file: Path) -> Any:
    try:
        container = av.open(str(file.absolute()))  # FFmpeg would take `a:b.mp4` for a protocol `a`
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Sam2rlError(
            f"{file} cannot be read as a video ({reason}), expected a video file or a folder of frames: check the path."
        ) from error
    # FFmpeg takes any text for ANSI art ("tty"), which nobody means to track.
    if not moving_streams(container) or container.format.name == "tty":
        container.close()
        raise Sam2rlError(
            f"{file} has no video stream, expected a video file or a folder of frames: check that it is the right file."
        )
    return container
