"""Where the frames of a memory bank are drawn: each keeps its place as long as it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import itemgetter


def places(banks: Sequence[Sequence[int]], prompted: int) -> list[list[int | None]]:
    """Give every frame of a bank a place that it keeps as long as it is there.

    Args:
        banks: For each prediction the frames it attended to.
        prompted: The frame that has the first place, and no other.

    Returns:
        For each prediction the frame in each place, None = free; a frame that comes takes the first free place.
    """
    row: list[int | None] = [None]
    rows = []
    for bank in banks:
        row = [prompted if prompted in bank else None, *(frame if frame in bank else None for frame in row[1:])]
        for frame in sorted({*bank} - {prompted, *row}):
            free = next((k for k in range(1, len(row)) if row[k] is None), None)
            if free is None:
                row.append(frame)
            else:
                row[free] = frame
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Stay:
    """A frame that sits in a slot for a while.

    Attributes:
        slot: The place in the bank, 0 = the prompted frame's.
        frame: The frame that is remembered.
        begin: The first frame whose prediction attended to it there.
        end: The last one.
    """

    slot: int
    frame: int
    begin: int
    end: int


def stays(banks: Sequence[Sequence[int]], prompted: int) -> list[Stay]:
    """How long each frame sits in which slot of a bank; arguments as in `places`."""
    found = []
    for k, column in enumerate(zip_longest(*places(banks, prompted))):
        for frame, run in groupby(enumerate(column), key=itemgetter(1)):
            times = [t for t, _ in run]
            if frame is not None:
                found.append(Stay(k, frame, times[0], times[-1]))
    return found
