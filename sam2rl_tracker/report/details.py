"""One object of one sequence in detail: IoU and banks over time as SVG, and frames with two trackers' masks.

Written by hand: Matplotlib would need seconds for each.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image as PILImage

from sam2rl_tracker.evaluation.overlaps import Flags
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.media.images import Image, Mask, read_image
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.report.bank import places
from sam2rl_tracker.report.measured import Measured, ObjectTracks, Track, fate, read_regions
from sam2rl_tracker.report.palette import Style
from sam2rl_tracker.report.words import worst_span
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import Workspace

_WIDTH, _LEFT, _RIGHT = 960, 132, 12  # pixels
_TOP, _PLOT, _AXIS = 16, 130, 26
_SLOT, _STRIP, _GAP = 9, 7, 14  # heights of a slot, of the strip of unused frames, and between trackers
_DIGIT = 5.6  # width
_SHADES = 24
_PANEL = 166  # pixels of the larger side of a frame
_STYLE = (  # of charts outside of the page
    "svg{font:10.5px sans-serif;background:#fff}.line,.sample{fill:none;stroke-width:1.8}.grid{stroke:#ccd}"
    ".at{stroke:#000;stroke-width:.7;stroke-dasharray:2 3}.absent{fill:#e4e7eb}.unknown{fill:#f3e8d2}"
    ".unused{fill:#6b7480}.frames text{fill:#fff;font-size:7.6px}.frames .dark{fill:#000}"
)
_APART = 12  # frames shown are at least a twelfth of the video apart


@dataclass(frozen=True)
class Still:
    """A frame with the masks of the two trackers that differ most.

    Attributes:
        why: it was chosen, in words.
        scores: {tracker: IoU}.
        silent: Those of the trackers that give no mask.
        picture: uint8 [h, w, 3], a panel for each of the scores.
        source: The picture as a data URI.
    """

    frame: int
    why: str
    scores: dict[str, float]
    silent: set[str]
    picture: Image
    source: str


@dataclass(frozen=True)
class Detail:
    """What the page shows of one object."""

    one: ObjectTracks
    chart: str
    stills: list[Still]

    @property
    def name(self) -> str:
        """Of its files and in the page's links."""
        return f"{self.one.sequence}_{self.one.object_id}"


def draw_details(measured: Measured, workspace: Workspace, styles: Mapping[str, Style], limit: int) -> list[Detail]:
    """Charts and frames of the objects on which the trackers differ most.

    Args:
        workspace: The one that was measured.
        limit: At most so many objects.

    Raises:
        Sam2rlError: An image cannot be read.
    """
    chosen = sorted(measured.objects, key=lambda one: -one.spread)[:limit]
    details = []
    for one in chosen:
        pair = rivals(one, measured.base)
        picks = pick_frames(one, pair)
        stills = list(_draw_stills(workspace, one, pair, picks, styles))
        details.append(Detail(one, chart(one, styles, sorted(picks), measured.report.trained), stills))
    return details


def save_details(details: Sequence[Detail], folder: Path) -> None:
    """Write NAME.svg (the chart) and NAME.png (the frames, from top to bottom) for each.

    Raises:
        Sam2rlError: A file cannot be written.
    """
    for detail in details:
        with atomic_path(folder / f"{detail.name}.svg") as temporary:
            head, rest = detail.chart.split(">", 1)
            opening = f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_STYLE}</style>'
            temporary.write_text(opening + rest, encoding="utf-8")
        if detail.stills:
            with atomic_path(folder / f"{detail.name}.png") as temporary:
                PILImage.fromarray(np.concatenate([still.picture for still in detail.stills])).save(temporary)


def rivals(one: ObjectTracks, base: str | None) -> tuple[str, ...]:
    """The two trackers whose qualities differ most, the baseline being one where it is there; or the only one."""
    quality = {name: track.measures.quality for name, track in one.tracks.items()}
    first = base or min(quality, key=lambda name: quality[name])
    others = [name for name in quality if name != first]
    return (first, *sorted(others, key=lambda name: -abs(quality[name] - quality[first]))[:1])


def pick_frames(one: ObjectTracks, pair: Sequence[str]) -> dict[int, str]:
    """Up to six scored frames that tell most, in order of time: {frame: why}."""
    overlaps = np.stack([one.tracks[name].overlaps for name in pair])  # [trackers, T]
    gain, mean = overlaps[-1] - overlaps[0], overlaps.mean(axis=0)
    picks: dict[int, str] = {}

    def pick(values: np.ndarray, count: int, why: str) -> None:
        for t in np.argsort(-values, kind="stable"):
            apart = all(abs(int(t) - other) >= max(2, len(values) // _APART) for other in picks)
            if count and apart and one.scored[t] and np.isfinite(values[t]):
                picks[int(t)] = why
                count -= 1

    if len(pair) > 1:
        loser, winner = sorted(pair, key=lambda name: one.tracks[name].measures.quality)
        if span := worst_span(one, loser, winner):
            picks[span[0]] = f"{loser} falls behind from here"
        pick(np.where(gain > 0.1, gain, np.nan), 2, f"{pair[1]} is ahead most")
        pick(np.where(gain < -0.1, -gain, np.nan), 1, f"{pair[0]} is ahead most")
    both = " for both" * (len(pair) > 1)
    pick(-mean, 1, f"worst{both}")
    pick(np.where(one.visible, mean, np.nan), 1, f"best{both}")
    return dict(sorted(picks.items()))


# ---------------------------------------------------------------- frames


def _draw_stills(
    workspace: Workspace, one: ObjectTracks, pair: Sequence[str], picks: Mapping[int, str], styles: Mapping[str, Style]
) -> Iterator[Still]:
    video = read_sequence(workspace.sequences / one.sequence)
    answers = {name: read_regions(workspace, name, video, one.object_id) for name in pair}
    truth = video.regions[one.object_id]
    for t, why in picks.items():
        image = read_image(video.images[t])
        panels = []
        for name in pair:
            labels = styles[name].label * _full(answers[name][t], video.size).astype(np.uint8)
            panels.append(_panel(overlay(image, labels, alpha=0.4), _full(truth[t], video.size)))
        buffer = io.BytesIO()
        picture = np.concatenate(panels, axis=1)
        PILImage.fromarray(picture).save(buffer, "WEBP", quality=70, method=2)
        source = f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
        scores = {name: float(one.tracks[name].overlaps[t]) for name in pair}
        silent = {name for name in pair if not one.tracks[name].predicted[t]}
        yield Still(t, why, scores, silent, picture, source)


def _full(region: Region | int, size: tuple[int, int]) -> Mask:
    return region.full(size) if isinstance(region, Region) else np.zeros(size, dtype=bool)


def _panel(image: Image, truth: Mask) -> Image:
    """An image at the size of the page, with the outline of the truth in white on black."""
    height, width = image.shape[:2]
    factor = _PANEL / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.array(PILImage.fromarray(image).resize(size, PILImage.Resampling.BICUBIC))
    inside = np.asarray(PILImage.fromarray(truth).resize(size, PILImage.Resampling.NEAREST))
    near = _grown(inside) & ~inside
    small[_grown(near) & ~inside & ~near] = 0
    small[near] = 255
    return np.pad(small, ((0, 0), (0, 2), (0, 0)), constant_values=255)


def _grown(mask: Mask) -> Mask:
    """A mask and the pixels beside it."""
    padded = np.pad(mask, 1)
    grown: Mask = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:] | mask
    return grown


# ---------------------------------------------------------------- chart


@dataclass(frozen=True)
class Stay:
    """A frame that sits in a slot from one frame to another, both included."""

    slot: int
    frame: int
    begin: int
    end: int


def stays(banks: Sequence[tuple[int, ...]], prompted: int) -> list[Stay]:
    """How long each frame sits in which slot of a bank; arguments as in `places`."""
    found = []
    for k, column in enumerate(zip_longest(*places(banks, prompted))):
        for frame, run in groupby(enumerate(column), key=itemgetter(1)):
            times = [t for t, _ in run]
            if frame is not None:
                found.append(Stay(k, frame, times[0], times[-1]))
    return found


def chart(one: ObjectTracks, styles: Mapping[str, Style], marked: Sequence[int], trained: Container[str] = ()) -> str:
    """IoU over time of all trackers, above the bank of each, as inline SVG.

    Args:
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
    """Frames along the horizontal axis."""

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
    unused = ~fate(banks, start)
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
