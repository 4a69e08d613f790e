"""Everything that the report shows, read from a workspace once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.intervals import bootstrap_interval
from sam2rl_tracker.evaluation.measures import Measures, mean_measures, measure_overlaps
from sam2rl_tracker.evaluation.methods import BASELINE
from sam2rl_tracker.evaluation.overlaps import Flags, Overlaps, frame_overlaps
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.report.table import Report
from sam2rl_tracker.runs.folder import read_progress
from sam2rl_tracker.vot.regions import Region, read_trajectory
from sam2rl_tracker.vot.results import checked_workspace, result_file, result_stem
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence, stack_regions
from sam2rl_tracker.vot.workspace import Workspace

NAMES = tuple(field.name for field in fields(Measures))
"""The measures, in the order of the table."""

LOWER_IS_BETTER = {"nre", "dre"}

TOLERANCE = 1e-3
"""How far our measures may be from the toolkit's before the report says so."""

DUST = 1e-6
"""Differences below are of rounding: the order in which frames were summed."""

_CHUNK = 2**26  # pixels whose masks are held at once
_BY_TOOLKIT = ("quality", "accuracy", "robustness")


@dataclass(frozen=True)
class Track:
    """What one tracker did on one object.

    Attributes:
        overlaps: [T], nan where the truth is unknown.
        predicted: [T], whether it gave a mask that is not empty.
        banks: The frames whose memories each frame's prediction attended to; None where the tracker does not tell.
        seconds: [T], how long each frame took in `vot evaluate`; None where the toolkit did not keep it.
    """

    overlaps: Overlaps
    predicted: Flags
    measures: Measures
    banks: list[tuple[int, ...]] | None
    seconds: NDArray[np.float64] | None


@dataclass(frozen=True)
class ObjectTracks:
    """All trackers on one object of one sequence.

    Attributes:
        start: The frame on which the object is given, which is not scored if it is the first.
        visible: [T], whether the truth is known and not empty.
        known: [T].
        tracks: {tracker: what it did}.
    """

    sequence: str
    object_id: int
    start: int
    visible: Flags
    known: Flags
    tracks: dict[str, Track]

    @cached_property
    def scored(self) -> Flags:
        """[T], frames that count."""
        scored = self.known.copy()
        scored[0] = False
        return scored

    @property
    def spread(self) -> float:
        """Difference in quality between the best and the worst tracker."""
        values = [track.measures.quality for track in self.tracks.values()]
        return max(values) - min(values)


@dataclass(frozen=True)
class Difference:
    """Mean difference to the baseline over sequences; the interval is None where one sequence gives none.

    Attributes:
        count: Of sequences for which the measure is defined.
    """

    mean: float
    interval: tuple[float, float] | None
    count: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > DUST or self.interval[1] < -DUST)


@dataclass(frozen=True)
class Training:
    """The curves of one training.

    Attributes:
        subject: The sequence and the object, as its folder names them.
        columns: {column of its progress.csv: a value per iteration}.
        settings: As `training.ppo.Settings` names them, the number of iterations included.
    """

    subject: str
    seed: int
    columns: dict[str, list[float]]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        sequence, _, object_id = self.subject.rpartition("_")
        return f"{sequence}, object {object_id}, seed {self.seed}"


@dataclass(frozen=True)
class Search:
    """What searches found on one object.

    Attributes:
        subject: The sequence and the object, as in `Training`.
        sam2: Quality of SAM 2's own rule.
        curves: {search: (simulated steps, best quality so far)}.
    """

    subject: str
    sam2: float
    curves: dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Measured:
    """What the report is made of.

    Attributes:
        trackers: Those with complete results, the baseline first.
        overall: {tracker: measures over all sequences}. Quality, accuracy and robustness are the toolkit's.
        by_sequence: {sequence: {tracker: measures}}, likewise.
        disagreements: Where our own measures are not the toolkit's, in words.
        differences: {tracker: {measure: difference to the baseline}}; empty without the baseline.
    """

    folder: Path
    report: Report
    trackers: tuple[str, ...]
    overall: dict[str, Measures]
    by_sequence: dict[str, dict[str, Measures]]
    objects: list[ObjectTracks]
    disagreements: list[str]
    differences: dict[str, dict[str, Difference]]
    trainings: list[Training]
    searches: list[Search]

    @property
    def base(self) -> str | None:
        """The tracker that the others are compared with, where it is there."""
        return BASELINE if BASELINE in self.trackers else None

    def gains(self, tracker: str, measure: str = "quality") -> dict[str, float]:
        """{sequence: difference to the baseline}, where both are defined."""
        pairs = {
            name: (getattr(row[tracker], measure), getattr(row[BASELINE], measure))
            for name, row in self.by_sequence.items()
        }
        return {name: ours - theirs for name, (ours, theirs) in pairs.items() if None not in (ours, theirs)}


def measure(folder: StrPath, report: Report) -> Measured:
    """Read results, memories, times and trainings of the trackers in a report.

    Args:
        folder: The workspace.
        report: What `collect` said of it.

    Raises:
        Sam2rlError: A file is missing or damaged.
    """
    workspace = checked_workspace(folder)
    trackers = tuple(report.analysis.trackers)
    objects: list[ObjectTracks] = []
    by_sequence: dict[str, dict[str, Measures]] = {}
    disagreements = []
    for name in workspace.names() if trackers else []:
        found = list(_read_objects(workspace, name, trackers))
        objects += found
        own = {tracker: mean_measures([one.tracks[tracker].measures for one in found]) for tracker in trackers}
        by_sequence[name] = {
            tracker: _with_toolkits(own[tracker], report.analysis.sequences[name][tracker]) for tracker in trackers
        }
        disagreements += [
            f"{tracker} on {name}: {text}"
            for tracker in trackers
            for text in _differing(own[tracker], by_sequence[name][tracker])
        ]
    overall = {}
    for tracker, scores in report.analysis.trackers.items():
        mean = mean_measures([row[tracker] for row in by_sequence.values()])
        overall[tracker] = _with_toolkits(mean, scores)
        disagreements += [f"{tracker} over all: {text}" for text in _differing(mean, overall[tracker])]
    measured = Measured(
        workspace.folder,
        report,
        trackers,
        overall,
        by_sequence,
        objects,
        disagreements,
        {},
        list(_read_trainings(workspace.folder)),
        list(_read_searches(workspace.folder)),
    )
    return replace(measured, differences=_differences(measured)) if measured.base else measured


def _with_toolkits(own: Measures, scores: object) -> Measures:
    return replace(own, **{name: getattr(scores, name) for name in _BY_TOOLKIT})


def _differing(own: Measures, toolkits: Measures) -> list[str]:
    texts = []
    for name in _BY_TOOLKIT:
        ours, theirs = getattr(own, name), getattr(toolkits, name)
        if (ours is None) != (theirs is None) or (ours is not None and abs(ours - theirs) > TOLERANCE):
            texts.append(f"{name} is {theirs} by the toolkit and {ours} by sam2rl")
    return texts


def _differences(measured: Measured) -> dict[str, dict[str, Difference]]:
    table: dict[str, dict[str, Difference]] = {}
    for tracker in measured.trackers:
        table[tracker] = {}
        for name in NAMES:
            values = list(measured.gains(tracker, name).values())
            if tracker != BASELINE and values:
                interval = bootstrap_interval(values) if len(values) > 1 else None
                table[tracker][name] = Difference(float(np.mean(values)), interval, len(values))
    return table


# ---------------------------------------------------------------- results


def read_regions(workspace: Workspace, tracker: str, video: Video, object_id: int) -> list[Region | int]:
    """A tracker's answer on every frame; codes where it gave no mask."""
    file = result_file(result_stem(workspace, tracker, video.name, object_id))
    assert file is not None  # the tracker's results were found to be complete
    return read_trajectory(file.read_bytes())


def _read_objects(workspace: Workspace, name: str, trackers: Sequence[str]) -> Iterator[ObjectTracks]:
    video = read_sequence(workspace.sequences / name)
    for k in video.regions:
        stems = {tracker: result_stem(workspace, tracker, video.name, k) for tracker in trackers}
        regions = {tracker: read_regions(workspace, tracker, video, k) for tracker in trackers}
        visible, overlaps, predicted = _compare(video, k, regions)
        known = video.known(k)
        tracks = {
            tracker: Track(
                overlaps[tracker],
                predicted[tracker],
                measure_overlaps(overlaps[tracker], predicted[tracker], visible, known),
                read_banks(stems[tracker], len(video)),
                _read_seconds(stems[tracker]),
            )
            for tracker in trackers
        }
        yield ObjectTracks(name, k, video.start(k), visible, known, tracks)


def _compare(
    video: Video, object_id: int, regions: Mapping[str, list[Region | int]]
) -> tuple[Flags, dict[str, Overlaps], dict[str, Flags]]:
    """Truth visible [T], and of each tracker overlaps [T] and whether it predicts something [T].

    Videos may be long and large: a part of the frames at a time is decoded.
    """
    length, (height, width) = len(video), video.size
    known = video.known(object_id)
    visible = np.zeros(length, dtype=bool)
    overlaps = {tracker: np.zeros(length) for tracker in regions}
    predicted = {tracker: np.zeros(length, dtype=bool) for tracker in regions}
    step = max(1, _CHUNK // (height * width))
    for begin in range(0, length, step):
        part = slice(begin, begin + step)
        truth = stack_regions(video.regions[object_id][part], video.size)
        some = any(isinstance(region, Region) for region in video.ignored[part])
        ignored = stack_regions(video.ignored[part], video.size) if some else None
        visible[part] = truth.any(axis=(1, 2))
        for tracker, answers in regions.items():
            masks = stack_regions(answers[part], video.size)
            overlaps[tracker][part] = frame_overlaps(masks, truth, known[part], ignored)
            predicted[tracker][part] = masks.any(axis=(1, 2))
    return visible, overlaps, predicted


def read_banks(stem: Path, length: int) -> list[tuple[int, ...]] | None:
    """The frames that each frame's prediction attended to, as a tracker told them; None where it did not.

    A tracker of another project may mean something else by this property: what cannot be a memory is left out.
    """
    lines = _lines(stem, "memory_frames")
    if lines is None:
        return None
    words = [line.split() for line in lines[:length]] + [[]] * (length - len(lines))
    banks = [tuple(int(word) for word in row if word.isdecimal() and int(word) < t) for t, row in enumerate(words)]
    return banks if any(banks) else None


def _read_seconds(stem: Path) -> NDArray[np.float64] | None:
    try:
        lines = _lines(stem, "time")
        return None if lines is None else np.array([float(line) for line in lines if line.strip()])
    except ValueError:
        return None


def _lines(stem: Path, name: str) -> list[str] | None:
    """A property that the toolkit keeps beside the result, a line per frame; None where there is none."""
    file = stem.with_name(f"{stem.name}_{name}.value")
    return file.read_text().splitlines() if file.is_file() else None


def fate(banks: Sequence[tuple[int, ...]], start: int) -> Flags:
    """[T], whether a frame's memory was ever attended to; those before the object is given count as not."""
    used = np.zeros(len(banks), dtype=bool)
    for bank in banks[start:]:
        used[list(bank)] = True
    return used


# ---------------------------------------------------------------- trainings


def _read_trainings(folder: Path) -> Iterator[Training]:
    """What is legible of the trainings that a workspace keeps."""
    for path in sorted(folder.glob("training/*/progress.csv")):
        table = read_progress(path, "iteration")
        columns = {name: values.tolist() for name, values in table.columns.items()}
        if columns.keys() >= {"steps", "mean"}:
            subject, _, seed = path.parent.name.rpartition("_seed")
            yield Training(subject, int(seed) if seed.isdecimal() else 0, columns, _read_settings(path.parent, columns))


def _read_settings(folder: Path, columns: Mapping[str, list[float]]) -> dict[str, Any]:
    try:
        settings = dict(json.loads((folder / "settings.json").read_text()))
    except (OSError, ValueError, TypeError):
        settings = {}
    settings.pop("subject", None)
    last = columns.get("iterations", [np.nan])[-1]
    iterations = {"iterations": int(last)} if np.isfinite(last) else {}
    return {**settings, **iterations}


def _read_searches(folder: Path) -> Iterator[Search]:
    """What is legible of the searches that a workspace keeps."""
    for path in sorted(folder.glob("search/*.json")):
        try:
            result = json.loads(path.read_text())
            curves = {
                str(name): [(float(steps), float(value)) for steps, value in curve]
                for name, curve in result["curves"].items()
            }
            yield Search(path.stem, float(result["sam2"]), curves)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue


def mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Mean of curves of what was best so far, (steps, value) each, from where all of them have begun."""
    begin = max(curve[0][0] for curve in curves)
    grid = sorted({begin, *(steps for curve in curves for steps, _ in curve if steps > begin)})
    total = np.zeros(len(grid))
    for curve in curves:
        steps, values = (np.array(column) for column in zip(*curve, strict=True))
        total += np.maximum.accumulate(values)[np.searchsorted(steps, grid, side="right") - 1]
    return list(zip(grid, (total / len(curves)).tolist(), strict=True))
