"""From objects of a workspace to agents: train each, evaluate it through the tracker, and keep it as a file.

Ctrl-C, or any other end: trainings end where they are, in other processes too. Iterations that have ended are in the
training's folder (`runs.folder`), and the same call goes on after the last of them, to the same result as without the
interruption. The iteration under way is lost. Agents that are finished stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.agents.agent import FALLBACK, Agent
from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import Model, one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.executors import HERE, Executor, Here, Outcome, unwatched
from sam2rl_tracker.runs.folder import CHECKPOINT, SETTINGS
from sam2rl_tracker.runs.tasks import Kind, read_result, run_tasks, work
from sam2rl_tracker.training.ppo import Trained, train
from sam2rl_tracker.training.progress import TrainingProgress, read_training
from sam2rl_tracker.training.search import follow
from sam2rl_tracker.training.settings import AUTO
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.start import Start, find_start, read_start, write_start
from sam2rl_tracker.training.task import Task, make_agent

_JSON_NAMES = {"object_id": "object", "best_rollout_evaluated": "best_rollout_replayed"}  # where they differ
_LATER = {"control": "memory", "pointers": "stored", "fallback": False}  # what results before these fields had


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
        control: What the agent decides: see `agents.action.Space`.
        pointers: Whose pointers its frames attend to: one of `agents.action.POINTERS`.
        fallback: Whether the agent plays SAM 2's own rule, as nothing better was found.
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
    control: str = "memory"
    pointers: str = "stored"
    fallback: bool = False

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
        given = {**_LATER, **content, **{ours: content[theirs] for ours, theirs in _JSON_NAMES.items()}}
        given |= {name: Path(content[name]) for name in ("file", "own_file")}
        return cls(**{name: given[name] for name in cls.__dataclass_fields__})


@one_thread()  # the batches are small, and tasks run side by side
def train_object(
    task: Task, on_iteration: Callable[[TrainingProgress], None] = lambda progress: None
) -> TrainingResult:
    """Train one agent, or continue, and save it in the training's folder.

    Where the settings leave it open whose pointers to attend to, and the agent is below SAM 2 on its own video, it is
    SAM 2's own rule instead, and its record says so.

    Raises:
        Sam2rlError: See `load_clip`, `read_start` and `ppo.train`.
    """
    asked, task = task, _as_begun(task)
    model, clip = task.load_model(), task.clip()
    sam2 = evaluate_policy(model, clip, make_policy("recency"))
    simulator = task.simulator(model, clip)
    start = _start(task, simulator)
    if start is not None and start.pointers != simulator.pointers:
        simulator = simulator.with_pointers(start.pointers)
    trained = train(simulator, task.settings, task.folder, on_iteration, sam2, start)
    progress = trained.progress
    agent = _trained_agent(task, model, simulator, trained)
    if task.settings.pointers == AUTO and agent.record["quality"] < sam2:
        agent = _sam2_agent(task, model, simulator.with_pointers("recent"), trained)  # which can express it
    best = make_agent(task, model, simulator, {"actions": np.array(trained.best_actions)}, {})
    there: TrainingResult | None = read_result(asked)
    if there is not None:  # another machine was faster: its agent stays with its result
        return there
    path = save_agent(agent, task.folder)
    return TrainingResult(
        sequence=task.sequence,
        object_id=task.object_id,
        seed=task.settings.seed,
        quality=agent.record["quality"],
        sam2_quality=sam2,
        batched_quality=agent.record["batched_quality"],
        best_rollout=progress.best,
        best_rollout_evaluated=best.record["quality"],
        steps=progress.steps,
        evaluated=progress.evaluated,
        seconds=round(progress.simulating + progress.learning, 1),
        iterations=progress.iteration,
        file=path,
        own_file=path,
        control=agent.control,
        pointers=agent.pointers,
        fallback=agent.fell_back,
    )


def _as_begun(task: Task) -> Task:
    """The task; without local search where its training was begun before there was any, so that it ends as it would."""
    try:
        begun = json.loads((task.folder / SETTINGS).read_text())
    except (OSError, ValueError):  # `train` says what is wrong with the file
        return task
    if "local" in begun or not (task.folder / CHECKPOINT).is_file():
        return task
    return replace(task, settings=replace(task.settings, local=0))


def _start(task: Task, simulator: Simulator) -> Start | None:
    """What to begin with where there is a choice of pointers; None where the settings leave none.

    Args:
        simulator: Under the first of the choices.
    """
    choices = task.settings.pointer_choices
    if len(choices) == 1:
        return None
    if (task.folder / CHECKPOINT).is_file():  # `train` compares what it was begun with
        return read_start(task.folder)
    others = (simulator.with_pointers(each) for each in choices[1:])
    start = find_start(chain([simulator], others), task.settings.beam)
    write_start(task.folder, start)
    return start


def _trained_agent(task: Task, model: Model, simulator: Simulator, trained: Trained) -> Agent:
    """The agent of a training, with its quality through the tracker."""
    record = {
        "method": "ppo",
        "iterations": trained.progress.iteration,
        "batched_quality": trained.progress.best_greedy,
        **_of_training(task, trained),
    }
    agent = make_agent(task, model, simulator, trained.tensors, record)
    if agent.plays_sam2():  # it has learned nothing else
        agent.record[FALLBACK] = True
    return agent


def _sam2_agent(task: Task, model: Model, simulator: Simulator, trained: Trained) -> Agent:
    """SAM 2's own rule as an agent, after a training that found nothing better."""
    rule = follow(simulator, simulator.space.sam2, "SAM 2")
    record = {
        "method": "SAM 2's own rule",
        FALLBACK: True,
        "batched_quality": rule.quality,
        **_of_training(task, trained),
    }
    return make_agent(task, model, simulator, {"actions": np.array(rule.actions)}, record)


def _of_training(task: Task, trained: Trained) -> dict[str, Any]:
    """What the record of an agent says of the training that it came from."""
    progress = trained.progress
    return {"settings": task.settings.as_json(), "steps": progress.steps, "sam2_quality": progress.sam2}


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
