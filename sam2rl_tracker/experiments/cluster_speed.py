"""What a Slurm cluster gives: the same trainings here, on one node and on several, in one run."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2rl_tracker.engine import load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Executor, Processes
from sam2rl_tracker.runs.provenance import Provenance, processor
from sam2rl_tracker.runs.slurm.executor import Slurm
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import train_all
from sam2rl_tracker.vot.workspace import generate


@dataclass(frozen=True)
class ClusterSpeed:
    """What `bench_cluster` measured.

    Attributes:
        tasks: Trainings.
        nodes: Jobs that ran at a time, on as many nodes.
        here_seconds: By one process of this machine, its start included.
        one_seconds: By one job at a time, from the submission on.
        all_seconds: By `nodes` jobs at a time.
        load: Of this machine at the beginning, over five minutes, in processes.
        made_with: What the numbers depend on.
        processor: This machine's.
    """

    tasks: int
    nodes: int
    here_seconds: float
    one_seconds: float
    all_seconds: float
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
        scheduler and starting the jobs included."""
        return (self.one_seconds - self.here_seconds) / self.tasks

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
    """Train agents of generated videos three times: in a process here, in a job at a time, in several.

    Args:
        folder: A new one, that the nodes see.
        settings: Of the trainings.
        count: Of videos, a training each.
        frames: Of each.
        nodes: Jobs at a time; each works on the same number of trainings.
        model: As `load_model` takes it.
        slurm: See `runs.slurm.client.parse_settings`.
        say: Is told what goes on, a line each.

    Raises:
        Sam2rlError: The folder is not new, Slurm refused, or a training failed.
    """
    if folder.exists():
        raise Sam2rlError(f"{folder} is there already: give a new folder, on storage that the nodes see.")
    folder = folder.resolve()
    load = os.getloadavg()[1]
    chunk = -(-count // nodes)
    names = generate(folder / "here", count, 0, frames)
    seconds = {}
    for place in ("here", "one", "all"):
        home = folder / place
        if place != "here":
            shutil.copytree(folder / "here", home, ignore=shutil.ignore_patterns("training", "agents"))
        executor: Executor = Processes(1)
        if place != "here":
            executor = Slurm(home, slurm, chunk, 1 if place == "one" else nodes)
        tasks = [Task(home, name, 1, model, None, settings) for name in names]
        say(f"{count} trainings, {'in a process here' if place == 'here' else f'on {place} of {nodes} nodes'}")
        seconds[place] = _time(executor, tasks)
    made_with = Provenance.of(load_model(model, None))
    return ClusterSpeed(count, nodes, seconds["here"], seconds["one"], seconds["all"], load, made_with, processor())


def _time(executor: Executor, tasks: Sequence[Task]) -> float:
    """Seconds until all are trained."""
    began = time.perf_counter()
    for outcome in train_all(tasks, executor):
        if isinstance(outcome.result, Sam2rlError):
            raise outcome.result
    return time.perf_counter() - began
