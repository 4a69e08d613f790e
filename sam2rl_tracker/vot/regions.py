"""The toolkit's regions: masks as run lengths in text lines and binary trajectories.

A line `mX,Y,W,H,runs...` is a mask: a rectangle at (X, Y) whose pixels, row by row, alternate between background and
object in runs, background first. Four numbers are a rectangle `x,y,width,height`, eight or more a polygon's corners.
A single number is a special code. Both readers here give a `Region` or that code.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from sam2rl_tracker.errors import Sam2rlError

Mask = NDArray[np.bool_]  # [h, w]

Box = tuple[float, float, float, float]  # x, y, width, height in pixels

UNKNOWN = 0
"""Special code in a ground truth: nobody knows where the object is, the frame does not count."""


@dataclass(frozen=True)
class Region:
    """A mask without its surroundings: run lengths of a rectangle.

    Attributes:
        x: Left edge of the rectangle in the image, in pixels; the rectangle may reach beyond the image.
        y: Top edge.
        width: Of the rectangle.
        height: Of the rectangle.
        runs: Pixels of background, of object, of background ... in turn, row by row within the rectangle.
        outline: The numbers of a rectangle (four) or of a polygon's corners (eight and more), of which the runs are the
            filled inside, in whole pixels; empty for a mask.
    """

    x: int
    y: int
    width: int
    height: int
    runs: tuple[int, ...]
    outline: tuple[float, ...] = field(default=(), compare=False)

    @property
    def box(self) -> Box | None:
        """The rectangle around the object as it was given, or around a mask's or polygon's pixels; None = absent."""
        if len(self.outline) == 4:
            x, y, width, height = self.outline
            return x, y, width, height
        return None if self.empty else self._around()

    def _around(self) -> Box | None:
        found = bounding_box(self.crop())
        return None if found is None else (self.x + found[0], self.y + found[1], found[2], found[3])

    @property
    def empty(self) -> bool:
        """Whether no pixel is set."""
        return not any(self.runs[1::2])

    def crop(self) -> Mask:
        """The mask inside the rectangle, bool [height, width]."""
        flat = np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs)
        mask = np.zeros(self.height * self.width, dtype=bool)
        mask[: len(flat)] = flat  # a writer may leave out the last run of background
        return mask.reshape(self.height, self.width)

    def full(self, size: tuple[int, int]) -> Mask:
        """The mask in an image of `size` (height, width), bool [h, w]; what lies outside the image is cut off."""
        height, width = size
        mask = np.zeros(size, dtype=bool)
        top, left = max(self.y, 0), max(self.x, 0)
        bottom, right = min(self.y + self.height, height), min(self.x + self.width, width)
        if top < bottom and left < right and len(self.outline) == 4:
            mask[top:bottom, left:right] = True  # a tracker that got lost may answer with a box of any size
        elif top < bottom and left < right:
            crop = self.crop()
            mask[top:bottom, left:right] = crop[top - self.y : bottom - self.y, left - self.x : right - self.x]
        return mask

    def line(self) -> str:
        """The region as a line of a ground truth file, without the line break."""
        if self.outline:
            return ",".join(f"{number:.10g}" for number in self.outline)
        return "m" + ",".join(map(str, (self.x, self.y, self.width, self.height, *self.runs)))


EMPTY = Region(0, 0, 0, 0, (0,))
"""The object is absent."""


def bounding_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """(x, y, width, height) of the set pixels of bool [h, w], None when there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return (
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    )


def encode(mask: Mask) -> Region:
    """Cut a mask, bool [h, w], to its bounding box and encode it."""
    box = bounding_box(mask)
    if box is None:
        return EMPTY
    x, y, width, height = box
    flat = mask[y : y + height, x : x + width].ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(changes, prepend=0, append=flat.size).tolist()
    return Region(x, y, width, height, (0, *runs) if flat[0] else tuple(runs))


def parse_line(line: str) -> Region | int:
    """Read one line of a ground truth or a text result.

    Returns:
        The region, or the code of a special line (`UNKNOWN` in a ground truth).

    Raises:
        ValueError: The line is empty or damaged.
    """
    line = line.strip()
    if line.startswith("m"):
        x, y, width, height, *runs = (int(value) for value in line[1:].split(","))
        return _checked(x, y, width, height, *runs)
    values = [float(value) for value in line.split(",")]
    if any(math.isnan(value) for value in values):
        return UNKNOWN
    if any(map(math.isinf, values)):
        raise ValueError("infinity is no number of pixels")
    if len(values) == 1:
        return int(values[0])
    if len(values) == 4:
        return rectangle(*values)
    if len(values) >= 8 and len(values) % 2 == 0:
        return polygon(values)
    raise ValueError(f"{len(values)} numbers are neither a mask nor a rectangle nor a polygon")


def rectangle(x: float, y: float, width: float, height: float) -> Region:
    """A filled rectangle, rounded to pixels as the toolkit rounds; without a known area it is the absent object."""
    if width <= 0 or height <= 0 or not all(map(math.isfinite, (x, y, width, height))):
        return EMPTY
    columns, rows = round(width), round(height)
    return Region(round(x), round(y), columns, rows, (0, columns * rows), (x, y, width, height))


def polygon(numbers: Sequence[float]) -> Region:
    """A filled polygon, its corners x1, y1, x2, y2 ... rounded to pixels, which belong to it."""
    if not all(map(math.isfinite, numbers)):
        return EMPTY
    corners = np.round(np.reshape(numbers, (-1, 2))).astype(int)  # [corners, 2] as x, y
    left, top = corners.min(axis=0).tolist()
    corners -= (left, top)
    width, height = (corners.max(axis=0) + 1).tolist()
    if len(corners) == 4:
        filled = encode(_filled_rows(corners, width, height))
    else:
        canvas = PILImage.new("1", (width, height))
        ImageDraw.Draw(canvas).polygon([(x, y) for x, y in corners.tolist()], fill=1, outline=1)
        filled = encode(np.array(canvas))
    return replace(filled, x=filled.x + left, y=filled.y + top, outline=tuple(numbers))


def _filled_rows(corners: NDArray[np.int_], width: int, height: int) -> Mask:
    """Four corners, int [4, 2], filled as the toolkit does: in every row from the first to the last edge's pixel."""
    rows, columns = np.arange(height)[:, None], np.arange(width)
    (x1, y1), (x2, y2) = corners.T, np.roll(corners, 1, axis=0).T  # of every edge, [4]
    along = (rows - y1) / np.where(y1 == y2, 1, y2 - y1)  # [h, 4], 0 at the first end of an edge and 1 at the second
    pixels = (x1 + along * (x2 - x1)).astype(int)
    crossed = (np.minimum(y1, y2) <= rows) & (rows <= np.maximum(y1, y2))
    first = np.where(crossed, pixels, width).min(axis=1)[:, None]
    last = np.where(crossed, pixels, -1).max(axis=1)[:, None]
    return np.asarray((first <= columns) & (columns <= last))


def _checked(x: int, y: int, width: int, height: int, *runs: int) -> Region:
    if min(width, height, *runs, 0) < 0 or sum(runs) > width * height:
        raise ValueError(f"runs of {sum(runs)} pixels do not fit {width}x{height}")
    return Region(x, y, width, height, runs)


def read_trajectory(data: bytes) -> list[Region | int]:
    """Read a result file of the toolkit, binary (`.bin`) or text.

    Raises:
        Sam2rlError: The data are cut off or damaged.
    """
    try:
        if data[:2] == struct.pack("<h", 1):
            return list(_binary_regions(data))
        return [parse_line(line) for line in data.decode().splitlines()]
    except (ValueError, struct.error, UnicodeDecodeError) as error:
        raise Sam2rlError(
            f"A trajectory of the VOT toolkit is damaged ({error}): delete it and evaluate again."
        ) from error


def _binary_regions(data: bytes) -> Iterator[Region | int]:
    offset = 0

    def read(layout: str) -> tuple[int, ...]:
        nonlocal offset
        values = struct.unpack_from("<" + layout, data, offset)
        offset += struct.calcsize("<" + layout)
        return values

    _, length = read("hI")  # format version, number of regions
    for _ in range(length):
        (kind,) = read("B")
        if kind == 0:
            yield read("I")[0]
        elif kind == 1:
            yield rectangle(*read("ffff"))
        elif kind == 2:
            (corners,) = read("H")
            yield polygon(read(f"{2 * corners}f"))
        elif kind == 3:
            x, y, width, height, count = read("hhHHH")
            yield _checked(x, y, width, height, *read(f"{count}H"))
        else:
            raise ValueError(f"region of kind {kind}, expected a mask, a rectangle, a polygon or a special code")
