"""`--slurm` of the commands that work on many tasks, their one progress view, and `sam2rl jobs`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from sam2rl_tracker.cli.options import INTERRUPTED, Folder, Json, console, print_json, say
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.runs.executors import Executor
    from sam2rl_tracker.runs.shards import Shard
    from sam2rl_tracker.runs.slurm.overview import Overview

_LOG = 60.0  # seconds between lines of a log in which nothing was counted
_BEST = 3  # gains that are shown

UseSlurm = Annotated[bool, typer.Option("--slurm", help="In jobs of a Slurm cluster: see docs/many-machines.md.")]
SlurmSet = Annotated[
    list[str] | None,
    typer.Option(help="KEY=VALUE for the jobs, such as partition=gpu, gpus_per_node=1, timeout_min=240; repeat it."),
]
ChunkSize = Annotated[int | None, typer.Option("--chunk", min=1, help="Tasks of a Slurm job.", show_default="1")]
MaxJobs = Annotated[int | None, typer.Option(min=1, help="Slurm jobs at a time.", show_default="all")]


@dataclass(frozen=True)
class OnSlurm:
    """What a command's options say of Slurm.

    Attributes:
        wanted: `--slurm`.
        settings: `--slurm-set`.
        chunk: `--chunk`.
        max_jobs: `--max-jobs`.
    """

    wanted: bool
    settings: Sequence[str] | None
    chunk: int | None
    max_jobs: int | None


def choose_executor(
    home: Path, jobs: int | None, device: str | None, per_device: int | None, cluster: OnSlurm
) -> Executor:
    """Who works on a command's tasks: this machine, or a cluster's jobs.

    Args:
        home: A folder that nodes see, too: the workspace.

    Raises:
        Sam2rlError: Options contradict each other; or see `local_executor` and `Slurm`.
    """
    if not cluster.wanted:
        given = {"--slurm-set": cluster.settings, "--chunk": cluster.chunk, "--max-jobs": cluster.max_jobs}
        for name in [name for name, value in given.items() if value]:
            raise Sam2rlError(f"{name} is for a cluster's jobs: give --slurm too, or leave it out.")
        from sam2rl_tracker.runs.devices import local_executor

        return local_executor(jobs, device, per_device)
    if jobs is not None:
        raise Sam2rlError(
            f"--slurm and --jobs {jobs} both say where the work is done: give --slurm with --max-jobs, or --jobs alone."
        )
    from sam2rl_tracker.runs.slurm.executor import Slurm

    return Slurm(home, cluster.settings or (), cluster.chunk or 1, cluster.max_jobs, device, per_device)


def choose_shard(text: str | None, cluster: OnSlurm) -> Shard:
    """Which of a command's tasks are this machine's.

    Args:
        text: `--shard`.

    Raises:
        Sam2rlError: It says none, or a cluster's jobs have the tasks.
    """
    from sam2rl_tracker.runs.shards import Shard

    if text is not None and cluster.wanted:
        raise Sam2rlError(
            f"--slurm and --shard {text} both spread the tasks over machines: give --slurm with --max-jobs, or --shard "
            "on machines without Slurm."
        )
    return Shard.parse(text)


def slurm_status(executor: Executor) -> str:
    """What Slurm says of an executor's jobs; empty for other executors."""
    return getattr(executor, "status", "")


@contextmanager
def detaching(cluster: OnSlurm, home: Path | None) -> Iterator[None]:
    """Say, on Ctrl-C, what becomes of the work.

    Args:
        home: Keeps what is finished; None = nothing does.
    """
    try:
        yield
    except KeyboardInterrupt:
        if cluster.wanted:
            say(f"Detached: the jobs go on. Repeat the command to attach; `sam2rl jobs {home} --cancel` ends them.")
        elif home is not None:
            say(INTERRUPTED)
        raise


class TasksView:
    """One line over many tasks: done, running, waiting, failed, time left, best gains. In a log, a line at changes.

    Args:
        total: How many tasks.
        name: Of a task, for people.
        status: What an executor says beside.
    """

    def __init__(self, total: int, name: Callable[[Any], str] = str, status: Callable[[], str] = lambda: ""):
        self._total, self._name, self._status = total, name, status
        self._done = self._failed = 0
        self._running: int | None = None  # as an executor tells it
        self._shares: dict[Any, float] = {}  # of tasks under way
        self._gains: dict[str, float] = {}
        self._told = float("-inf")
        self._counted: tuple[int | None, ...] = ()
        self._mark: tuple[float, float] | None = None  # time and share when it was looked at first
        columns = (BarColumn(bar_width=20), TextColumn("{task.fields[said]}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar = self._progress.add_task("", total=1.0, said="")

    def __enter__(self) -> TasksView:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stand(self, task: Any, share: float, gain: float) -> None:
        """Note how far a task has come.

        Args:
            share: Of its work, 0 to 1.
            gain: Of quality beside SAM 2's own rule, of the best so far.
        """
        self._shares[task] = share
        self._gains[self._name(task)] = gain
        if self._running is None:  # where tasks run in this process, nobody tells
            self._show()

    def end(self, task: Any, failed: bool = False, gain: float | None = None) -> None:
        """Count a task that has ended."""
        self._shares.pop(task, None)
        self._failed += failed
        self._done += not failed
        if gain is not None:
            self._gains[self._name(task)] = gain

    def update(self, running: Sequence[Any]) -> None:
        """Show where the tasks stand.

        Args:
            running: Those under way.
        """
        self._running = len(running)
        self._show()

    def _show(self) -> None:
        now, share, text = time.monotonic(), self._share(), self.text()
        self._mark = self._mark or ((now, share) if self._running or share else None)
        self._progress.update(self._bar, completed=share, said=escape(text))
        counted = (self._done, self._failed, self._running)
        if not console.is_terminal and (counted != self._counted or now - self._told > _LOG):
            self._counted, self._told = counted, now
            say(text)

    def text(self) -> str:
        """The line."""
        running = len(self._shares) if self._running is None else self._running
        waiting = self._total - self._done - self._failed - running
        parts = [f"done {self._done}", f"running {running}", f"waiting {waiting}", f"failed {self._failed}"]
        parts += [text for text in (self._left(), self._best(), self._status()) if text]
        return "  ".join(parts)

    def _share(self) -> float:
        return (self._done + self._failed + sum(self._shares.values())) / self._total

    def _left(self) -> str:
        now, share = time.monotonic(), self._share()
        if self._mark is None or share <= self._mark[1] or share >= 1:
            return ""
        seconds = (now - self._mark[0]) * (1 - share) / (share - self._mark[1])
        return f"{timedelta(seconds=round(seconds))} left"

    def _best(self) -> str:
        best = nlargest(_BEST, self._gains.items(), key=lambda pair: pair[1])
        return "best " + ", ".join(f"{name} {gain:+.3f}" for name, gain in best) if best else ""


def jobs(
    folder: Folder,
    cancel: Annotated[bool, typer.Option("--cancel", help="End all that wait or run; what is done is kept.")] = False,
    as_json: Json = False,
) -> None:
    """What was submitted to Slurm for a workspace, and how it stands."""
    from sam2rl_tracker.runs.slurm.overview import cancel_submissions, list_submissions

    if not folder.is_dir():
        raise Sam2rlError(f"{folder} is no folder: give the workspace that was submitted for.")
    if cancel:
        ended = cancel_submissions(folder)
        say(f"{ended} jobs are ended. Repeat the command that submitted them to go on.")
    overviews, problem = list_submissions(folder)
    if problem:
        say(problem, style="yellow")
    if as_json:
        print_json({"submissions": [one.as_json() for one in overviews], "problem": problem})
        return
    if not overviews:
        say(f"Nothing was submitted for {folder}: `sam2rl train {folder} --slurm` does.")
        return
    Console().print(_table(overviews))
    for one in overviews:
        for failed in one.failed:
            failure = failed.failure
            say(f"FAILED {failed.result} ({failure.attempts} times, on {failure.node}): {failure.error}", style="red")


def _table(overviews: Sequence[Overview]) -> Table:
    heads = ("Array", "Submitted", "Work", "Done", "Running", "Waiting", "Failed", "Left", "Jobs")
    table = Table(*heads, caption="Left: tasks of jobs that have ended; repeat the command for them")
    for one in overviews:
        when = datetime.fromtimestamp(one.submission.time).strftime("%d %b %H:%M")
        states = ", ".join(f"{count} {word.lower()}" for word, count in one.states.items()) or str(one.submission.jobs)
        counts = (one.done, one.running, one.waiting, len(one.failed), one.left)
        table.add_row(one.array or "-", when, escape(one.submission.kind), *map(str, counts), states)
    return table
