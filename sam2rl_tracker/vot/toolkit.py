"""The real VOT toolkit, run as a subprocess: `vot evaluate` and `vot analysis`, with their failures detected.

The toolkit is started by its command line alone. It exits with 0 when a tracker dies, so that what counts is whether
the result files are complete.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.registry import registered, registered_trackers
from sam2rl_tracker.vot.results import Failure, find_failure, logs_of
from sam2rl_tracker.vot.sequences import EVALUATION_TAG, IGNORE_FILE
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace

# Names of analyses in the template's stack.
QUALITY = "Quality"
ACCURACY_ROBUSTNESS = "AR"
SEQUENCE_QUALITY = "Quality by sequence"
SEQUENCE_ACCURACY = "Accuracy by sequence"
SEQUENCE_AUXILIARY = "Auxiliary by sequence"


@dataclass(frozen=True)
class Scores:
    """Measures of a tracker as the toolkit computes them, as fractions.

    Attributes:
        quality: Mean overlap over all frames.
        accuracy: Mean IoU over the frames on which the object is tracked.
        robustness: Share of the frames with the object on which it is tracked; None where none is ever visible.
    """

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
        if registered(known, name) is None:
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
    logs = len(logs_of(workspace, tracker))
    lines = _run(workspace, ["evaluate", tracker], show, environment, running)
    failure = find_failure(workspace, tracker)
    if failure and len(logs_of(workspace, tracker)) == logs:
        # The toolkit keeps no log of a tracker that ends before the handshake; a report should know of it.
        log = workspace.folder / "logs" / f"{tracker}_{datetime.now():%Y-%m-%dT%H-%M-%S.%f}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("\n".join(lines) + "\n")
        failure = find_failure(workspace, tracker)
    return failure


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
        raise Sam2rlError(
            f"`vot analysis` failed in {workspace.folder} ({said[-1] if said else error}): run it there to see more."
        ) from error
    return _read_analysis(document, workspace)


def _read_analysis(document: dict[str, Any], workspace: Workspace) -> Analysis:
    trackers, sequences = list(document["trackers"]), list(document["sequences"])
    wanted = (QUALITY, ACCURACY_ROBUSTNESS, SEQUENCE_QUALITY, SEQUENCE_ACCURACY, SEQUENCE_AUXILIARY)
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
