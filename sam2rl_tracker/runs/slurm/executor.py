"""The executor that works on tasks in Slurm's jobs, and can be left and taken up again.

Everything it knows is in files (`records`) and in Slurm's queue. It may be interrupted at any moment: the jobs go on,
and the same call follows them where it finds them. What is neither done nor in the queue is submitted.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Executor, OnWait, Outcome, Work, unwatched
from sam2rl_tracker.runs.slurm import client
from sam2rl_tracker.runs.slurm.node import RETRIES, NodeWork
from sam2rl_tracker.runs.slurm.records import (
    Chunk,
    Report,
    Submission,
    begin_submission,
    read_chunk,
    read_report,
    read_submissions,
)
from sam2rl_tracker.runs.tasks import FileTask, digest_of, made_by, read_result, task_file

FILES = 1.0  # seconds between looks at the files; more where there are many, for the file system's sake
QUEUE = 10.0  # seconds between questions to Slurm
_LOOKS = 100  # files that are looked at in a second, at most
_BLAMELESS = {"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"}  # ends of jobs that no task has brought about


@dataclass
class _Job:
    """A job that is followed.

    Attributes:
        tasks: {number in the job's file: task}, of those that nothing has come of yet.
        report: Its last.
        state: What Slurm last said of it.
        absent: How often in a row Slurm did not know it as alive. Once may be while it is queued again.
    """

    submission: Submission
    index: int
    tasks: dict[int, FileTask]
    report: Report | None = None
    state: client.Job | None = None
    absent: int = 0

    @property
    def running(self) -> list[FileTask]:
        waits = self.state is not None and self.state.state == "PENDING"  # queued again: its report is of before
        numbers = frozenset[int]() if waits or self.report is None else self.report.running
        return [task for number, task in self.tasks.items() if number in numbers]


class Slurm(Executor):
    """Works on tasks in jobs of a Slurm cluster, which go on when this process ends.

    Args:
        home: A folder that the nodes see under the same path; a workspace. Its folder `slurm` gets the files of what is
            submitted.
        settings: See `client.parse_settings`.
        chunk: Tasks of a job. Higher values need fewer jobs.
        at_once: Jobs that run at a time; None = all.
        device: Of the nodes, as `--device` takes them; None = those that a job is given.
        per_device: Tasks at a time on each; None = one.

    Attributes:
        status: What the jobs wait for, as Slurm says it, or that it does not answer; for people.

    Raises:
        Sam2rlError: Slurm or submitit is not installed, or a setting is wrong.
    """

    def __init__(
        self,
        home: Path,
        settings: Sequence[str] = (),
        chunk: int = 1,
        at_once: int | None = None,
        device: str | None = None,
        per_device: int | None = None,
    ):
        client.check_slurm()
        self.status = ""
        self._home, self._size, self._at_once = home.resolve(), chunk, at_once
        self._device, self._per_device = device, per_device
        self._settings = client.parse_settings(settings)

    def run(
        self, work: Work[Any, Any], tasks: Iterable[Any], on_wait: OnWait[Any] = unwatched
    ) -> Generator[Outcome[Any, Any], None, None]:
        """See `Executor.run`; the tasks are `FileTask`s, and the nodes know what their work is.

        When the caller stops iterating, the jobs go on. The same call follows them.

        Raises:
            Sam2rlError: Slurm refused the jobs, there would be more than an array may have, or it does not answer at
                the beginning.
        """
        jobs = self._begin({task.result.absolute(): task for task in tasks})
        losses = Counter[Path]()
        asked = told = time.monotonic()
        while jobs:
            time.sleep(max(FILES, len(jobs) / _LOOKS))
            for job in jobs:
                yield from _look(job)
            if time.monotonic() - asked > QUEUE:
                asked = time.monotonic()
                self._ask(jobs)
                for job in [job for job in jobs if job.absent >= 2]:
                    again, failed = self._settle(job, losses)
                    jobs = [*(other for other in jobs if other is not job), *again]
                    yield from failed
            jobs = [job for job in jobs if job.tasks]
            running = [task for job in jobs for task in job.running]
            if time.monotonic() - told > len(running) / _LOOKS:  # whoever listens looks at a file for each
                told = time.monotonic()
                on_wait(running)

    # ---------------------------------------------------------------------------------------------------- submitting

    def _begin(self, tasks: Mapping[Path, FileTask]) -> list[_Job]:
        """Jobs for tasks, by their result files: those of arrays that are in the queue, and new ones for the others.

        Raises:
            Sam2rlError: See `run`; or a job of the queue works on a task with other settings.
        """
        submissions = read_submissions(self._home)[::-1]  # a task that was submitted again is in the newer one
        states = {(job.name, job.index): job for job in client.list_jobs([one.name for one in submissions])}
        alive = {name for (name, _), job in states.items() if job.is_live}
        left = dict(tasks)
        jobs = []
        for submission in [one for one in submissions if one.name in alive]:
            for index in range(submission.jobs):  # those that have ended, too: what failed in them has failed
                state = states.get((submission.name, index))
                wanted = {}
                for number, written in enumerate(read_chunk(submission.folder, index).tasks):
                    if written.result not in left:
                        continue
                    if digest_of(left[written.result]) == written.digest:
                        wanted[number] = left.pop(written.result)
                    elif state is not None and state.is_live:
                        raise Sam2rlError(
                            f"Slurm's job {state.array}_{index} works on {written.result} with other settings: wait "
                            f"for it, or end it by `sam2rl jobs {self._home} --cancel`."
                        )
                if wanted:
                    jobs.append(_Job(submission, index, wanted, state=state))
        return jobs + self._submit(list(left.values()))

    def _submit(self, tasks: Sequence[FileTask], alone: Sequence[FileTask] = ()) -> list[_Job]:
        """Submit tasks, some of them in a job of their own each; [] for none.

        Raises:
            Sam2rlError: See `run`.
        """
        chunks = [tasks[start : start + self._size] for start in range(0, len(tasks), self._size)]
        chunks += [[task] for task in alone]
        if not chunks:
            return []
        most = client.most_jobs()
        if len(chunks) > most:
            raise Sam2rlError(
                f"{len(chunks)} jobs are more than an array may have on this cluster, {most}: give --chunk "
                f"{-(-sum(map(len, chunks)) // most)} or more, which puts so many tasks into a job."
            )
        name = f"sam2rl-{secrets.token_hex(4)}"
        submission = begin_submission(self._home, name, [self._write(chunk) for chunk in chunks])
        try:
            client.submit(submission.folder, name, NodeWork(), len(chunks), self._at_once, self._settings)
        except Sam2rlError:  # it was refused
            shutil.rmtree(submission.folder, ignore_errors=True)
            raise
        return [_Job(submission, index, dict(enumerate(chunk))) for index, chunk in enumerate(chunks)]

    def _write(self, tasks: Sequence[FileTask]) -> Chunk:
        return Chunk([task_file(task) for task in tasks], made_by()["version"], self._device, self._per_device)

    # ----------------------------------------------------------------------------------------------------- following

    def _ask(self, jobs: Sequence[_Job]) -> None:
        """Ask Slurm how jobs are. Where it does not answer, nothing is known of them, and they are followed on."""
        try:
            answers = client.list_jobs(sorted({job.submission.name for job in jobs}))
        except client.NoAnswer:
            self.status = "Slurm does not answer; the jobs go on"
            return
        states = {(state.name, state.index): state for state in answers}
        for job in jobs:
            known = states.get((job.submission.name, job.index))
            job.state = known or job.state
            job.absent = 0 if known is not None and known.is_live else job.absent + 1
        reasons = Counter(state.reason for state in answers if state.state == "PENDING")
        self.status = ", ".join(f"{count} wait: {reason}" for reason, count in reasons.most_common(2))

    def _settle(self, job: _Job, losses: Counter[Path]) -> tuple[list[_Job], list[Outcome[FileTask, Any]]]:
        """What becomes of the tasks of a job that has ended: they are submitted again, or have failed.

        A task that was under way when its job ended may have ended it. It gets a job of its own, `RETRIES` times. The
        others were only waiting.

        Args:
            losses: {result file: how often the task may have ended its job}; is counted up.

        Returns:
            New jobs, and what failed.
        """
        cancelled = job.submission.is_cancelled or (job.state is not None and job.state.state == "CANCELLED")
        if cancelled or job.report is None:
            error = Sam2rlError("Its job was cancelled: repeat the command to go on.")
            return [], [Outcome(task, error if cancelled else _never_began(job)) for task in job.tasks.values()]
        suspects = [task for number, task in job.tasks.items() if number in job.report.running]
        suspects = suspects or list(job.tasks.values())
        if job.state is None or job.state.state not in _BLAMELESS:
            losses.update(task.result for task in suspects)
        failed = [task for task in suspects if losses[task.result] > RETRIES]
        again = [task for task in suspects if task not in failed]
        others = [task for task in job.tasks.values() if task not in suspects]
        return self._submit(others, again), [Outcome(task, _died(job)) for task in failed]


def _look(job: _Job) -> Iterator[Outcome[FileTask, Any]]:
    """What has come of a job's tasks since the last look."""
    report = read_report(job.submission.folder, job.index)
    if report is None:
        return
    job.report = report
    for number in sorted(report.done & job.tasks.keys()):
        result = read_result(job.tasks[number])
        if result is not None:  # else it comes in sight later
            yield Outcome(job.tasks.pop(number), result)
    for number in sorted(report.failed.keys() & job.tasks.keys()):
        failure = report.failed[number]
        error = failure.error
        if failure.attempts > 1:
            error = f"{error} It was tried {failure.attempts} times, on {failure.node} last."
        yield Outcome(job.tasks.pop(number), Sam2rlError(error))


def _never_began(job: _Job) -> Sam2rlError:
    """Of a job without a report."""
    node = job.state.node if job.state is not None else ""
    where = f" on {node}" if node else ""
    said = _last_words(job)
    if said is not None:
        return Sam2rlError(f"Its job ended{where} before it began ({said}): see {job.submission.folder}.")
    return Sam2rlError(
        f"Its job ended{where} without a sign: do the nodes see {job.submission.folder} under this path? Give a "
        f"workspace on shared storage, or leave the node out by --slurm-set exclude={node or 'NODE'}."
    )


def _died(job: _Job) -> Sam2rlError:
    """Of a job that ended with tasks under way."""
    state = job.state.state if job.state is not None else "gone"
    said = _last_words(job) or "it has no log"
    return Sam2rlError(f"Its job ended under way {1 + RETRIES} times ({state}; {said}): see {job.submission.folder}.")


def _last_words(job: _Job) -> str | None:
    """What a job's log says at its end; None where there is none."""
    path = job.submission.log(job.index)
    if path is None:
        return None
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(("srun:", "slurmstepd", "submitit"))]
    return (own or lines or ["its log is empty"])[-1].rstrip(".")
