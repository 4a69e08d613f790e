"""What was submitted to Slurm, and how it stands: for `sam2rl jobs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2rl_tracker.runs.slurm import client
from sam2rl_tracker.runs.slurm.records import Failure, Report, Submission, read_chunk, read_report, read_submissions


@dataclass(frozen=True)
class FailedTask:
    """A task that is not tried again.

    Attributes:
        result: The file that it was to write.
        failure: How it failed.
    """

    result: Path
    failure: Failure


@dataclass(frozen=True)
class Overview:
    """How a submission stands.

    Attributes:
        submission: The array.
        array: Its id in Slurm; None where Slurm does not know it any more, or does not answer.
        states: {Slurm's word: jobs}, of those that Slurm knows.
        done: Tasks whose results are there.
        running: Tasks under way.
        waiting: Tasks of jobs that are to come, or under way.
        left: Tasks of jobs that have ended: repeat the command for them.
        failed: Tasks that are not tried again.
    """

    submission: Submission
    array: str | None
    states: dict[str, int]
    done: int
    running: int
    waiting: int
    left: int
    failed: list[FailedTask]

    @property
    def is_live(self) -> bool:
        """Whether any job waits or runs."""
        return self.waiting + self.running > 0

    def as_json(self) -> dict[str, Any]:
        """As `sam2rl jobs --json` holds it."""
        one = self.submission
        failures = [
            {"result": str(failed.result), "error": failed.failure.error, "attempts": failed.failure.attempts}
            | {"node": failed.failure.node}
            for failed in self.failed
        ]
        return {
            "folder": str(one.folder),
            "kind": one.kind,
            "array": self.array,
            "submitted": one.time,
            "jobs": one.jobs,
            "tasks": one.tasks,
            "states": self.states,
            "done": self.done,
            "running": self.running,
            "waiting": self.waiting,
            "left": self.left,
            "failed": failures,
            "cancelled": one.is_cancelled,
        }


def list_submissions(home: Path) -> tuple[list[Overview], str | None]:
    """What was submitted for a workspace, the oldest first; and why Slurm has no say in it, if so."""
    submissions = read_submissions(home)
    try:
        jobs = client.list_jobs([one.name for one in submissions])
    except client.NoAnswer as error:
        return [_overview(one, None) for one in submissions], str(error)
    return [_overview(one, [job for job in jobs if job.name == one.name]) for one in submissions], None


def cancel_submissions(home: Path) -> int:
    """End all jobs of a workspace; how many there were, of those that waited and ran.

    Raises:
        Sam2rlError: Slurm does not answer.
    """
    submissions = read_submissions(home)
    live = [job for job in client.list_jobs([one.name for one in submissions]) if job.is_live]
    names = {job.name for job in live}
    for one in submissions:
        if one.name in names:
            one.mark_cancelled()  # first: whoever follows it must not take the jobs for lost
    client.cancel(sorted(names))
    return len(live)


def _overview(one: Submission, jobs: Sequence[client.Job] | None) -> Overview:
    """How a submission stands.

    Args:
        jobs: As Slurm knows them; None = it does not answer, and what its jobs were at goes on.
    """
    known = {job.index: job for job in jobs or ()}
    done = running = waiting = left = 0
    failed = []
    for index in range(one.jobs):
        tasks = read_chunk(one.folder, index).tasks
        report = read_report(one.folder, index) or Report()
        is_live = jobs is None or (index in known and known[index].is_live)
        is_running = jobs is None or (index in known and known[index].state == "RUNNING")
        under_way = len(report.running) if is_running else 0
        others = len(tasks) - len(report.done) - len(report.failed) - under_way
        done += len(report.done)
        running += under_way
        waiting += others if is_live else 0
        left += 0 if is_live else others
        failed += [FailedTask(tasks[task].result, failure) for task, failure in report.failed.items()]
    states = dict(Counter(job.state for job in known.values()))
    return Overview(one, jobs[0].array if jobs else None, states, done, running, waiting, left, failed)
