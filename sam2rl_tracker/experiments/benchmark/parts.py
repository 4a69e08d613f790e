"""The parts of a benchmark: trainings, searches, baselines and changed videos.

A part that has ended lies in a JSON file of its own and is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from sam2rl_tracker.engine import one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.evaluation.methods import BASELINES
from sam2rl_tracker.experiments.transfer import VARIANTS, Transfer, transfer_agent
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.executors import Executor
from sam2rl_tracker.runs.folder import write_json
from sam2rl_tracker.runs.tasks import Kind, run_tasks
from sam2rl_tracker.training.progress import TrainingProgress, read_curve
from sam2rl_tracker.training.search_object import search_object
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import TrainingResult, train_all
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace

Curve = Sequence[Sequence[float]]  # (simulated steps, best quality so far) each
Say = Callable[[str], None]

_SEARCH_ROWS = 32  # searches ask for many states at once


@dataclass(frozen=True)
class TrainingPart:
    """The training of one agent.

    Attributes:
        result: What came of it.
        agent: Where the agent's file lies now; the folder may have been moved since.
        curve: Quality of the best policy so far, simulated.
    """

    result: TrainingResult
    agent: Path
    curve: Curve


@dataclass(frozen=True)
class SearchPart:
    """The searches on one video.

    Attributes:
        spent: {search: simulated steps}.
        curves: {search: best quality so far, simulated}.
        evaluated: {search: quality through the tracker}.
        seconds: That they took.
    """

    spent: dict[str, int]
    curves: dict[str, Curve]
    evaluated: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class BaselinesPart:
    """The baselines on one video.

    Attributes:
        qualities: {baseline: quality through the tracker}.
        seconds: That they took.
    """

    qualities: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class TransferPart:
    """An agent on changed versions of its video.

    Attributes:
        variants: {variant: the agent beside SAM 2's own rule}.
        seconds: That they took.
    """

    variants: dict[str, Transfer]
    seconds: float


@dataclass(frozen=True)
class PartTask:
    """A part other than a training.

    Attributes:
        folder: Of its file.
        name: What is done: "search", "controls" (the baselines) or "transfer".
        task: On which object.
        budget: Of a search, in simulated steps.
        agent: The file of an agent to transfer.
    """

    folder: Path
    name: str
    task: Task
    budget: int = 0
    agent: Path | None = None

    kind: ClassVar[str] = "part"

    @property
    def result(self) -> Path:
        """The file that it leaves."""
        return self.folder / f"{self.name}-{self.task.sequence}.json"

    def on(self, device: str) -> PartTask:
        """The same task, on a device."""
        return replace(self, task=self.task.on(device))


@dataclass(frozen=True)
class _Part:
    """What came of one, as its file has it."""

    content: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.content


class Parts:
    """The parts of one benchmark.

    Args:
        folder: Of their files.
        executor: Where they are worked on.
        say: Is told what goes on, a line each.
    """

    def __init__(self, folder: Path, executor: Executor, say: Say):
        self.folder = folder
        self._executor, self._say = executor, say

    def train(self, tasks: Sequence[Task]) -> dict[Task, TrainingPart]:
        """Train agents.

        Raises:
            Sam2rlError: Some trainings failed; the others are kept.
        """
        results = {task: part for task in tasks if (part := self._trained(task)) is not None}
        told: dict[Task, int] = {}

        def on_iteration(task: Task, now: TrainingProgress) -> None:
            if told.get(task) != now.iteration:
                told[task] = now.iteration
                about = f"{now.iteration} of {now.iterations}, agent {now.best_greedy:.3f} (SAM 2 {now.sam2:.3f})"
                self._say(f"training {len(results) + 1} of {len(tasks)}: {task.sequence}, iteration {about}")

        failed = []
        missing = [task for task in tasks if task not in results]
        for outcome in train_all(missing, self._executor, on_iteration, publishing=False):
            task, result = outcome.task, outcome.result
            if isinstance(result, Sam2rlError):
                failed.append(f"{task.sequence}: {result}")
                continue
            curve = read_curve(task.folder) or [(result.steps, result.batched_quality)]
            results[task] = TrainingPart(result, result.own_file, curve)
            write_json(self.training_file(task), {**result.as_json(), "curve": curve})
        if failed:
            raise Sam2rlError(f"{len(failed)} trainings failed: {' '.join(failed)} The others are kept.")
        return {task: results[task] for task in tasks}

    def training_file(self, task: Task) -> Path:
        return self.folder / f"train-{task.sequence}-{task.settings.seed}.json"

    def _trained(self, task: Task) -> TrainingPart | None:
        """A training that has ended, and whose agent is still there."""
        file = self.training_file(task)
        if not file.is_file():
            return None
        content = json.loads(file.read_text())
        agent = task.folder / Path(content["file"]).name
        return TrainingPart(TrainingResult.from_json(content), agent, content["curve"]) if agent.is_file() else None

    def search(self, budgets: Mapping[Task, int]) -> list[SearchPart]:
        """Search on videos, each within a number of simulated steps."""
        tasks = [
            PartTask(self.folder, "search", replace(task, rows=_SEARCH_ROWS), budget=budget)
            for task, budget in budgets.items()
        ]
        return [
            SearchPart(content["spent"], content["curves"], content["replayed"], content["seconds"])
            for content in self._once(tasks, "searching")
        ]

    def evaluate_baselines(self, tasks: Sequence[Task]) -> list[BaselinesPart]:
        """Evaluate the baselines on videos."""
        parts = [PartTask(self.folder, "controls", task) for task in tasks]
        return [
            BaselinesPart({name: content[name] for name in BASELINES}, content["seconds"])
            for content in self._once(parts, "evaluating baselines")
        ]

    def transfer(self, agents: Mapping[Task, Path]) -> list[TransferPart]:
        """Evaluate agents, by their files, on changed versions of their videos."""
        tasks = [PartTask(self.folder, "transfer", task, agent=agent) for task, agent in agents.items()]
        return [
            TransferPart({name: Transfer(**content[name]) for name in VARIANTS}, content["seconds"])
            for content in self._once(tasks, "evaluating on changed videos")
        ]

    def _once(self, tasks: Sequence[PartTask], what: str) -> list[dict[str, Any]]:
        """Contents of parts' files, in their order.

        Raises:
            Sam2rlError: Of the first part that failed; all others are done.
        """
        found: dict[PartTask, dict[str, Any]] = {}
        failed = []
        self._say(f"{what}: {sum(task.result.is_file() for task in tasks)} of {len(tasks)}")
        for outcome in run_tasks(self._executor, tasks):
            if isinstance(outcome.result, Sam2rlError):  # the others are worth having
                failed.append(outcome.result)
                continue
            found[outcome.task] = outcome.result.content
            self._say(f"{what}: {len(found)} of {len(tasks)}")
        if failed:
            raise failed[0]
        return [found[task] for task in tasks]


def _work(part: PartTask) -> _Part:
    started = time.perf_counter()
    if part.name == "search":
        content = _search(part.task, part.budget)
    elif part.name == "controls":
        content = _evaluate_baselines(part.task)
    else:
        assert part.agent is not None
        content = _transfer(part.task, part.agent)
    return _Part({**content, "seconds": round(time.perf_counter() - started, 1)})


def _search(task: Task, budget: int) -> dict[str, Any]:
    return search_object(task, budget).as_json()


@one_thread()
def _evaluate_baselines(task: Task) -> dict[str, Any]:
    model = task.load_model()
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    return {name: evaluate_policy(model, clip, make_policy(policy)) for name, policy in BASELINES.items()}


def _transfer(task: Task, agent: Path) -> dict[str, Any]:
    return {name: asdict(one) for name, one in transfer_agent(task, agent).items()}


def _read(part: PartTask, content: Mapping[str, Any]) -> _Part:
    return _Part(dict(content))


PART = Kind(PartTask, _work, _read, by_name=True)
"""Parts, as tasks. All files of a benchmark's folder are of its plan."""
