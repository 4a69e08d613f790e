"""Index masks: uint8 [h, w], where 0 is background, k is object k, and 255 is an area that nobody scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path
from sam2rl_tracker.media.images import Labels, Mask, decode

IGNORED = 255
"""The label of pixels that belong to no object and that no measure counts."""


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
    image = decode(path, expected)
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
