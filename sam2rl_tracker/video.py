"""Frames and masks in and out: folders of images, video files, index masks.

Images are RGB, uint8 [h, w, 3]. Index masks are uint8 [h, w]: 0 is background, k is object k, 255 is an area that
nobody scores. Files are written under a temporary name and renamed when complete: a crash leaves no half-written file.
"""

from __future__ import annotations

import os
import re
import secrets
import struct
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError

Image = NDArray[np.uint8]  # [h, w, 3] RGB
Labels = NDArray[np.uint8]  # [h, w] object ids
Mask = NDArray[np.bool_]  # [h, w]
StrPath = str | os.PathLike[str]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
IGNORED = 255
"""The label of pixels that belong to no object and that no measure counts."""

# What PIL raises for files that are damaged or no images at all, depending on the format and on where the damage is.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    PILImage.DecompressionBombError,
)


# ---------------------------------------------------------------- images


def read_image(path: StrPath) -> Image:
    """Read one image as RGB.

    Grayscale (8 and 16 bits), CMYK, palette and transparent images are converted; transparency is dropped.

    Args:
        path: An image file that PIL can decode.

    Returns:
        uint8 [h, w, 3].

    Raises:
        Sam2rlError: The file is missing, damaged or not an image.
    """
    # A rotation in the EXIF data is not applied: SAM 2's loader ignores it too, and masks are drawn on stored pixels.
    image = _decode(path, "an image (.jpg, .png, .bmp or .webp)")
    if image.mode.startswith("I"):
        # PIL's own conversion of 16-bit values to 8 bits clips at 255 and would return a white image.
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return np.repeat(((values + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise Sam2rlError(f"{path} holds floating-point pixels, expected 8 or 16 bits per channel: convert it to PNG.")
    if image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB, PIL warns when the palette has transparent entries
    return np.array(image.convert("RGB"))


def _decode(path: StrPath, expected: str) -> PILImage.Image:
    """Open and fully decode a file, so that a truncated one is noticed here and not at first use."""
    try:
        with PILImage.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise Sam2rlError(f"{path} does not exist, expected {expected}: check the path.") from error
    except PILImage.UnidentifiedImageError as error:
        raise Sam2rlError(f"{path} is not an image file, expected {expected}: check the path.") from error
    except _DECODE_ERRORS as error:
        reason = getattr(error, "strerror", None) or error
        raise Sam2rlError(
            f"{path} cannot be read ({reason}), expected {expected}: the file may be damaged, copy it again."
        ) from error


# ---------------------------------------------------------------- index masks


def read_index_mask(path: StrPath) -> Labels:
    """Read an index mask: palette, grayscale or one-bit PNG whose pixel values are object ids.

    Args:
        path: A lossless image of mode P, L or 1. In one-bit images the set pixels are object 1.

    Returns:
        uint8 [h, w], 0 = background, 255 = ignored (kept as 255).

    Raises:
        Sam2rlError: The file is missing, damaged, of another mode (RGB), or lossily compressed.
    """
    expected = "an index PNG (pixel value k = object k)"
    image = _decode(path, expected)
    if image.format == "JPEG":
        raise Sam2rlError(
            f"{path} is a JPEG, whose compression alters object ids, expected {expected}: save it as PNG."
        )
    if image.mode not in ("P", "L", "1"):
        raise Sam2rlError(
            f"{path} has pixels of mode {image.mode}, expected {expected}: save it with a palette or in 8-bit gray."
        )
    return np.array(image).astype(np.uint8)


def object_masks(labels: Labels) -> dict[int, Mask]:
    """Split an index mask into one mask per object.

    Args:
        labels: uint8 [h, w].

    Returns:
        {id: bool [h, w]} in ascending order of ids, without background (0) and ignored area (255).
    """
    return {int(k): labels == k for k in np.unique(labels) if k not in (0, IGNORED)}


def is_binary_mask(labels: Labels) -> bool:
    """Whether labels are those of a black and white mask: 255, which then is the object, and no object ids."""
    return bool((labels == IGNORED).any()) and not object_masks(labels)


def write_index_mask(path: StrPath, labels: NDArray[Any]) -> None:
    """Write an index mask as a PNG with the DAVIS colours, atomically.

    Args:
        path: Where to write, usually `*.png`.
        labels: integers 0..255, [h, w].

    Raises:
        Sam2rlError: The file cannot be written.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.min(initial=0) < 0 or labels.max(initial=0) > 255:
        raise ValueError(f"labels must be [h, w] with values 0..255, got shape {labels.shape}")
    image = PILImage.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    image.putpalette(_PALETTE)  # makes it mode P; pixel values stay
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def _davis_palette() -> bytes:
    """The 256 colours of DAVIS and PASCAL VOC: the bits of an index, three at a time, fill R, G, B from the top bit."""
    palette = bytearray()
    for index in range(256):
        for channel in range(3):
            palette.append(sum(((index >> (3 * level + channel)) & 1) << (7 - level) for level in range(3)))
    return bytes(palette)


_PALETTE = _davis_palette()


# ---------------------------------------------------------------- files and folders


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name is hidden (leading dot), which frame folders skip, and keeps the suffix.

    Raises:
        Sam2rlError: The operating system refused (disk full, no permission, no such folder).
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def temporary_path(path: Path) -> Path:
    """A name in the same folder that nobody else uses and that frame folders skip."""
    return path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")


def write_error(path: Path, error: Exception) -> Sam2rlError:
    """What to tell the user when `path` could not be written because of `error`."""
    if not path.parent.is_dir():
        return Sam2rlError(f"{path} cannot be written: there is no folder {path.parent}, create it first.")
    reason = getattr(error, "strerror", None) or error
    return Sam2rlError(f"{path} cannot be written ({reason}): free some space or give a path you may write to.")


def prepare_output_folder(folder: StrPath, marker: str = ".sam2rl") -> Path:
    """Make a folder ready for output without ever mixing with someone's files.

    A new or empty folder is created and marked; a folder with the marker is one of ours and accepted as it is.

    Args:
        folder: The output folder.
        marker: Name of the file that tells a folder of ours from any other.

    Returns:
        The folder.

    Raises:
        Sam2rlError: The folder holds other files, is a file, or cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / marker).is_file():
            raise Sam2rlError(f"{folder} is not empty and was not written by sam2rl; give a new folder.")
        # Rewriting the marker also proves that the folder can be written to, before any work is spent on it.
        (folder / marker).write_text("This folder was written by sam2rl, which may write to it again.\n")
    except FileExistsError as error:
        raise Sam2rlError(f"{folder} is a file, expected a folder for the output; give a new folder.") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror or error}); give a folder you own.") from error
    return folder


# ---------------------------------------------------------------- frame sources


class FrameSource(ABC):
    """The frames of a video in order; open one with `open_frames`.

    Iterating yields `(name, image)`: the stem for this frame's output file and the RGB image, uint8 [h, w, 3]. Every
    `iter()` starts again at the first frame, and one frame is held at a time, so a video of any length fits.

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
    def _frames(self) -> Iterator[tuple[str, Image]]:
        """Decode from the first frame on."""

    def __iter__(self) -> Iterator[tuple[str, Image]]:
        """Yield `(name, image)`.

        Raises:
            Sam2rlError: A frame cannot be decoded, or its size differs from the first one's.
        """
        size: tuple[int, int] | None = None
        for name, image in self._frames():
            height, width = image.shape[:2]
            size = size or (height, width)
            if (height, width) != size:
                raise Sam2rlError(
                    f"Frame {name} of {self.path} is {width}x{height} pixels but the first is {size[1]}x{size[0]}: all "
                    "frames must have the same size, resize them first."
                )
            yield name, image
        if size is None:
            raise Sam2rlError(f"{self.path} has no frame that can be decoded: check that it is a complete video.")

    def first(self) -> tuple[str, Image]:
        """Name and image of the first frame, without consuming it."""
        frames = iter(self)
        try:
            return next(frames)
        finally:
            frames.close()  # type: ignore[attr-defined]  # a generator: closing it closes the video file

    def first_size(self) -> tuple[int, int]:
        """(height, width) of the first frame in pixels."""
        if self._first_size is None:
            height, width = self.first()[1].shape[:2]
            self._first_size = (height, width)
        return self._first_size


class _FolderSource(FrameSource):
    def __init__(self, folder: Path) -> None:
        self.files = list_frames(folder)
        super().__init__(folder, count=len(self.files), fps=None)

    def _frames(self) -> Iterator[tuple[str, Image]]:
        for file in self.files:
            yield file.stem, read_image(file)


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
    """Numbers in a name compare as numbers: 2 before 10. Text and digits alternate, so like meets like."""
    parts = re.split(r"([0-9]+)", file.stem.lower())
    return [int(part) if part.isdecimal() and part.isascii() else part for part in parts], file.name


class _VideoSource(FrameSource):
    def __init__(self, file: Path) -> None:
        with _open_container(file) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            super().__init__(file, count=stream.frames or None, fps=float(rate) if rate else None)

    def _frames(self) -> Iterator[tuple[str, Image]]:
        number = 0
        with _open_container(self.path) as container:
            try:
                container.streams.video[0].thread_type = "AUTO"
                for frame in container.decode(video=0):
                    number += 1
                    yield f"{number:08d}", _upright(frame)
            except av.error.FFmpegError as error:
                raise Sam2rlError(
                    f"{self.path} cannot be decoded after frame {number} ({error.strerror}): the file may be damaged, "
                    "re-encode it or give a folder of frames."
                ) from error


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
