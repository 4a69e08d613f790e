"""The result files that the toolkit wrote of a tracker: where they lie, what is missing, times and properties."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.fallbacks import AgentsUsed
from sam2rl_tracker.media.clutter import subfolders
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.regions import read_trajectory
from sam2rl_tracker.vot.registry import registered, registered_trackers
from sam2rl_tracker.vot.sequences import anchors, object_names, object_numbers, sequence_length
from sam2rl_tracker.vot.stack import StackExperiment
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace


@dataclass(frozen=True)
class Failure:
    """A tracker whose results are incomplete.

    Attributes:
        tracker: Its name.
        sequence: The first sequence without complete results.
        reason: What is wrong there.
    """

    tracker: str
    sequence: str
    reason: str

    def __str__(self) -> str:
        return f"{self.tracker} has no complete results on sequence {self.sequence}: {self.reason}"


def tracked_names(workspace: Workspace) -> list[str]:
    """Trackers that have results, or a log of a failure before the first result, sorted."""
    results, logs = workspace.folder / "results", workspace.folder / "logs"
    names = set(subfolders(results)) if results.is_dir() else set()
    for log in logs.glob("*_*.log"):
        names.add(log.stem.rpartition("_")[0])
    return sorted(names)


def evaluated_experiments(workspace: Workspace) -> list[StackExperiment]:
    """The experiments of the stack of which some tracker has results; all where none has.

    Toolkit 0.9.0 fails at experiments of the types `supervised` and `multistart`, whatever the tracker.
    """
    experiments = workspace.experiments()
    found = [one for one in experiments if any((workspace.folder / "results").glob(f"*/{escape(one.name)}"))]
    return found or experiments


def find_failure(
    workspace: Workspace,
    tracker: str,
    objects: Mapping[str, Sequence[str]] | None = None,
    logs: Sequence[Path] | None = None,
    experiments: Sequence[StackExperiment] | None = None,
) -> Failure | None:
    """Check the result files of a tracker; None when every object of every sequence has a complete trajectory.

    Args:
        workspace: Where it was evaluated.
        tracker: Its name.
        objects: {sequence: names of the objects to check}; None = all.
        logs: Of the run that is checked; None = all of the tracker's.
        experiments: To check; None = `evaluated_experiments`.
    """
    if objects is None:
        objects = {name: object_names(workspace.sequences / name) for name in workspace.names()}
    if experiments is None:
        experiments = evaluated_experiments(workspace)
    problems = dict(_problems(workspace, tracker, objects, experiments))  # {sequence: what is wrong}
    if not problems:
        return None
    sequence, problem = next(iter(problems.items()))
    # The toolkit stops at a tracker's first failure, so the last log belongs to the first sequence without results.
    said = _last_words(workspace, tracker, logs_of(workspace, tracker) if logs is None else logs)
    return Failure(
        tracker,
        sequence,
        f"{problem} ({len(problems)} of {len(objects)} sequences incomplete)" + (f": {said}" if said else ""),
    )


def _problems(
    workspace: Workspace, tracker: str, objects: Mapping[str, Sequence[str]], experiments: Sequence[StackExperiment]
) -> Iterator[tuple[str, str]]:
    """(sequence, what is wrong) for the first incomplete object of every incomplete sequence."""
    for experiment in experiments:
        for name, wanted in objects.items():
            for what, file in _expected(workspace, tracker, experiment, name, wanted).items():
                problem = _trajectory_problem(file.stem, file.length)
                if problem:
                    yield name, f"{what} {problem}"
                    break


def is_complete(
    workspace: Workspace, tracker: str, experiment: StackExperiment, sequence: str, folder: str | None = None
) -> bool | None:
    """Whether a tracker's results on a sequence are complete in an experiment; None where only the toolkit knows.

    Args:
        folder: Only those in the result folder of this name; None = all.
    """
    expected = _expected(workspace, tracker, experiment, sequence).values()
    checked = [one for one in expected if folder in (None, one.stem.parent.name)]
    if not checked or experiment.repetitions > 1:
        return None
    return not any(_trajectory_problem(one.stem, one.length) for one in checked)


def is_whole(folder: Path) -> bool:
    """Whether each trajectory in a folder of results can be read and has its times: the toolkit writes them last."""
    files = [file for file in folder.iterdir() if file.suffix in (".bin", ".txt")]
    return bool(files) and all(_is_timed(file.with_suffix("")) for file in files)


def _is_timed(stem: Path) -> bool:
    file, times = result_file(stem), times_file(stem)
    timed = len(times.read_text().splitlines()) if times.is_file() else 0
    return file is not None and _trajectory_problem(stem, timed) is None


@dataclass(frozen=True)
class _Expected:
    """A trajectory that an experiment should have left: its files' path without the suffix, and its frames."""

    stem: Path
    length: int


def _expected(
    workspace: Workspace,
    tracker: str,
    experiment: StackExperiment,
    sequence: str,
    objects: Sequence[str] | None = None,
) -> dict[str, _Expected]:
    """{what it is of: trajectory} of these objects, by default all.

    None are known of an experiment that makes sequences of its own.
    """
    source = workspace.sequences / sequence
    length = sequence_length(source)
    if experiment.kind == "multistart":
        folder = workspace.folder / "results" / tracker / experiment.name / sequence
        return {
            f"the start at frame {t + 1}": _Expected(folder / f"{sequence}_{t:08d}", length - t if forward else t + 1)
            for t, forward in anchors(source).items()
        }
    if experiment.transformed or experiment.kind not in ("unsupervised", "supervised"):
        return {}
    stems = _result_stems(workspace, tracker, experiment, sequence)
    return {f"object {k}": _Expected(stems[k], length) for k in (stems if objects is None else objects)}


def _result_stems(workspace: Workspace, tracker: str, experiment: StackExperiment, sequence: str) -> dict[str, Path]:
    """{object's name: its result files' path without the suffix}, of the first repetition."""
    objects = object_names(workspace.sequences / sequence)
    starts = result_starts(workspace.folder, tracker, experiment, sequence, objects)
    if len(objects) == 1 and not experiment.multiobject:
        own = workspace.folder / "results" / tracker / experiment.name / f"{sequence}_{objects[0]}"
        if own.is_dir():  # beside an ignored area, which the toolkit takes for an object there
            starts = {objects[0]: own / own.name}
    return {k: start.with_name(f"{start.name}_001") for k, start in starts.items()}


def result_starts(
    folder: Path, tracker: str, experiment: StackExperiment, sequence: str, objects: Sequence[str]
) -> dict[str, Path]:
    """{object's name: how the paths of its result files start, before "_"} in a workspace's folder.

    The toolkit names a result after its object where the sequence has several, and without `multiobject` it makes a
    sequence of each.

    Args:
        folder: The workspace.
        tracker: The tracker's name.
        experiment: The experiment.
        sequence: The sequence's name.
        objects: The names of all objects of the sequence.
    """
    place = folder / "results" / tracker / experiment.name
    if len(objects) == 1:
        return {objects[0]: place / sequence / sequence}
    if experiment.multiobject:
        return {k: place / sequence / f"{sequence}_{k}" for k in objects}
    return {k: place / f"{sequence}_{k}" / f"{sequence}_{k}" for k in objects}


def result_stem(workspace: Workspace, tracker: str, sequence: str, object_id: int | None = None) -> Path:
    """Path of an object's result files without the suffix, by default of the first object.

    Raises:
        Sam2rlError: No experiment of the stack runs through whole sequences.
    """
    experiment = workspace.answered()
    if experiment is None:
        raise Sam2rlError(
            f"{workspace.stack} has no unsupervised experiment, whose results would be shown: add one, as in a new "
            "workspace (`sam2rl workspace create DIR`)."
        )
    stems = _result_stems(workspace, tracker, experiment, sequence)
    name = None if object_id is None else object_numbers(workspace.sequences / sequence).get(object_id)
    return stems[name] if name else next(iter(stems.values()))


def result_file(stem: Path) -> Path | None:
    """The masks of a trajectory; None when there are none."""
    files = [stem.with_name(stem.name + suffix) for suffix in (".bin", ".txt")]
    return next((file for file in files if file.is_file()), None)


def property_lines(stem: Path, name: str) -> list[str] | None:
    """A property that the toolkit keeps beside a result, a line per frame; None where there is none."""
    file = _property_file(stem, name)
    return file.read_text(errors="replace").splitlines() if file.is_file() else None


def _property_file(stem: Path, name: str) -> Path:
    return stem.with_name(f"{stem.name}_{name}.value")


def made_with(workspace: Workspace, tracker: str) -> list[str]:
    """Models, devices and versions that a tracker's results were made with, as they tell: one, if all is well."""
    found = set()
    for experiment in workspace.experiments():
        for name in workspace.names():
            for file in _expected(workspace, tracker, experiment, name).values():
                found |= set(property_lines(file.stem, "made_with") or ())
    return sorted(found - {""})


def agents_used(workspace: Workspace, tracker: str) -> AgentsUsed | None:
    """The agents by which a tracker's results were made, as they tell; None where they tell of none."""
    kinds: dict[str, list[str]] = {}
    for experiment in workspace.experiments():
        for name in workspace.names():
            for file in _expected(workspace, tracker, experiment, name).values():
                told = [line for line in property_lines(file.stem, "agent") or () if line.strip()]
                if told:
                    kinds.setdefault(name, []).append(told[-1])
    return AgentsUsed(kinds) if kinds else None


def _trajectory_problem(stem: Path, length: int) -> str | None:
    file = result_file(stem)
    if file is None:
        return "has no result file"
    try:
        found = len(read_trajectory(file.read_bytes()))
    except Sam2rlError:
        return f"has a damaged result file, delete {file} and evaluate again"
    return None if found == length else f"has {found} frames of {length}, delete {file} and evaluate again"


def _last_words(workspace: Workspace, tracker: str, logs: Sequence[Path]) -> str:
    """The last meaningful line of the newest of a tracker's logs."""
    if not logs:
        return ""
    log = max(logs, key=lambda file: file.stat().st_mtime)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("@@TRAX", "Process exited with code"))]
    if said and said[-1] == "Unable to connect to tracker":
        entry = registered(registered_trackers(workspace), tracker)
        command = entry.command if entry else ""
        return f"{said[-1]}; to see why, run: {shlex.join([sys.executable, '-c', command])}"
    return f"{said[-1]} (log: {log})" if said else f"see {log}"


def logs_of(workspace: Workspace, tracker: str) -> list[Path]:
    """Logs of a tracker's failures; their names end in a time."""
    return [log for log in (workspace.folder / "logs").glob("*.log") if log.stem.rpartition("_")[0] == tracker]


def discard_broken(folder: StrPath, trackers: Sequence[str]) -> None:
    """Delete what a killed evaluation left of sequences of one object: the toolkit takes any file for a result.

    It writes the masks first and the times last.
    """
    workspace = checked_workspace(folder)
    for tracker in trackers:
        for name in workspace.names():
            length = sequence_length(workspace.sequences / name)
            stem = result_stem(workspace, tracker, name)
            file, times = result_file(stem), times_file(stem)
            timed = times.is_file() and len(times.read_text().split()) == length
            if file and (not timed or _trajectory_problem(stem, length)):
                file.unlink()


def times_file(stem: Path) -> Path:
    """Where the toolkit keeps the seconds of every frame."""
    return _property_file(stem, "time")


def frame_times(folder: StrPath, tracker: str, sequence: str) -> NDArray[np.float64]:
    """Seconds that a tracker took for each frame of a sequence, as the toolkit measured them: float [T].

    Raises:
        Sam2rlError: The workspace has no such times.
    """
    workspace = checked_workspace(folder)
    file = times_file(result_stem(workspace, tracker, sequence))
    try:
        return np.array([float(line) for line in file.read_text().split()])
    except (OSError, ValueError) as error:
        raise Sam2rlError(f"{file} holds no times ({error}): evaluate {tracker} again.") from error
