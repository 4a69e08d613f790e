"""Masks drawn into pictures: every object in a colour of its own."""

from __future__ import annotations

import colorsys

import numpy as np

from sam2rl_tracker.media.images import Image, Labels
from sam2rl_tracker.media.masks import IGNORED

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
