"""Panels of a comparison: images with masks and titles, put into a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from sam2rl_tracker.media.images import Image, Labels
from sam2rl_tracker.vot.regions import Region

BLACK, RED, ORANGE = (0, 0, 0), (200, 60, 0), (190, 120, 0)
AREA = PILImage.Resampling.BOX
BORDER = 2  # pixels, on both sides of a panel

_TITLE = 26  # pixels
_TITLE_FONTS = (14, 13, 12, 11, 10)  # the largest in which a title fits is taken

load_font = cache(ImageFont.load_default)  # which reads the font anew at every call


def draw_labels(regions: Mapping[int, Region | int], size: tuple[int, int], shown: tuple[int, int]) -> Labels:
    """Masks of several objects as labels, uint8 [h, w], at the size (width, height) in which they are shown."""
    labels = np.zeros(size, dtype=np.uint8)
    for k, region in regions.items():
        if isinstance(region, Region):
            labels[region.full(size)] = (k - 1) % 254 + 1
    return np.asarray(PILImage.fromarray(labels).resize(shown, PILImage.Resampling.NEAREST))


def truth_state(true: Mapping[int, Region | int]) -> str:
    """What a viewer should know of the truth of a frame on which it shows nothing."""
    known = [region for region in true.values() if isinstance(region, Region)]
    if not known:
        return "unknown"
    return "absent" if all(region.empty for region in known) else ""


def fitted_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) in which an image of (height, width) is shown: enlarged by a whole factor, or made smaller."""
    height, width = size
    larger = max(size)
    if larger <= side:
        return width * (side // larger), height * (side // larger)
    return max(round(width * side / larger), 1), max(round(height * side / larger), 1)


def resized(image: Image, size: tuple[int, int]) -> Image:
    """An image at another size, (width, height); enlarged pixels stay squares."""
    way = PILImage.Resampling.NEAREST if size[0] >= image.shape[1] else AREA
    return np.asarray(PILImage.fromarray(image).resize(size, way))


def titled(image: Image, title: str, color: tuple[int, int, int] = BLACK) -> Image:
    """Put a title above an image."""
    height, width = image.shape[:2]
    canvas = PILImage.new("RGB", (width + 2 * BORDER, height + _TITLE), "white")
    canvas.paste(PILImage.fromarray(image), (BORDER, _TITLE))
    fonts = (load_font(size) for size in _TITLE_FONTS)
    font = next((font for font in fonts if font.getlength(title) <= width - 2 * BORDER), load_font(_TITLE_FONTS[-1]))
    ImageDraw.Draw(canvas).text((6, _TITLE - 4), title, fill=color, font=font, anchor="ls")
    return np.asarray(canvas)


def grid(panels: Sequence[Image], columns: int) -> Image:
    """Panels in rows; what stays free is white."""
    filled = [*panels, *[np.full_like(panels[0], 255)] * (-len(panels) % columns)]
    return np.concatenate([np.concatenate(filled[i : i + columns], axis=1) for i in range(0, len(filled), columns)])
