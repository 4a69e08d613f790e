"""Images as arrays: RGB, uint8 [h, w, 3]."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath

Image = NDArray[np.uint8]  # [h, w, 3] RGB
Labels = NDArray[np.uint8]  # [h, w] object ids
Mask = NDArray[np.bool_]  # [h, w]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""What files are called that count as images, in lower case."""

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
    # A rotation in the EXIF data is not applied: SAM 2's loader ignores it too, and masks are drawn on stored pixels.
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


def decode(path: StrPath, expected: str) -> PILImage.Image:
    """Open and fully decode a file, so that a truncated one is noticed here and not at first use.

    Args:
        path: An image file.
        expected: What it should be, for the error's text.

    Raises:
        Sam2rlError: The file is missing, damaged or not an image.
    """
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
