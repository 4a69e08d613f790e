"""IoU and memory banks over time, as SVG.

Written by hand: Matplotlib would need seconds for each.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from sam2rl_tracker.evaluation.memory import used_frames
from sam2rl_tracker.evaluation.overlaps import Flags
from sam2rl_tracker.evaluation.tracks import ObjectTracks, Track
from sam2rl_tracker.report.slots import stays
from sam2rl_tracker.report.style import Style, Styles

_WIDTH, _LEFT, _RIGHT = 960, 132, 12  # pixels
_TOP, _PLOT, _AXIS = 16, 130, 26
_SLOT, _STRIP, _GAP = 9, 7, 14  # heights of a slot, of the strip of unused frames, and between trackers
_DIGIT = 5.6  # width
_SHADES = 24


def draw_chart(one: ObjectTracks, styles: Styles, marked: Sequence[int], trained: Container[str] = ()) -> str:
    """IoU over time of all trackers, above the bank of each, as inline SVG.

    Args:
        one: What the trackers did.
        styles: Of the trackers.
        marked: Frames that are shown below the chart.
        trained: Trackers that saw the truth they are scored on.
    """
    grid = _Grid(len(one.known))
    banks = []
    y = _TOP + _PLOT + _AXIS
    for name, track in one.tracks.items():
        if track.banks is not None:
            notes = ["trained on this truth"] * (name in trained)
            height, drawn = _bank([name, *notes], styles[name], track.banks, one.start, grid)
            banks.append(f'<g transform="translate(0 {y})">{drawn}</g>')
            y += height + _GAP
    parts = [
        f'<path class="{kind}" d="{grid.box(begin, end, _TOP, y - _TOP - _GAP)}"/>'
        for kind, flags in (("absent", one.known & ~one.visible), ("unknown", ~one.known))
        for begin, end in _runs(flags)
    ]
    parts.append(_axes(grid))
    parts += [_curve(name, track, one, styles[name], grid) for name, track in one.tracks.items()]
    for t in marked:
        at = grid.x(t + 0.5)
        parts.append(f'<path class="mark" d="M{at} {_TOP - 3}l-5 -8h10z"/><path class="at" d="M{at} {_TOP}v{_PLOT}"/>')
    label = escape(f"IoU and memory over time on {one.sequence}, object {one.object_id}")
    drawing = "".join(parts + banks)
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{label}">{drawing}</svg>'


@dataclass(frozen=True)
class _Grid:
    """Frames along the horizontal axis.

    Attributes:
        length: Frames of the video.
    """

    length: int

    @property
    def step(self) -> float:
        """Width of a frame."""
        return (_WIDTH - _LEFT - _RIGHT) / self.length

    def x(self, t: float) -> float:
        """Left edge of frame t; its middle is at t + 0.5."""
        return round(_LEFT + t * self.step, 1)

    def box(self, begin: int, end: int, top: float, height: float) -> str:
        """Path of a rectangle over frames [begin, end), with a hair between it and the next."""
        width = round((end - begin) * self.step - min(0.6, 0.2 * self.step), 1)
        return f"M{self.x(begin)} {top}h{width}v{height}h-{width}z"


def _runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of every run of True."""
    position = 0
    for value, group in groupby(flags.tolist()):
        count = len(list(group))
        if value:
            yield position, position + count
        position += count


def _axes(grid: _Grid) -> str:
    bottom = _TOP + _PLOT
    lines = []
    for value in (0, 0.5, 1):
        y = bottom - value * _PLOT
        lines.append(f'<path class="grid" d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    lines.append(f'<text x="{_LEFT - 34}" y="{bottom - _PLOT / 2 + 4}" text-anchor="end">IoU</text>')
    step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if grid.length / step <= 16)
    for t in range(0, grid.length, step):
        lines.append(f'<text x="{grid.x(t + 0.5)}" y="{bottom + 14}" text-anchor="middle">{t}</text>')
    lines.append(f'<text x="{_LEFT - 6}" y="{bottom + 14}" text-anchor="end">frame</text>')
    return "".join(lines)


def _curve(name: str, track: Track, one: ObjectTracks, style: Style, grid: _Grid) -> str:
    heights = [round(_TOP + _PLOT * (1 - value), 1) for value in np.nan_to_num(track.overlaps).tolist()]
    path = ""
    for begin, end in _runs(one.scored):
        points = "L".join(f"{grid.x(t + 0.5)} {heights[t]}" for t in range(begin, end))
        path += f"M{points}" if end - begin > 1 else f"M{points}h1"
    return f'<path class="line" data-tracker="{escape(name)}" stroke="{style.color}"{_dash(style)} d="{path}"/>'


def _bank(title: Sequence[str], style: Style, banks: list[tuple[int, ...]], start: int, grid: _Grid) -> tuple[int, str]:
    """Height and picture of a bank, slot by frame: the colour is the frame that sits there, dark = early."""
    found = stays(banks, start)
    slots = _SLOT * (1 + max((stay.slot for stay in found), default=0))
    shades: dict[int, list[str]] = {}
    numbers = []
    for stay in found:
        shade = stay.frame * _SHADES // grid.length
        top = stay.slot * _SLOT
        shades.setdefault(shade, []).append(grid.box(stay.begin, stay.end + 1, top, _SLOT - 1))
        if (stay.end + 1 - stay.begin) * grid.step > _DIGIT * len(str(stay.frame)) + 4:
            light = ' class="dark"' if shade > 0.55 * _SHADES else ""
            numbers.append(f'<text x="{grid.x(stay.begin) + 2}" y="{top + _SLOT - 1.8:.1f}"{light}>{stay.frame}</text>')
    colors = matplotlib.colormaps["viridis"].resampled(_SHADES)
    bars = "".join(
        f'<path fill="{to_hex(colors(shade))}" d="{"".join(paths)}"/>' for shade, paths in sorted(shades.items())
    )
    unused = ~used_frames(banks, start)
    unused[: start + 1] = False
    unused[-1] = False  # nothing follows the last frame
    ticks = "".join(grid.box(t, t + 1, slots + 1, _STRIP - 3) for t in np.flatnonzero(unused).tolist())
    lines = [*map(escape, title), f"{int(unused.sum())} never used"]
    top = slots // 2 - 6 * len(lines) + 12
    classes = [' class="name"', *[""] * len(lines)]
    label = "".join(
        f'<text{kind} x="{_LEFT - 6}" y="{top + 12 * k}" text-anchor="end">{line}</text>'
        for k, (line, kind) in enumerate(zip(lines, classes, strict=False))
    )
    sample = f'<path class="sample" d="M{_LEFT - 46} {top - 14}h40" stroke="{style.color}"{_dash(style)}/>'
    return slots + _STRIP, (
        f'{label}{sample}{bars}<path class="unused" d="{ticks}"/><g class="frames">{"".join(numbers)}</g>'
    )


def _dash(style: Style) -> str:
    return f' stroke-dasharray="{" ".join(f"{part:g}" for part in style.dash)}"' if style.dash else ""
