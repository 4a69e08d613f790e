"""Images as arrays: RGB, uint8 [h, w, 3]."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath

Image = NDArray[np.uint8]  # [h, w, 3] RGB
Labels = NDArray[np.uint8]  # [h, w] object ids
Mask = NDArray[np.bool_]  # [h, w]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""What files are called that count as images, in lower case."""

_TURNS = {
    2: "mirrored",
    3: "rotated by 180 degrees",
    4: "upside down and mirrored",
    5: "rotated by 90 degrees and mirrored",
    6: "rotated by 90 degrees",
    7: "rotated by 270 degrees and mirrored",
    8: "rotated by 270 degrees",
}
"""What EXIF orientations ask viewers to do, rotations being clockwise; 1 and 0 are upright and unknown."""

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
    image = decode(path, "an image (.jpg, .png, .bmp or .webp)")
    if image.mode.startswith("I"):
        # PIL's own conversion of 16-bit values to 8 bits clips at 255 and would return a white image.
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return np.repeat(((values + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise Sam2rlError(f"{path} holds floating-point pixels, expected 8 or 16 bits per channel: convert it to PNG.")
    if image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB, PIL warns when the palette has transparent entries
    return np.array(image.convert("RGB"))


def narrow_range(*paths: StrPath) -> tuple[float, float] | None:
    """How much of their 16 bits images use, if it is so little that an eighth of the range would do.

    Cameras of 10 or 12 bits often store their values in 16, where they are nearly black.

    Returns:
        (lowest, highest) value as shares of the full range, rounded outwards to 1/255; None if the images have 8 bits
        or use more of their range.

    Raises:
        Sam2rlError: A file is missing, damaged or not an image.
    """
    with suppress(*_DECODE_ERRORS), PILImage.open(paths[0]) as image:
        if not image.mode.startswith("I") and not any("16" in str(tile[3]) for tile in image.tile):
            return None
    extents = [(int(pixels.min()), int(pixels.max())) for pixels in map(read_image, paths)]
    low, high = min(low for low, _ in extents), max(high for _, high in extents)
    return (max(low - 1, 0) / 255, min(high + 1, 255) / 255) if high - low < 32 else None


def decode(path: StrPath, expected: str) -> PILImage.Image:
    """Open and fully decode a file, so that a truncated one is noticed here and not at first use.

    Whether boxes and masks were made on the stored pixels, as SAM 2 and most data sets take them, or on what viewers
    and OpenCV show is not known, so images and masks with an EXIF rotation are refused alike.

    Args:
        path: An image file.
        expected: What it should be, for the error's text.

    Raises:
        Sam2rlError: The file is missing, damaged, not an image, or has an EXIF orientation other than upright.
    """
    try:
        with PILImage.open(path) as image:
            image.load()
            _check_upright(path, image)
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


def _check_upright(path: StrPath, image: PILImage.Image) -> None:
    turn = None
    with suppress(*_DECODE_ERRORS, KeyError, TypeError):  # damage in the EXIF data does no harm to the pixels
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    if turn:
        folder = Path(path).parent
        raise Sam2rlError(
            f"{path} has an EXIF orientation that tells viewers to show its pixels {turn}, and boxes and masks may be "
            f"meant either way. For what viewers show, turn the pixels: `mkdir NEW; mogrify -path NEW -auto-orient "
            f"{folder}/*`; for the pixels as stored, drop the tag: `mkdir NEW; mogrify -path NEW -strip {folder}/*`."
        )
