"""Trackers side by side on one sequence, as a video and as a picture of some of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.methods import BASELINE
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.media.files import StrPath, atomic_path
from sam2rl_tracker.media.images import Image, Labels, read_image
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.report.bank import places
from sam2rl_tracker.report.measured import read_banks
from sam2rl_tracker.report.table import labelled, that_saw_truth
from sam2rl_tracker.vot.regions import EMPTY, Region, read_trajectory
from sam2rl_tracker.vot.results import checked_workspace, result_file, result_stem, tracked_names
from sam2rl_tracker.vot.sequences import Sequence as Truth
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import Workspace

Regions = list[Region | int]  # a frame's mask, or the toolkit's code for none

_PANEL = 256  # pixels of a panel's larger side without a bank,
_WIDTH = 1600  # or of a whole row of panels with one
_ABREAST, _ABREAST_BANK = 5, 4  # panels in a row at most: more would be too wide for a screen, and for some players
_TITLE = 26  # pixels
_TITLE_FONTS = (14, 13, 12, 11, 10)  # the largest in which a title fits is taken
_font = cache(ImageFont.load_default)  # which reads the font anew at every call
_CAPTION = 16  # pixels, below a picture of the bank
_PLACES = 7  # of a bank at least: SAM 2's
_STILLS = 5  # frames in the picture
_WRONG = 0.5  # IoU below which a remembered mask is called wrong

_LINE = 17  # pixels, of the legend
_BLACK, _BLUE, _RED, _GRAY = (0, 0, 0), (0, 114, 178), (200, 60, 0), (190, 190, 190)
_AREA = PILImage.Resampling.BOX
_LEGEND = (
    "Under each tracker: the frames this prediction attended to,",
    "with its own masks there, if it saw any. First: the prompted one.",
    "Blue: stored just now. Red: the mask there is wrong (IoU < 0.5).",
)


@dataclass(frozen=True)
class Difference:
    """An object on which trackers were found to differ.

    Attributes:
        qualities: {tracker: mean overlap with the truth, from the second frame on}.
        size: How far the best and the worst of them are apart on a frame, averaged over the frames.
    """

    sequence: str
    object_id: int
    qualities: dict[str, float]
    size: float


@dataclass(frozen=True)
class _Said:
    """What a tracker said of one object, frame by frame: where it is, and the frames that it attended to."""

    regions: Regions
    banks: list[tuple[int, ...]]  # all empty for a tracker that does not tell


def find_difference(
    folder: StrPath, sequence: str | None = None, trackers: Sequence[str] = (), object_id: int | None = None
) -> Difference:
    """Find where trackers differ most; whatever is given is kept.

    Args:
        folder: A workspace with results.
        sequence: One of its sequences; None = the one on which the trackers differ most.
        trackers: Two or more with results; none given = the two that differ most.
        object_id: One of the sequence's objects; None = the one on which they differ most.

    Raises:
        Sam2rlError: There is no such sequence, object or tracker, or no two trackers have complete results.
    """
    workspace = checked_workspace(folder)
    names = workspace.names()
    if sequence is not None and sequence not in names:
        raise Sam2rlError(f"{workspace.folder} has no sequence {sequence!r}: give one of {_listed(names)}.")
    known = sorted(tracked_names(workspace), key=lambda name: (name != BASELINE, name))
    for name in trackers:
        if name not in known:
            raise Sam2rlError(
                f"{workspace.folder} has no results of a tracker {name!r}: there are those of "
                f"{_listed(known) or 'none'}. `vot evaluate --workspace {workspace.folder} {name}` makes them."
            )
    if trackers and len(set(trackers)) < 2:
        raise Sam2rlError(f"{trackers[0]} is alone: give two trackers or more of {_listed(known)}.")
    found: list[Difference] = []
    lacking = ""
    for name in names if sequence is None else [sequence]:
        truth = read_sequence(workspace.sequences / name)
        if object_id is not None and object_id not in truth.regions:
            lacking = f"{name} has no object {object_id}: its objects are {_listed(truth.regions)}."
            continue
        for k in truth.regions if object_id is None else [object_id]:
            said = {tracker: _read(workspace, tracker, truth, k) for tracker in trackers or known}
            overlaps = {tracker: _overlaps(one, truth, k) for tracker, one in said.items() if one}
            incomplete = [tracker for tracker in trackers if tracker not in overlaps]
            if incomplete or len(overlaps) < 2:
                lacking = _lacking(workspace, name, incomplete or known)
                continue
            for group in [tuple(trackers)] if trackers else combinations(overlaps, 2):
                qualities = {tracker: quality(overlaps[tracker]) for tracker in group}
                size = quality(_spread([overlaps[tracker] for tracker in group]))
                found.append(Difference(name, k, qualities, size))
    if not found:
        raise Sam2rlError(lacking)
    return max(found, key=lambda one: one.size)


def write_comparison(
    folder: StrPath,
    sequence: str,
    trackers: Sequence[str],
    path: Path,
    fps: float = 12,
    object_id: int | None = None,
) -> Path:
    """Draw the true masks and each tracker's, frame by frame, with each tracker's mean IoU of the frame.

    Frames count from 0, the prompted one, as in traces and in the results' `memory_frames`.

    Args:
        folder: A workspace with results of these trackers.
        path: The .mp4 to write; a .png beside it shows the frames on which the trackers differ most.
        object_id: Show this object alone, and below each tracker the frames in its memory bank: a frame keeps its
            place while it is there. None = all objects, without banks.

    Returns:
        The video's path.

    Raises:
        Sam2rlError: There are no such results, or the files cannot be written.
    """
    workspace = checked_workspace(folder)
    truth = read_sequence(workspace.sequences / sequence)
    objects = list(truth.regions) if object_id is None else [object_id]
    said = {name: {k: _complete(workspace, name, truth, k) for k in objects} for name in trackers}
    overlaps = {name: _mean([_overlaps(one, truth, k) for k, one in own.items()]) for name, own in said.items()}
    chosen = _stills(_spread(list(overlaps.values())))

    count = 1 + len(trackers)
    rows = -(-count // (_ABREAST if object_id is None else _ABREAST_BANK))
    columns = -(-count // rows)
    size = _fitted(truth.size, _PANEL if object_id is None else _WIDTH // columns)
    banks: dict[str, _Bank] = {}
    if object_id is not None:
        rooms = {name: places(own[object_id].banks, truth.start(object_id)) for name, own in said.items()}
        most = max(_PLACES, *(len(row) for room in rooms.values() for row in room))
        banks = {name: _Bank(rooms[name], truth.start(object_id), overlaps[name], size, most) for name in trackers}
    stills = []
    trained = that_saw_truth(workspace, trackers)
    with VideoWriter(path, fps) as video:
        for t, file in enumerate(truth.images):
            image = _resized(read_image(file), size)
            true = {k: truth.regions[k][t] for k in objects}
            state = _state(true)
            title = f"truth  frame {t}{state and f': {state}'}"
            panels = [_panel(overlay(image, _labels(true, truth.size, size)), title, _RED if state else _BLACK)]
            if banks:
                panels[0] = np.concatenate([panels[0], _legend(panels[0].shape[1], banks[trackers[0]].height)])
            for name, own in said.items():
                labels = _labels({k: one.regions[t] for k, one in own.items()}, truth.size, size)
                title = labelled(name, trained)
                if any(t > truth.start(k) for k in objects):  # before, nothing was predicted
                    score = overlaps[name][t]
                    title += ("" if np.isnan(score) else f"  {score:.2f}") + ("" if labels.any() else "  says absent")
                panel = _panel(overlay(image, labels), title)
                panels.append(np.concatenate([panel, banks[name].draw(t, image, labels)]) if banks else panel)
            video.write(_grid(panels, columns))
            if t in chosen:
                stills.append(np.concatenate(panels, axis=1))
    with atomic_path(path.with_suffix(".png")) as temporary:
        PILImage.fromarray(np.concatenate(stills)).save(temporary)
    return path


# ---------------------------------------------------------------- results


def _complete(workspace: Workspace, tracker: str, truth: Truth, object_id: int) -> _Said:
    said = _read(workspace, tracker, truth, object_id)
    if said is None:
        raise Sam2rlError(_lacking(workspace, truth.name, [tracker]))
    return said


def _read(workspace: Workspace, tracker: str, truth: Truth, object_id: int) -> _Said | None:
    """A tracker's results for one object; None when they are incomplete."""
    stem = result_stem(workspace, tracker, truth.name, object_id)
    file = result_file(stem)
    try:
        regions = read_trajectory(file.read_bytes()) if file else []
    except Sam2rlError:
        regions = []  # damaged: `sam2rl report` says so
    if len(regions) != len(truth):
        return None
    start = truth.start(object_id)
    regions[start] = truth.regions[object_id][start]  # of the frame on which a mask was given the toolkit keeps none
    banks = read_banks(stem, len(truth)) or [()] * len(truth)
    return _Said(regions, banks)


def _lacking(workspace: Workspace, sequence: str, trackers: Sequence[str]) -> str:
    """An error's text: which trackers there are to compare."""
    truth = read_sequence(workspace.sequences / sequence)
    names = tracked_names(workspace)
    complete = [name for name in names if all(_read(workspace, name, truth, k) for k in truth.regions)]
    wanted = [name for name in trackers if name not in complete]
    return (
        f"{', '.join(wanted) or 'Too few trackers'}: no complete results on {sequence} in {workspace.folder}, where "
        f"those of {_listed(complete) or 'no tracker'} are complete. "
        f"`vot evaluate --workspace {workspace.folder} {' '.join(wanted) or 'SAM2 SAMURAI'}` makes them."
    )


def _listed(names: Iterable[object]) -> str:
    """Names for an error's text, of many the first ones."""
    first = [str(name) for name in names]
    return ", ".join(first[:10]) + (f" and {len(first) - 10} more" if len(first) > 10 else "")


def _overlaps(said: _Said, truth: Truth, object_id: int) -> NDArray[np.float64]:
    """Overlap with the truth on every frame, [T]; nan where the truth is unknown."""
    rows = zip(said.regions, truth.regions[object_id], truth.ignored, strict=True)
    return np.array([_overlap(*row, truth.size) if isinstance(row[1], Region) else np.nan for row in rows])


def _overlap(found: Region | int, true: Region | int, ignored: Region | int, size: tuple[int, int]) -> float:
    """Overlap on one frame, computed where the two regions are: images may be large and objects small."""
    both = [region if isinstance(region, Region) else EMPTY for region in (found, true)]
    boxes = [region for region in both if not region.empty]
    left, top = (max(min((getattr(box, side) for box in boxes), default=0), 0) for side in "xy")
    right = min(max((box.x + box.width for box in boxes), default=0), size[1])
    bottom = min(max((box.y + box.height for box in boxes), default=0), size[0])
    room = max(bottom - top, 0), max(right - left, 0)
    masks = [
        replace(region, x=region.x - left, y=region.y - top).full(room)[None]
        for region in (*both, ignored if isinstance(ignored, Region) else EMPTY)
    ]
    return float(frame_overlaps(masks[0], masks[1], ignored=masks[2])[0])


def _mean(overlaps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean over objects, [T]; of unknown ones there are none in it."""
    table = np.stack(overlaps)
    known = ~np.isnan(table)
    return np.where(known.any(axis=0), np.nansum(table, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _spread(overlaps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """How far the trackers are apart on every frame, [T]; nan where the truth is unknown."""
    return np.ptp(np.stack(overlaps), axis=0)


def _stills(spread: NDArray[np.float64]) -> list[int]:
    """Frames on which trackers differ most, one in each fifth of the video."""
    spread = np.nan_to_num(spread)
    parts = [part for part in np.array_split(np.arange(1, len(spread)), _STILLS) if part.size]
    return [int(part[spread[part].argmax()]) for part in parts] or [0]


# ---------------------------------------------------------------- the bank


class _Bank:
    """Draws a tracker's bank: a row of small pictures, each of a frame that it attended to and its mask there.

    Args:
        rows: From `places`.
        overlaps: The tracker's, [T].
        size: (width, height) of the panel above.
        count: Places in a row.
    """

    def __init__(
        self,
        rows: list[list[int | None]],
        prompted: int,
        overlaps: NDArray[np.float64],
        size: tuple[int, int],
        count: int,
    ):
        self._rows, self._prompted, self._overlaps, self._count = rows, prompted, overlaps, count
        self._width = size[0]
        width = size[0] // count - 6  # between pictures there is room for borders
        self._size = max(width, 1), max(round(width * size[1] / size[0]), 1)
        self._last = {frame: t for t, row in enumerate(rows) for frame in row if frame is not None}
        self._pictures: dict[int, Image] = {}  # those that are still needed

    @property
    def height(self) -> int:
        """Pixels that the row takes."""
        return max(self._size[1] + 8 + _CAPTION, _LINE * len(_LEGEND) + 8)

    def draw(self, t: int, image: Image, labels: Labels) -> Image:
        """The row of frame t; every frame must be given in turn, with the tracker's labels of this object."""
        canvas = PILImage.new("RGB", (self._width + 4, self.height), "white")
        pen = ImageDraw.Draw(canvas)
        if not self._last:
            pen.text((6, 6), "its results do not say what it attended to", fill=_BLACK, font=_font(12))
            return np.asarray(canvas)
        row, before = self._rows[t], self._rows[t - 1] if t else []
        width, height = self._size
        for k in range(self._count):
            x, y = 2 + k * self._width // self._count + 3, 4
            frame = row[k] if k < len(row) else None
            if frame is None:
                pen.rectangle((x, y, x + width - 1, y + height - 1), outline=_GRAY)
                continue
            canvas.paste(PILImage.fromarray(self._pictures[frame]), (x, y))
            if frame not in before and frame != self._prompted:
                pen.rectangle((x - 3, y - 3, x + width + 2, y + height + 2), outline=_BLUE, width=3)
            color = _RED if self._overlaps[frame] < _WRONG else _BLACK
            pen.text((x + width // 2, y + height + 3), str(frame), fill=color, font=_font(11), anchor="ma")
        if self._last.get(t, -1) > t:
            self._pictures[t] = self._picture(image, labels)
        self._pictures = {frame: one for frame, one in self._pictures.items() if self._last[frame] > t}
        return np.asarray(canvas)

    def _picture(self, image: Image, labels: Labels) -> Image:
        mask = np.asarray(PILImage.fromarray(labels).point(lambda k: 255 * (k > 0)).resize(self._size, _AREA))
        small = np.where(mask > 64, labels.max(), 0).astype(np.uint8)  # a pixel is the object's from a quarter of it
        return overlay(np.asarray(PILImage.fromarray(image).resize(self._size, _AREA)), small, alpha=0.25)


def _legend(width: int, height: int) -> Image:
    """What stands below the truth: how to read the row beside it."""
    canvas = PILImage.new("RGB", (width, height), "white")
    for k, line in enumerate(_LEGEND):
        ImageDraw.Draw(canvas).text((6, 4 + _LINE * k), line, fill=_BLACK, font=_font(12))
    return np.asarray(canvas)


# ---------------------------------------------------------------- panels


def _labels(regions: Mapping[int, Region | int], size: tuple[int, int], shown: tuple[int, int]) -> Labels:
    """Masks of several objects as labels, uint8 [h, w], at the size (width, height) in which they are shown."""
    labels = np.zeros(size, dtype=np.uint8)
    for k, region in regions.items():
        if isinstance(region, Region):
            labels[region.full(size)] = (k - 1) % 254 + 1
    return np.asarray(PILImage.fromarray(labels).resize(shown, PILImage.Resampling.NEAREST))


def _state(true: Mapping[int, Region | int]) -> str:
    """What a viewer should know of the truth of a frame on which it shows nothing."""
    known = [region for region in true.values() if isinstance(region, Region)]
    if not known:
        return "unknown"
    return "absent" if all(region.empty for region in known) else ""


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) in which an image of (height, width) is shown: enlarged by a whole factor, or made smaller."""
    height, width = size
    larger = max(size)
    if larger <= side:
        return width * (side // larger), height * (side // larger)
    return max(round(width * side / larger), 1), max(round(height * side / larger), 1)


def _resized(image: Image, size: tuple[int, int]) -> Image:
    way = PILImage.Resampling.NEAREST if size[0] >= image.shape[1] else _AREA
    return np.asarray(PILImage.fromarray(image).resize(size, way))


def _panel(image: Image, title: str, color: tuple[int, int, int] = _BLACK) -> Image:
    """Put a title above an image."""
    height, width = image.shape[:2]
    canvas = PILImage.new("RGB", (width + 4, height + _TITLE), "white")
    canvas.paste(PILImage.fromarray(image), (2, _TITLE))
    fonts = (_font(size) for size in _TITLE_FONTS)
    font = next((font for font in fonts if font.getlength(title) <= width - 4), _font(_TITLE_FONTS[-1]))
    ImageDraw.Draw(canvas).text((6, _TITLE - 4), title, fill=color, font=font, anchor="ls")
    return np.asarray(canvas)


def _grid(panels: list[Image], columns: int) -> Image:
    """Panels in rows; what stays free is white."""
    filled = panels + [np.full_like(panels[0], 255)] * (-len(panels) % columns)
    return np.concatenate([np.concatenate(filled[i : i + columns], axis=1) for i in range(0, len(filled), columns)])
