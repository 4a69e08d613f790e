"""Masks and prompts drawn into pictures: every object in a colour of its own."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFilter, ImageFont

from sam2rl_tracker.media.images import Image, Labels, Mask
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
    channels = result.reshape(-1, 3).T  # a view
    inside = (labels != 0) & (labels != IGNORED)  # [h, w]
    for part, mixed in ((inside & ~contour, _mixed(alpha)), (inside & contour, _mixed(1.0))):
        pixels = np.flatnonzero(part)
        ids = labels.ravel()[pixels]
        for channel, table in zip(channels, mixed, strict=True):
            channel[pixels] = table[ids, channel[pixels]]
    return result


@lru_cache(maxsize=4)
def _mixed(alpha: float) -> NDArray[np.uint8]:
    """What becomes of a pixel under each object's colour, [3 channels, 256 ids, 256 values]: mixed once, looked up."""
    opacity, values = np.float32(alpha), np.arange(256, dtype=np.uint8)
    return np.rint((1 - opacity) * values + opacity * _COLORS.T[:, :, None]).astype(np.uint8)


# ---------------------------------------------------------------- prompts

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def draw_prompt(
    image: Image,
    object_id: int,
    mask: Mask | None = None,
    box: Sequence[float] | None = None,
    points: NDArray[np.float32] | None = None,
) -> Image:
    """Draw what a user showed of an object: a white line around the mask, the box, the points.

    A point on the object is a disc of its colour with a plus, one beside it a black disc with a minus.

    Args:
        image: uint8 [h, w, 3].
        object_id: Gives the colour.
        mask: bool [h, w].
        box: x, y, width, height in pixels.
        points: [k, 3]: x, y in pixels, and 1 on the object or 0 beside it.

    Returns:
        A new image, uint8 [h, w, 3].
    """
    image = image.copy()
    unit = max(1, round(min(image.shape[:2]) / 240))  # pixels, of a line
    if mask is not None:
        image[_around(mask, unit)] = _WHITE
    canvas = PILImage.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    color = object_color(object_id)
    if box is not None:
        x, y, width, height = box
        corners = (x, y, x + max(width, 1) - 1, y + max(height, 1) - 1)
        outer = (corners[0] - unit, corners[1] - unit, corners[2] + unit, corners[3] + unit)
        pen.rectangle(outer, outline=_WHITE, width=3 * unit)
        pen.rectangle(corners, outline=color, width=unit)
    for x, y, on in np.zeros((0, 3)) if points is None else points:
        radius = 3 * unit
        disc = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(disc, fill=color if on else _BLACK, outline=_WHITE, width=unit)
        arm = radius - unit
        pen.line((x - arm, y, x + arm, y), fill=_WHITE, width=unit)
        if on:
            pen.line((x, y - arm, x, y + arm), fill=_WHITE, width=unit)
    return np.array(canvas)


def _around(mask: Mask, reach: int) -> Mask:
    """The pixels outside of a mask that are at most so many away from it."""
    grown = np.asarray(PILImage.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0
    around: Mask = grown & ~mask
    return around


def draw_caption(image: Image, lines: Sequence[str]) -> Image:
    """Lines of text in the upper left corner, white on black; without lines the image itself."""
    if not lines:
        return image
    canvas = PILImage.fromarray(image)
    font = ImageFont.load_default(max(10, min(image.shape[:2]) // 24))
    pen = ImageDraw.Draw(canvas)
    text = "\n".join(lines)
    _, _, right, bottom = pen.multiline_textbbox((4, 2), text, font=font)
    pen.rectangle((0, 0, right + 4, bottom + 3), fill=_BLACK)
    pen.multiline_text((4, 2), text, fill=_WHITE, font=font)
    return np.array(canvas)
