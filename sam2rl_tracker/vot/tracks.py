"""Results of trackers in a workspace, read and compared with the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import Measures, mean_measures, measure_overlaps
from sam2rl_tracker.evaluation.overlaps import Flags, Overlaps, frame_overlaps
from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.evaluation.tracks import ObjectTracks, Track
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.analysis import Scores
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.regions import EMPTY, Region, read_trajectory
from sam2rl_tracker.vot.results import property_lines, result_file, result_stem
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import object_numbers, read_sequence
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace

TOLERANCE = 1e-3
"""How far our measures may be from the toolkit's before the report says so."""

_BY_TOOLKIT = ("quality", "accuracy", "robustness")


@dataclass(frozen=True)
class Answers:
    """What a tracker answered for one object, frame by frame.

    Attributes:
        regions: Of every frame, the object's region; the toolkit's code where it gave none.
        banks: Of every frame, the frames whose memories its prediction attended to; None where the tracker does not
            tell.
        seconds: float [T], how long each frame took; None where the toolkit did not keep it.
    """

    regions: list[Region | int]
    banks: list[tuple[int, ...]] | None
    seconds: NDArray[np.float64] | None


@dataclass(frozen=True)
class Compared:
    """Answers beside the truth.

    Attributes:
        overlaps: float [T], nan where the truth is unknown.
        predicted: bool [T], whether a mask was given that is not empty.
    """

    overlaps: Overlaps
    predicted: Flags


def read_answers(workspace: Workspace, tracker: str, video: Video, object_id: int) -> Answers | None:
    """A tracker's answers for one object; None when they are incomplete or damaged, as `sam2rl report` tells."""
    stem = result_stem(workspace, tracker, video.name, object_id)
    file = result_file(stem)
    try:
        regions = read_trajectory(file.read_bytes()) if file else []
    except Sam2rlError:
        return None
    if len(regions) != len(video):
        return None
    return Answers(regions, _read_banks(stem, len(video)), _read_seconds(stem))


def _read_banks(stem: Path, length: int) -> list[tuple[int, ...]] | None:
    """A tracker of another project may mean something else by this property: what cannot be a memory is left out."""
    lines = property_lines(stem, "memory_frames")
    if lines is None:
        return None
    words = [line.split() for line in lines[:length]] + [[]] * (length - len(lines))
    banks = [tuple(int(word) for word in row if word.isdecimal() and int(word) < t) for t, row in enumerate(words)]
    return banks if any(banks) else None


def _read_seconds(stem: Path) -> NDArray[np.float64] | None:
    try:
        lines = property_lines(stem, "time")
        return None if lines is None else np.array([float(line) for line in lines if line.strip()])
    except ValueError:
        return None


# ---------------------------------------------------------------- beside the truth


def compare_with_truth(regions: Sequence[Region | int], video: Video, object_id: int) -> Compared:
    """Overlap with the truth on every frame, nan where the truth is unknown, and where something is predicted."""
    overlaps, predicted = np.full(len(video), np.nan), np.zeros(len(video), dtype=bool)
    for t, (found, true) in enumerate(zip(regions, video.regions[object_id], strict=True)):
        predicted[t] = _is_visible(found, video.size)
        if isinstance(true, Region):
            overlaps[t] = _overlap(found, true, video.ignored[t], video.size)
    return Compared(overlaps, predicted)


@dataclass(frozen=True)
class Measured:
    """Answers beside the truth, and what they are worth."""

    compared: Compared
    measures: Measures


def measure_answers(regions: Sequence[Region | int], video: Video, object_id: int) -> Measured:
    """A tracker's answers for one object, measured."""
    compared = compare_with_truth(regions, video, object_id)
    visible = np.array([_is_visible(region, video.size) for region in video.regions[object_id]])
    measures = measure_overlaps(compared.overlaps, compared.predicted, visible, video.known(object_id))
    return Measured(compared, measures)


def _overlap(found: Region | int, true: Region, ignored: Region | int, size: tuple[int, int]) -> float:
    """Overlap on one frame, computed where the two regions are: images may be large and objects small."""
    both = [found if isinstance(found, Region) else EMPTY, true]
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


def _is_visible(region: Region | int, size: tuple[int, int]) -> bool:
    """Whether a region has a pixel inside the image."""
    if not isinstance(region, Region) or region.empty:
        return False
    height, width = size
    within = region.x >= 0 and region.y >= 0 and region.x + region.width <= width and region.y + region.height <= height
    return within or bool(region.full(size).any())


# ---------------------------------------------------------------- a whole workspace


def read_results(folder: StrPath, report: Report) -> Results:
    """Read what the trackers of a report did, and measure it.

    Quality, accuracy and robustness are the toolkit's; where our own differ, the results say so.

    Args:
        folder: The workspace.
        report: What `collect` said of it.

    Raises:
        Sam2rlError: A file is missing or damaged.
    """
    workspace = checked_workspace(folder, truth=False)
    trackers = tuple(report.analysis.trackers)
    objects: list[ObjectTracks] = []
    by_sequence: dict[str, dict[str, Measures]] = {}
    disagreements = []
    for name in workspace.names():
        if name not in report.analysis.sequences:  # it is not scored
            continue
        found = list(_read_objects(workspace, name, trackers, report.not_scored))
        objects += found
        by_sequence[name] = {}
        for tracker in trackers:
            own = mean_measures([one.tracks[tracker].measures for one in found])
            by_sequence[name][tracker] = _with_toolkits(own, report.analysis.sequences[name][tracker])
            disagreements += [f"{tracker} on {name}: {text}" for text in _differing(own, by_sequence[name][tracker])]
    overall = {}
    for tracker, scores in report.analysis.trackers.items():
        own = mean_measures([row[tracker] for row in by_sequence.values()])
        overall[tracker] = _with_toolkits(own, scores)
        disagreements += [f"{tracker} over all: {text}" for text in _differing(own, overall[tracker])]
    if report.analysis.notes:  # the stack measures something else, or leaves measures to us: that is told already
        disagreements = []
    return Results(
        trackers,
        overall,
        by_sequence,
        objects,
        report.trained,
        disagreements,
        report.not_scored,
        report.namesakes,
        report.controls,
        report.fallbacks,
    )


def scored_objects(workspace: Workspace, video: Video, not_scored: Iterable[NotScored]) -> list[int]:
    """The numbers of a sequence's objects that are scored."""
    left_out = {one.object_name for one in not_scored if one.sequence == video.name and one.frames is None}
    names = object_numbers(workspace.sequences / video.name)
    return [k for k in video.regions if names[k] not in left_out]


def _read_objects(
    workspace: Workspace, name: str, trackers: Sequence[str], not_scored: Sequence[NotScored]
) -> Iterator[ObjectTracks]:
    video = read_sequence(workspace.sequences / name)
    for k in scored_objects(workspace, video, not_scored):
        truth = video.regions[k]
        known = video.known(k)
        visible = np.array([_is_visible(region, video.size) for region in truth])
        tracks = {}
        for tracker in trackers:
            answers = read_answers(workspace, tracker, video, k)
            if answers is None:  # they were complete a moment ago
                raise Sam2rlError(f"{tracker} has no complete results on {name}, object {k}: evaluate it again.")
            compared = compare_with_truth(answers.regions, video, k)
            measures = measure_overlaps(compared.overlaps, compared.predicted, visible, known)
            tracks[tracker] = Track(compared.overlaps, compared.predicted, measures, answers.banks, answers.seconds)
        yield ObjectTracks(name, k, video.start(k), visible, known, tracks)


def _with_toolkits(own: Measures, scores: Scores) -> Measures:
    """The toolkit's in place of our own, where it gives them."""
    return replace(
        own,
        quality=own.quality if scores.quality is None else scores.quality,
        accuracy=own.accuracy if scores.accuracy is None else scores.accuracy,
        robustness=scores.robustness,
    )


def _differing(own: Measures, toolkits: Measures) -> list[str]:
    texts = []
    for name in _BY_TOOLKIT:
        ours, theirs = getattr(own, name), getattr(toolkits, name)
        if (ours is None) != (theirs is None) or (ours is not None and abs(ours - theirs) > TOLERANCE):
            texts.append(f"{name} is {theirs} by the toolkit and {ours} by sam2rl")
    return texts
