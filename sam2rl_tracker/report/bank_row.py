"""A tracker's memory bank below its panel of a comparison: a row of small pictures, frame by frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from sam2rl_tracker.evaluation.overlaps import Overlaps
from sam2rl_tracker.media.images import Image, Labels
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.report.panels import AREA, BLACK, BORDER, ORANGE, RED, load_font
from sam2rl_tracker.report.style import BLUE

_CAPTION = 16  # pixels, below a picture of the bank
_WRONG = 0.5  # IoU below which a remembered mask is called wrong
_LINE = 17  # pixels, of the legend
_PALE = (190, 190, 190)
_LEGEND = (
    "Under each tracker: the frames this prediction attended to,",
    "with its own masks there, if it saw any. First: the prompted one.",
    "Blue: stored just now. Red: the mask there is wrong (IoU < 0.5).",
)
_OF_CORRECTIONS = "Orange: somebody corrected the mask there."


class BankRow:
    """Draws a tracker's bank: a row of small pictures, each of a frame that it attended to and its mask there.

    Args:
        rows: From `slots.places`.
        prompted: The frame on which the object was given.
        overlaps: The tracker's, float [T].
        size: (width, height) of the panel above.
        count: Places in a row.
        corrected: Frames on which somebody corrected the object.
        tells_corrections: Whether the legend beside it has a line on them.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int | None]],
        prompted: int,
        overlaps: Overlaps,
        size: tuple[int, int],
        count: int,
        corrected: Collection[int] = (),
        tells_corrections: bool = False,
    ) -> None:
        self._corrected, self._lines = corrected, len(_LEGEND) + tells_corrections
        self._rows, self._prompted, self._overlaps, self._count = rows, prompted, overlaps, count
        self._width = size[0]
        width = size[0] // count - 6  # between pictures there is room for borders
        self._size = max(width, 1), max(round(width * size[1] / size[0]), 1)
        self._last = {frame: t for t, row in enumerate(rows) for frame in row if frame is not None}
        self._pictures: dict[int, Image] = {}  # those that are still needed

    @property
    def height(self) -> int:
        """Pixels that the row takes."""
        return max(self._size[1] + 8 + _CAPTION, _LINE * self._lines + 8)

    def draw(self, t: int, image: Image, labels: Labels) -> Image:
        """The row of frame t; every frame must be given in turn, with the tracker's labels of this object."""
        canvas = PILImage.new("RGB", (self._width + 2 * BORDER, self.height), "white")
        pen = ImageDraw.Draw(canvas)
        if not self._last:
            pen.text((6, 6), "its results do not say what it attended to", fill=BLACK, font=load_font(12))
            return np.asarray(canvas)
        row, before = self._rows[t], self._rows[t - 1] if t else []
        width, height = self._size
        for k in range(self._count):
            x, y = 2 + k * self._width // self._count + 3, 4
            frame = row[k] if k < len(row) else None
            if frame is None:
                pen.rectangle((x, y, x + width - 1, y + height - 1), outline=_PALE)
                continue
            canvas.paste(PILImage.fromarray(self._pictures[frame]), (x, y))
            if frame in self._corrected:
                pen.rectangle((x - 2, y - 2, x + width + 1, y + height + 1), outline=ORANGE, width=2)
            elif frame not in before and frame != self._prompted:
                pen.rectangle((x - 3, y - 3, x + width + 2, y + height + 2), outline=BLUE, width=3)
            color = RED if self._overlaps[frame] < _WRONG else BLACK
            pen.text((x + width // 2, y + height + 3), str(frame), fill=color, font=load_font(11), anchor="ma")
        if self._last.get(t, -1) > t:
            self._pictures[t] = self._picture(image, labels)
        self._pictures = {frame: one for frame, one in self._pictures.items() if self._last[frame] > t}
        return np.asarray(canvas)

    def _picture(self, image: Image, labels: Labels) -> Image:
        mask = np.asarray(PILImage.fromarray(labels).point(lambda k: 255 * (k > 0)).resize(self._size, AREA))
        small = np.where(mask > 64, labels.max(), 0).astype(np.uint8)  # a pixel is the object's from a quarter of it
        return overlay(np.asarray(PILImage.fromarray(image).resize(self._size, AREA)), small, alpha=0.25)


def draw_legend(width: int, height: int, with_corrections: bool = False) -> Image:
    """What stands below the truth: how to read the row beside it."""
    canvas = PILImage.new("RGB", (width, height), "white")
    for k, line in enumerate([*_LEGEND, *[_OF_CORRECTIONS] * with_corrections]):
        ImageDraw.Draw(canvas).text((6, 4 + _LINE * k), line, fill=BLACK, font=load_font(12))
    return np.asarray(canvas)
