"""From objects of a workspace to agents: train each, evaluate it through the tracker, and keep it as a file.

Ctrl-C, or any other end: trainings end where they are, in other processes too. Iterations that have ended are in the
training's folder (`runs.folder`), and the same call goes on after the last of them, to the same result as without the
interruption. The iteration under way is lost. Agents that are finished stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.executors import HERE, Executor, Here, Outcome, unwatched
from sam2rl_tracker.runs.tasks import Kind, read_result, run_tasks, work
from sam2rl_tracker.training.ppo import train
from sam2rl_tracker.training.progress import TrainingProgress, read_training
from sam2rl_tracker.training.task import Task, make_agent

_JSON_NAMES = {"object_id": "object", "best_rollout_evaluated": "best_rollout_replayed"}  # where they differ


@dataclass(frozen=True)
class TrainingResult:
    """What came of the training of one object. Qualities are fractions, on the ground truth that was trained on.

    Attributes:
        sequence: The video.
        object_id: The object, as its ground truth numbers it.
        seed: Of the training.
        quality: Of the agent, through the tracker.
        sam2_quality: Of SAM 2's own rule, through the tracker.
        batched_quality: What the simulator gave the same agent.
        best_rollout: Of the best rollout seen in training, simulated.
        best_rollout_evaluated: Of the same, through the tracker.
        steps: Simulated transitions.
        evaluated: States predicted for them.
        seconds: Of training, over all its runs.
        iterations: Of the training.
        file: The agent's, where trackers find it if it was published.
        own_file: The agent's in the training's folder.
    """

    sequence: str
    object_id: int
    seed: int
    quality: float
    sam2_quality: float
    batched_quality: float
    best_rollout: float
    best_rollout_evaluated: float
    steps: int
    evaluated: int
    seconds: float
    iterations: int
    file: Path
    own_file: Path

    def as_json(self) -> dict[str, Any]:
        """As `sam2rl train --json` and a benchmark's parts hold it."""
        texts = {"file": str(self.file), "own_file": str(self.own_file)}
        return {_JSON_NAMES.get(name, name): value for name, value in {**asdict(self), **texts}.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrainingResult:
        """That which `as_json` gave; other fields are left out.

        Raises:
            KeyError: A field is missing.
        """
        given = {**content, **{ours: content[theirs] for ours, theirs in _JSON_NAMES.items()}}
        given |= {name: Path(content[name]) for name in ("file", "own_file")}
        return cls(**{name: given[name] for name in cls.__dataclass_fields__})


@one_thread()  # the batches are small, and tasks run side by side
def train_object(
    task: Task, on_iteration: Callable[[TrainingProgress], None] = lambda progress: None
) -> TrainingResult:
    """Train one agent, or continue, and save it in the training's folder.

    Raises:
        Sam2rlError: See `load_clip` and `ppo.train`.
    """
    model = task.load_model()
    simulator = task.simulator(model)
    sam2 = evaluate_policy(model, simulator.clip, make_policy("recency"))
    trained = train(simulator, task.settings, task.folder, on_iteration, sam2)
    progress = trained.progress
    record = {
        "method": "ppo",
        "settings": task.settings.as_json(),
        "iterations": progress.iteration,
        "steps": progress.steps,
        "batched_quality": progress.best_greedy,
        "sam2_quality": sam2,
    }
    agent = make_agent(task, model, simulator, trained.tensors, record)
    best = make_agent(task, model, simulator, {"actions": np.array(trained.best_actions)}, {})
    there: TrainingResult | None = read_result(task)
    if there is not None:  # another machine was faster: its agent stays with its result
        return there
    path = save_agent(agent, task.folder)
    return TrainingResult(
        sequence=task.sequence,
        object_id=task.object_id,
        seed=task.settings.seed,
        quality=agent.record["quality"],
        sam2_quality=sam2,
        batched_quality=progress.best_greedy,
        best_rollout=progress.best,
        best_rollout_evaluated=best.record["quality"],
        steps=progress.steps,
        evaluated=progress.evaluated,
        seconds=round(progress.simulating + progress.learning, 1),
        iterations=progress.iteration,
        file=path,
        own_file=path,
    )


def _read(task: Task, content: Mapping[str, Any]) -> TrainingResult | None:
    """A result from its file, with the paths of today; None where the agent is gone."""
    result = TrainingResult.from_json(content)
    file = task.folder / result.own_file.name  # the workspace may have been moved
    return replace(result, file=file, own_file=file) if file.is_file() else None


TRAIN = Kind(Task, train_object, _read)
"""Trainings, as tasks."""


def train_all(
    tasks: Sequence[Task],
    executor: Executor = HERE,
    on_iteration: Callable[[Task, TrainingProgress], None] = lambda task, progress: None,
    publishing: bool = True,
    on_wait: Callable[[Sequence[Task]], None] = unwatched,
) -> Iterator[Outcome[Task, TrainingResult]]:
    """Train agents. Trainings share nothing but files.

    Args:
        executor: Where they are trained.
        on_iteration: Is told of each training's progress, more than once of the same where it is not trained here.
        publishing: The workspace's `agents/` gets the agent of each object, of several seeds or runs the one with the
            best quality.
        on_wait: See `Executor.run`.

    Yields:
        Each task when it ends, with its result or what went wrong; the others go on.
    """

    def tell(running: Sequence[Task]) -> None:
        for task in running:  # what other processes have to say is in their files
            if (progress := read_training(task.folder)) is not None:
                on_iteration(task, progress)
        on_wait(running)

    def train_here(task: Task) -> TrainingResult:
        result: TrainingResult = work(task, partial(on_iteration, task))
        return result

    do = train_here if isinstance(executor, Here) else work
    for outcome in run_tasks(executor, list(dict.fromkeys(tasks)), tell, do):
        yield _published(outcome) if publishing else outcome


def _published(outcome: Outcome[Task, TrainingResult]) -> Outcome[Task, TrainingResult]:
    result = outcome.result
    if isinstance(result, Sam2rlError):
        return outcome
    try:
        file = publish(load_agent(result.own_file), agents_folder(outcome.task.workspace))
    except Sam2rlError as error:
        return Outcome(outcome.task, error)
    return Outcome(outcome.task, replace(result, file=file))
