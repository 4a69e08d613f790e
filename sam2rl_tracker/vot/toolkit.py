"""The real VOT toolkit, run as a subprocess: `vot evaluate`, with its failures detected.

The toolkit is started by its command line alone. It exits with 0 when a tracker dies, so that what counts is whether
the result files are complete.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.progress import Progress

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.runs.children import ending_with_us
from sam2rl_tracker.runs.variables import DEVICE_VARIABLE
from sam2rl_tracker.vot.registry import registered, registered_trackers
from sam2rl_tracker.vot.results import Failure, find_failure, logs_of
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace


def evaluate(
    folder: StrPath,
    trackers: Sequence[str],
    environment: Mapping[str, str] | None = None,
    jobs: int = 1,
    devices: Sequence[str] = (),
) -> list[Failure]:
    """Run `vot evaluate` for each tracker, with progress on stderr; finished sequences are skipped.

    Args:
        folder: The workspace.
        trackers: Names from its registry.
        environment: Variables to set for them, such as SAM2RL_MODEL.
        jobs: Trackers at work at a time.
        devices: That they share; empty = each is on the one of the environment.

    Returns:
        The trackers that failed; empty = every tracker has complete results on every sequence.

    Raises:
        Sam2rlError: The workspace is incomplete, or a tracker is not registered.
    """
    workspace = checked_workspace(folder)
    check_registered(workspace, trackers)
    console = Console(stderr=True)
    running: list[subprocess.Popen[str]] = []
    free = SimpleQueue[str]()  # a device for each tracker that may be at work
    for k in range(jobs if devices else 0):
        free.put(devices[k % len(devices)])
    with Progress(console=console, transient=True) as progress, ThreadPoolExecutor(jobs) as pool:
        tasks = {name: progress.add_task(name, total=100) for name in trackers}

        def run(name: str) -> Failure | None:
            def show(line: str) -> None:
                if re.fullmatch(r"\d+ %", line):
                    progress.update(tasks[name], completed=int(line[:-2]))
                else:
                    console.print(f"{name}: {line}", markup=False, highlight=False)

            device = free.get() if devices else None
            variables = {**(environment or {}), **({} if device is None else {DEVICE_VARIABLE: device})}
            try:
                failure = _evaluate(workspace, name, show, variables, running)
            finally:
                if device is not None:
                    free.put(device)
            if not failure:
                progress.update(tasks[name], completed=100)
            return failure

        try:
            return [failure for failure in pool.map(run, trackers) if failure]
        except BaseException:  # the pool would wait for what may take hours
            for process in running:
                process.terminate()
            raise


def check_registered(workspace: Workspace, trackers: Sequence[str]) -> None:
    """Whether the toolkit will find trackers.

    Raises:
        Sam2rlError: One is not registered.
    """
    known = registered_trackers(workspace)
    for name in trackers:
        if registered(known, name) is None:
            raise Sam2rlError(
                f"{name} is not a tracker of {workspace.folder}, expected one of {', '.join(sorted(known)) or 'none'}: "
                "choose one or register it in trackers.ini."
            )


def _evaluate(
    workspace: Workspace,
    tracker: str,
    show: Callable[[str], None],
    environment: Mapping[str, str] | None,
    running: list[subprocess.Popen[str]],
) -> Failure | None:
    """In a process of its own, added to `running`: the toolkit stops altogether at the first tracker that fails."""
    logs = len(logs_of(workspace, tracker))
    lines = run_toolkit(workspace, ["evaluate", tracker], show, environment, running)
    failure = find_failure(workspace, tracker)
    if failure and len(logs_of(workspace, tracker)) == logs:
        write_log(workspace, tracker, lines)
        failure = find_failure(workspace, tracker)
    return failure


def write_log(workspace: Workspace, tracker: str, lines: Sequence[str]) -> Path:
    """Keep what the toolkit said of a failure, where its own logs lie; the file.

    The toolkit keeps no log of a tracker that ends before the handshake; a report should know of it.
    """
    log = workspace.folder / "logs" / f"{tracker}_{datetime.now():%Y-%m-%dT%H-%M-%S.%f}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("\n".join(lines) + "\n")
    return log


def run_toolkit(
    workspace: Workspace,
    arguments: list[str],
    show: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    running: list[subprocess.Popen[str]] | None = None,
    stand_in: Path | None = None,
) -> list[str]:
    """Run a toolkit command and pass its output on line by line.

    Args:
        workspace: In which it is started.
        arguments: The command and its arguments.
        show: Is told each line.
        environment: Variables to set for it.
        running: Its process is added, so that somebody else can end it.
        stand_in: The workspace that it works on instead; None = the same.

    Returns:
        The lines, without colours.
    """
    command = [sys.executable, "-m", "vot", *arguments, "--workspace", str(stand_in or workspace.folder)]
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
        try:
            with ending_with_us(process.pid):
                for raw in process.stdout:
                    line = re.sub(r"\x1b\[[0-9;]*m", "", raw).strip()
                    if line:
                        lines.append(line)
                        show(line)
        except BaseException:  # to leave the block is to wait for the process
            process.terminate()
            raise
    return lines
