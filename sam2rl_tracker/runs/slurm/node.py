"""What a job does on its node: the tasks of one chunk, and a report of what came of them.

submitit calls it. When the job is to be preempted or runs out of time, submitit queues it again, and what is done then
begins where this run was ended: tasks whose results are there are left out, and a training goes on after the last
iteration that it saved.

Signals come to this process, which does no work itself: it loads no PyTorch, and its workers may die.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Devices, Processes
from sam2rl_tracker.runs.slurm.records import (
    Chunk,
    Failure,
    Report,
    is_cancelled,
    read_chunk,
    read_report,
    write_report,
)
from sam2rl_tracker.runs.tasks import TaskFile, machine_name, made_by, work

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

RETRIES = 2
"""How often a task is tried again that failed."""

_SETTLE = 0.3  # seconds in which a signal that ended a worker reaches this process, too
_GRACE = 20.0  # seconds from SIGTERM to whatever comes after it


class NodeWork:
    """The work of one job, as submitit takes it: an object that it calls, and asks what is to be called next time."""

    def __call__(self, folder: str, index: int) -> None:
        # submitit leaves it unheard, and the workers would die of it as of an error.
        signal.signal(signal.SIGTERM, _end)
        try:
            work_on(Path(folder), index)
        except _Ended:
            self._wait_for_the_end(Path(folder), index)
            sys.exit(1)

    def _wait_for_the_end(self, folder: Path, index: int) -> None:
        """Give submitit's own signal the time to come, by which it queues the job again.

        One that is cancelled, or has nothing left to do, just ends.
        """
        end = time.monotonic() + _GRACE
        while time.monotonic() < end and not is_cancelled(folder) and _has_tasks(folder, index):
            time.sleep(0.2)

    def checkpoint(self, folder: str, index: int) -> DelayedSubmission:
        """What to queue when this job is ended: the same. All that was reached is in files."""
        from submitit.helpers import DelayedSubmission

        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Slurm sends it when submitit queues; submitit ends by itself
        return DelayedSubmission(self, folder, index)


def _has_tasks(folder: Path, index: int) -> bool:
    """Whether nothing has come yet of some task of a job."""
    report = read_report(folder, index) or Report()
    return len(report.done) + len(report.failed) < len(read_chunk(folder, index).tasks)


class _Ended(BaseException):
    """The job is to end: SIGTERM, before preemption or when it is cancelled."""


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Ended


def work_on(folder: Path, index: int) -> None:
    """Work on a job's tasks. One that fails is tried again when the others have had their turn.

    Args:
        folder: Of the submission.
        index: Of the job.

    Raises:
        Sam2rlError: The job's file is damaged, or the report cannot be written.
    """
    chunk = read_chunk(folder, index)
    reporter = _Reporter(folder, index)
    if chunk.version != made_by()["version"]:
        reporter.refuse(range(len(chunk.tasks)), _refusal(chunk.version))
        return
    numbers = {task: number for number, task in enumerate(chunk.tasks)}
    processes = _processes(chunk)
    for _ in range(1 + RETRIES):
        left = [task for task, number in numbers.items() if reporter.is_open(number)]
        for outcome in processes.run(_work, left, lambda running: reporter.running(numbers[task] for task in running)):
            number = numbers[outcome.task]
            if isinstance(outcome.result, Sam2rlError):
                time.sleep(_SETTLE)
                reporter.failed(number, str(outcome.result))
            else:
                reporter.done(number)


def _work(task: TaskFile) -> None:
    """Work on a task. Its result stays in its file: whoever is handed it imports what made it, PyTorch among that."""
    work(task)


def _processes(chunk: Chunk) -> Processes:
    """Those of a job: one on each device that it was given, or `per_device`."""
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if chunk.device is None or chunk.device == "cuda":
        devices = [f"cuda:{k}" for k in range(len(given))]
    else:
        devices = [name.strip() for name in chunk.device.split(",")]
    each = chunk.per_device or 1
    return Devices(devices, each) if len(devices) > 1 else Processes(each)


def _refusal(version: str) -> str:
    return (
        f"Node {machine_name()} has sam2rl_tracker {made_by()['version']}, and the tasks are of {version}: install the "
        "same version there and here, and repeat the command."
    )


class _Reporter:
    """Keeps a job's report, beginning with that of the job's earlier runs."""

    def __init__(self, folder: Path, index: int):
        self._folder, self._index = folder, index
        before = read_report(folder, index) or Report()
        self._report = replace(before, node=machine_name(), running=frozenset())
        write_report(folder, index, self._report)

    def is_open(self, task: int) -> bool:
        """Whether nothing has come of it yet that stays."""
        return task not in self._report.done and task not in self._report.failed

    def running(self, tasks: Iterable[int]) -> None:
        self._keep(replace(self._report, running=frozenset(tasks)))

    def done(self, task: int) -> None:
        now = self._report
        self._keep(replace(now, done=now.done | {task}, running=now.running - {task}))

    def failed(self, task: int, error: str) -> None:
        now = self._report
        attempts = now.failures[task].attempts + 1 if task in now.failures else 1
        failure = Failure(error, attempts, machine_name(), final=attempts > RETRIES)
        self._keep(replace(now, failures={**now.failures, task: failure}, running=now.running - {task}))

    def refuse(self, tasks: Iterable[int], error: str) -> None:
        """All fail, and are not tried again."""
        failures = {task: Failure(error, 1, machine_name(), final=True) for task in tasks}
        self._keep(replace(self._report, failures=failures))

    def _keep(self, report: Report) -> None:
        if report != self._report:
            self._report = report
            write_report(self._folder, self._index, report)
