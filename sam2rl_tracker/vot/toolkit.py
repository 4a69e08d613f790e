"""The real VOT toolkit, run as a subprocess: `vot evaluate` and `vot analysis`, with their failures detected.

The toolkit is started by its command line alone. It exits with 0 when a tracker dies, so that what counts is whether
the result files are complete.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.video import StrPath
from sam2rl_tracker.vot.regions import read_trajectory
from sam2rl_tracker.vot.sequences import EVALUATION_TAG, IGNORE_FILE, object_names
from sam2rl_tracker.vot.workspace import Workspace, open_workspace

# Names of analyses in the template's stack.
QUALITY, AR = "Quality", "AR"
SEQUENCE_QUALITY, SEQUENCE_ACCURACY, SEQUENCE_AUXILIARY = (
    "Quality by sequence",
    "Accuracy by sequence",
    "Auxiliary by sequence",
)


@dataclass(frozen=True)
class Failure:
    """A tracker whose results are incomplete: the first sequence without them, and why."""

    tracker: str
    sequence: str
    reason: str

    def __str__(self) -> str:
        return f"{self.tracker} has no complete results on sequence {self.sequence}: {self.reason}"


@dataclass(frozen=True)
class Scores:
    """Measures of a tracker as fractions; robustness is None where the objects are never visible."""

    quality: float
    accuracy: float
    robustness: float | None


@dataclass(frozen=True)
class Analysis:
    """The toolkit's measures.

    Attributes:
        trackers: {tracker: over all sequences}.
        sequences: {sequence: {tracker: on this sequence}}.
    """

    trackers: dict[str, Scores]
    sequences: dict[str, dict[str, Scores]]


# ---------------------------------------------------------------- evaluation


def evaluate(
    folder: StrPath, trackers: Sequence[str], environment: Mapping[str, str] | None = None, jobs: int = 1
) -> list[Failure]:
    """Run `vot evaluate` for each tracker, with progress on stderr; finished sequences are skipped.

    Args:
        folder: The workspace.
        trackers: Names from its registry.
        environment: Variables to set for them, such as SAM2RL_MODEL.
        jobs: Trackers at work at a time.

    Returns:
        The trackers that failed; empty = every tracker has complete results on every sequence.

    Raises:
        Sam2rlError: The workspace is incomplete, or a tracker is not registered.
    """
    workspace = checked_workspace(folder)
    known = registered_trackers(workspace)
    for name in trackers:
        if name.partition("@")[0] not in known:
            raise Sam2rlError(
                f"{name} is not a tracker of {workspace.folder}, expected one of {', '.join(sorted(known)) or 'none'}: "
                "choose one or register it in trackers.ini."
            )
    console = Console(stderr=True)
    running: list[subprocess.Popen[str]] = []
    with Progress(console=console, transient=True) as progress, ThreadPoolExecutor(jobs) as pool:
        tasks = {name: progress.add_task(name, total=100) for name in trackers}

        def run(name: str) -> Failure | None:
            def show(line: str) -> None:
                if re.fullmatch(r"\d+ %", line):
                    progress.update(tasks[name], completed=int(line[:-2]))
                else:
                    console.print(f"{name}: {line}", markup=False, highlight=False)

            failure = _evaluate(workspace, name, show, environment, running)
            if not failure:
                progress.update(tasks[name], completed=100)
            return failure

        try:
            return [failure for failure in pool.map(run, trackers) if failure]
        except BaseException:  # the pool would wait for what may take hours
            for process in running:
                process.terminate()
            raise


def _evaluate(
    workspace: Workspace,
    tracker: str,
    show: Callable[[str], None],
    environment: Mapping[str, str] | None,
    running: list[subprocess.Popen[str]],
) -> Failure | None:
    """In a process of its own, added to `running`: the toolkit stops altogether at the first tracker that fails."""
    logs = len(_logs(workspace, tracker))
    lines = _run(workspace, ["evaluate", tracker], show, environment, running)
    failure = find_failure(workspace, tracker)
    if failure and len(_logs(workspace, tracker)) == logs:
        # The toolkit keeps no log of a tracker that ends before the handshake; a report should know of it.
        log = workspace.folder / "logs" / f"{tracker}_{datetime.now():%Y-%m-%dT%H-%M-%S.%f}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("\n".join(lines) + "\n")
        failure = find_failure(workspace, tracker)
    return failure


def checked_workspace(folder: StrPath) -> Workspace:
    """Open a workspace in which something can be evaluated.

    Raises:
        Sam2rlError: It is no workspace, lists no sequences, or a sequence has no ground truth.
    """
    workspace = open_workspace(folder)
    names = workspace.names()
    if not names:
        raise Sam2rlError(
            f"{workspace.sequences / 'list.txt'} names no sequences: add some with "
            f"`sam2rl workspace generate {workspace.folder}` or `sam2rl workspace import`."
        )
    for name in names:
        folder = workspace.sequences / name
        if not (folder / "sequence").is_file():
            raise Sam2rlError(f"{folder} is not a sequence but list.txt names it: delete the line or add the sequence.")
        if not object_names(folder):
            raise Sam2rlError(f"{folder} has no ground truth, expected groundtruth_<id>.txt: it cannot be evaluated.")
    _experiments(workspace)
    return workspace


def _experiments(workspace: Workspace) -> list[str]:
    """Names of the experiments in the workspace's stack."""
    try:
        stack = yaml.safe_load(workspace.stack.read_text())
        return [str(name) for name in stack["experiments"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise Sam2rlError(
            f"{workspace.stack} is not a stack of experiments ({' '.join(str(error).split())}): copy stack.yaml from a "
            "new workspace, `sam2rl workspace create DIR`."
        ) from error


def registered_trackers(workspace: Workspace) -> dict[str, dict[str, str]]:
    """{name: options} of the trackers in the workspace's registries and those of VOT_REGISTRY.

    Raises:
        Sam2rlError: A registry is damaged.
    """
    paths = [*workspace.registries, *map(Path, filter(None, os.environ.get("VOT_REGISTRY", "").split(os.pathsep)))]
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        for file in [path / "trackers.ini", path / "trackers.yaml"] if path.is_dir() else [path]:
            try:
                if file.suffix == ".yaml":
                    found |= yaml.safe_load(file.read_text()) or {} if file.is_file() else {}
                else:
                    parser = configparser.ConfigParser()
                    parser.read(file)
                    found |= {name: dict(parser[name]) for name in parser.sections()}
            except (OSError, yaml.YAMLError, configparser.Error) as error:
                raise Sam2rlError(
                    f"The registry {file} is damaged ({' '.join(str(error).split())}): mend it."
                ) from error
    return found


def tracked_names(workspace: Workspace) -> list[str]:
    """Trackers that have results, or a log of a failure before the first result, sorted."""
    results, logs = workspace.folder / "results", workspace.folder / "logs"
    names = {entry.name for entry in results.iterdir() if entry.is_dir()} if results.is_dir() else set()
    for log in logs.glob("*_*.log"):
        names.add(log.stem.rpartition("_")[0])
    return sorted(names)


def find_failure(workspace: Workspace, tracker: str) -> Failure | None:
    """Check the result files of a tracker; None when every object of every sequence has a complete trajectory."""
    problems = dict(_problems(workspace, tracker))  # {sequence: what is wrong}
    if not problems:
        return None
    sequence, problem = next(iter(problems.items()))
    # The toolkit stops at a tracker's first failure, so the last log belongs to the first sequence without results.
    said = _last_words(workspace, tracker)
    count = len(workspace.names())
    return Failure(
        tracker,
        sequence,
        f"{problem} ({len(problems)} of {count} sequences incomplete)" + (f": {said}" if said else ""),
    )


def _problems(workspace: Workspace, tracker: str) -> Iterator[tuple[str, str]]:
    """(sequence, what is wrong) for the first incomplete object of every incomplete sequence."""
    for experiment in _experiments(workspace):
        for name in workspace.names():
            length = _sequence_length(workspace.sequences / name)
            for k, stem in _result_stems(workspace, tracker, experiment, name).items():
                problem = _trajectory_problem(stem, length)
                if problem:
                    yield name, f"object {k} {problem}"
                    break


def _result_stems(workspace: Workspace, tracker: str, experiment: str, sequence: str) -> dict[str, Path]:
    """{object's name: its result files' path without the suffix}."""
    folder = workspace.folder / "results" / tracker / experiment / sequence
    objects = object_names(workspace.sequences / sequence)
    return {k: folder / (f"{sequence}_{k}_001" if len(objects) > 1 else f"{sequence}_001") for k in objects}


def _sequence_length(folder: Path) -> int:
    match = re.search(r"^length\s*=\s*(\d+)\s*$", (folder / "sequence").read_text(), re.MULTILINE)
    return int(match[1]) if match else len(list((folder / "color").iterdir()))


def result_stem(workspace: Workspace, tracker: str, sequence: str, object_id: int | None = None) -> Path:
    """Path of an object's result files without the suffix, by default of the first object, in the first experiment."""
    stems = _result_stems(workspace, tracker, _experiments(workspace)[0], sequence)
    names = [name for name in stems if name.isdecimal() and int(name) == object_id]
    return stems[names[0]] if names else next(iter(stems.values()))  # a single object need not be numbered


def result_file(stem: Path) -> Path | None:
    """The masks of a trajectory; None when there are none."""
    files = [stem.with_name(stem.name + suffix) for suffix in (".bin", ".txt")]
    return next((file for file in files if file.is_file()), None)


def made_with(workspace: Workspace, tracker: str) -> list[str]:
    """Models, devices and versions that a tracker's results were made with, as they tell: one, if all is well."""
    found = set()
    for experiment in _experiments(workspace):
        for name in workspace.names():
            for stem in _result_stems(workspace, tracker, experiment, name).values():
                file = stem.with_name(f"{stem.name}_made_with.value")
                if file.is_file():
                    found |= set(file.read_text(errors="replace").splitlines())
    return sorted(found - {""})


def _trajectory_problem(stem: Path, length: int) -> str | None:
    file = result_file(stem)
    if file is None:
        return "has no result file"
    try:
        found = len(read_trajectory(file.read_bytes()))
    except Sam2rlError:
        return f"has a damaged result file, delete {file} and evaluate again"
    return None if found == length else f"has {found} frames of {length}, delete {file} and evaluate again"


def _last_words(workspace: Workspace, tracker: str) -> str:
    """The last meaningful line of a tracker's newest log."""
    logs = _logs(workspace, tracker)
    if not logs:
        return ""
    log = max(logs, key=lambda file: file.stat().st_mtime)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("@@TRAX", "Process exited with code"))]
    if said and said[-1] == "Unable to connect to tracker":
        command = registered_trackers(workspace).get(tracker.partition("@")[0], {}).get("command", "")
        return f"{said[-1]}; to see why, run: {shlex.join([sys.executable, '-c', command])}"
    return f"{said[-1]} (log: {log})" if said else f"see {log}"


def _logs(workspace: Workspace, tracker: str) -> list[Path]:
    """Logs of a tracker's failures; their names end in a time."""
    return [log for log in (workspace.folder / "logs").glob("*.log") if log.stem.rpartition("_")[0] == tracker]


def _run(
    workspace: Workspace,
    arguments: list[str],
    show: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    running: list[subprocess.Popen[str]] | None = None,
) -> list[str]:
    """Run a toolkit command in the workspace and pass its output on line by line; the lines, without colours."""
    command = [sys.executable, "-m", "vot", *arguments, "--workspace", str(workspace.folder)]
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "VOT_PERSISTENT_CACHE": "0", **(environment or {})}
    lines = []
    # Started in the workspace, as the toolkit also reads a trackers.ini of the current folder.
    with subprocess.Popen(
        command,
        cwd=workspace.folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        if running is not None:
            running.append(process)
        assert process.stdout is not None
        for raw in process.stdout:
            line = re.sub(r"\x1b\[[0-9;]*m", "", raw).strip()
            if line:
                lines.append(line)
                show(line)
    return lines


def discard_broken(folder: StrPath, trackers: Sequence[str]) -> None:
    """Delete what a killed evaluation left of sequences of one object: the toolkit takes any file for a result.

    It writes the masks first and the times last.
    """
    workspace = checked_workspace(folder)
    for tracker in trackers:
        for name in workspace.names():
            length = _sequence_length(workspace.sequences / name)
            stem = result_stem(workspace, tracker, name)
            file, times = result_file(stem), _times_file(stem)
            timed = times.is_file() and len(times.read_text().split()) == length
            if file and (not timed or _trajectory_problem(stem, length)):
                file.unlink()


def _times_file(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}_time.value")


def frame_times(folder: StrPath, tracker: str, sequence: str) -> NDArray[np.float64]:
    """Seconds that a tracker took for each frame of a sequence, as the toolkit measured them: float [T].

    Raises:
        Sam2rlError: The workspace has no such times.
    """
    workspace = checked_workspace(folder)
    file = _times_file(result_stem(workspace, tracker, sequence))
    try:
        return np.array([float(line) for line in file.read_text().split()])
    except (OSError, ValueError) as error:
        raise Sam2rlError(f"{file} holds no times ({error}): evaluate {tracker} again.") from error


# ---------------------------------------------------------------- analysis


def analyse(folder: StrPath, trackers: Sequence[str]) -> Analysis:
    """Run `vot analysis` afresh, without its cache, and read the measures.

    Args:
        folder: The workspace.
        trackers: Trackers with complete results; the toolkit gives up when one lacks any.

    Raises:
        Sam2rlError: The workspace or its stack is unsuitable, or the analysis failed.
    """
    workspace = checked_workspace(folder)
    for name in workspace.names():
        for file in (IGNORE_FILE, f"{EVALUATION_TAG}.tag"):
            if not (workspace.sequences / name / file).is_file():
                raise Sam2rlError(
                    f"{workspace.sequences / name} has no {file}, which the analysis needs: import the sequence again."
                )
    path = workspace.folder / "analysis" / "sam2rl.json"
    path.unlink(missing_ok=True)
    lines = _run(workspace, ["analysis", "--format", "json", "--name", path.stem, *trackers], lambda line: None)
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        said = [line for line in lines if not re.fullmatch(r"\d+ %", line)]
        raise Sam2rlError(f"vot analysis failed in {workspace.folder}: {said[-1] if said else error}") from error
    return _read_analysis(document, workspace)


def _read_analysis(document: dict[str, Any], workspace: Workspace) -> Analysis:
    trackers, sequences = list(document["trackers"]), list(document["sequences"])
    wanted = (QUALITY, AR, SEQUENCE_QUALITY, SEQUENCE_ACCURACY, SEQUENCE_AUXILIARY)
    missing: list[str] = list(wanted)
    for experiment in document["results"].values():
        names = [analysis["name"] for analysis in experiment["parameters"]["analyses"]]
        # Results come without names, in the order of the analyses. Each is a list of tuples: of trackers, or of
        # trackers x sequences in one row.
        results = dict(zip(names, experiment["results"], strict=True))
        missing = [name for name in wanted if not results.get(name)]
        if not missing:
            break
    if missing:
        raise Sam2rlError(
            f"{workspace.stack} lacks analyses named {', '.join(missing)}, or they failed: copy stack.yaml from a new "
            "workspace, `sam2rl workspace create DIR`."
        )
    quality, ar, qualities, accuracies, auxiliaries = (results[name] for name in wanted)
    by_sequence: dict[str, dict[str, Scores]] = {name: {} for name in sequences}
    cells = [(tracker, sequence) for tracker in trackers for sequence in sequences]
    for (tracker, sequence), (q,), (a,), (nre, dre, _) in zip(cells, qualities, accuracies, auxiliaries, strict=True):
        by_sequence[sequence][tracker] = Scores(q, a, None if nre is None else max(1 - nre - dre, 0.0))
    return Analysis(
        trackers={name: Scores(q, a, r) for name, (q,), (a, r, _) in zip(trackers, quality, ar, strict=True)},
        sequences=by_sequence,
    )
