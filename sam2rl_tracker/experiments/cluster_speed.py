"""What a Slurm cluster gives: the same trainings on one node and on several, in one run, and what a task costs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sam2rl_tracker.engine import load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Executor, Processes
from sam2rl_tracker.runs.provenance import Provenance, processor
from sam2rl_tracker.runs.slurm.client import list_jobs
from sam2rl_tracker.runs.slurm.executor import Slurm
from sam2rl_tracker.runs.slurm.records import read_submissions
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import train_all
from sam2rl_tracker.vot.workspace import generate

SETTINGS = ("iterations=40", "samples=256", "imitation=0", "pointers=stored")
"""Of trainings that take half a minute each with `nano`, all about the same: none is trained twice."""


@dataclass(frozen=True)
class ClusterSpeed:
    """What `bench_cluster` measured.

    Attributes:
        tasks: Trainings.
        nodes: Jobs that ran at a time, on as many nodes.
        one_seconds: By one job at a time, from the submission on.
        all_seconds: By `nodes` jobs at a time.
        short_seconds: Of as many trainings of one iteration, by one job at a time.
        short_here_seconds: Of the same in one process of this machine, its start included.
        load: Of this machine at the beginning, over five minutes, in processes.
        made_with: What the numbers depend on.
        processor: This machine's.
    """

    tasks: int
    nodes: int
    one_seconds: float
    all_seconds: float
    short_seconds: float
    short_here_seconds: float
    load: float
    made_with: Provenance
    processor: str

    @property
    def ratio(self) -> float:
        """Of the throughputs, of `nodes` jobs at a time to one at a time."""
        return self.one_seconds / self.all_seconds

    @property
    def overhead(self) -> float:
        """Seconds that a task takes more in jobs, one at a time, than in one process here: submitting, waiting for the
        scheduler, and starting Python and loading the model in each job included."""
        return (self.short_seconds - self.short_here_seconds) / self.tasks

    def as_json(self) -> dict[str, Any]:
        about = asdict(self)
        del about["made_with"]
        numbers = {name: round(value, 2) if isinstance(value, float) else value for name, value in about.items()}
        numbers |= {"ratio": round(self.ratio, 3), "overhead": round(self.overhead, 2)}
        return {"cluster": numbers, "settings": self.made_with.as_json(0)}


def bench_cluster(
    folder: Path,
    settings: Settings,
    count: int = 12,
    frames: int = 30,
    nodes: int = 2,
    model: str = "nano",
    slurm: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> ClusterSpeed:
    """Train agents of generated videos, in a job at a time and in several; what a task costs, on short trainings.

    Args:
        folder: A new one, that the nodes see.
        settings: Of the trainings.
        count: Of trainings. Each video has one for each node, by another seed, so that all jobs have as much to do.
        frames: Of each video.
        nodes: Jobs at a time; each works on the same number of trainings.
        model: As `load_model` takes it.
        slurm: See `runs.slurm.client.parse_settings`.
        say: Is told what goes on, a line each.

    Raises:
        Sam2rlError: The folder is not new, Slurm refused or does not answer, or a training failed.
    """
    if folder.exists():
        raise Sam2rlError(f"{folder} is there already: give a new folder, on storage that the nodes see.")
    load, size = os.getloadavg()[1], -(-count // nodes)
    short = replace(settings, iterations=1)

    def measure(name: str, about: str, chosen: Settings, at_once: int | None) -> float:
        """Seconds of all trainings in jobs, so many at a time; None = in a process here."""
        home = folder.resolve() / name
        names = generate(home, size, 0, frames)
        seeds = [replace(chosen, seed=chosen.seed + k) for k in range(nodes)]
        tasks = [Task(home, name, 1, model, None, one) for one in seeds for name in names][:count]
        executor = Processes(1) if at_once is None else Slurm(home, slurm, size, at_once)
        say(f"{count} {about}")
        seconds = _time(executor, tasks)
        _wait_for_jobs(home)
        return seconds

    return ClusterSpeed(
        tasks=count,
        nodes=nodes,
        short_here_seconds=measure("short-here", "trainings of an iteration, in a process here", short, None),
        short_seconds=measure("short", "trainings of an iteration, one job at a time", short, 1),
        one_seconds=measure("one", "trainings, one job at a time", settings, 1),
        all_seconds=measure("all", f"trainings, {nodes} jobs at a time", settings, nodes),
        load=load,
        made_with=Provenance.of(load_model(model, None)),
        processor=processor(),
    )


def _time(executor: Executor, tasks: Sequence[Task]) -> float:
    """Seconds until all are trained."""
    began = time.perf_counter()
    for outcome in train_all(tasks, executor):
        if isinstance(outcome.result, Sam2rlError):
            raise outcome.result
    return time.perf_counter() - began


def _wait_for_jobs(home: Path) -> None:
    """Wait for jobs whose work is done to end, as the next ones need their nodes.

    Raises:
        NoAnswer: Slurm does not answer.
    """
    names = [submission.name for submission in read_submissions(home)]
    while any(job.is_live for job in list_jobs(names)):
        time.sleep(0.5)
