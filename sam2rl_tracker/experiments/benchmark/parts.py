"""The parts of a benchmark: trainings, searches, baselines and changed videos.

A part that has ended lies in a JSON file of its own and is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sam2rl_tracker.engine import one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.evaluation.methods import BASELINES
from sam2rl_tracker.experiments.transfer import VARIANTS, Transfer, transfer_agent
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.devices import local_executor
from sam2rl_tracker.runs.executors import process_pool
from sam2rl_tracker.runs.folder import write_json
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


class Parts:
    """The parts of one benchmark.

    Args:
        folder: Of their files.
        jobs: Processes that work side by side.
        say: Is told what goes on, a line each.
    """

    def __init__(self, folder: Path, jobs: int, say: Say):
        self.folder = folder
        self._jobs, self._say = jobs, say

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
        for outcome in train_all(missing, local_executor(self._jobs), on_iteration, publishing=False):
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
        works = {
            self.folder / f"search-{task.sequence}.json": (_search, replace(task, rows=_SEARCH_ROWS), budget)
            for task, budget in budgets.items()
        }
        return [
            SearchPart(content["spent"], content["curves"], content["replayed"], content["seconds"])
            for content in self._once(works, "searching")
        ]

    def evaluate_baselines(self, tasks: Sequence[Task]) -> list[BaselinesPart]:
        """Evaluate the baselines on videos."""
        works = {self.folder / f"controls-{task.sequence}.json": (_evaluate_baselines, task) for task in tasks}
        return [
            BaselinesPart({name: content[name] for name in BASELINES}, content["seconds"])
            for content in self._once(works, "evaluating baselines")
        ]

    def transfer(self, agents: Mapping[Task, Path]) -> list[TransferPart]:
        """Evaluate agents, by their files, on changed versions of their videos."""
        works = {
            self.folder / f"transfer-{task.sequence}.json": (_transfer, task, agent) for task, agent in agents.items()
        }
        return [
            TransferPart({name: Transfer(**content[name]) for name in VARIANTS}, content["seconds"])
            for content in self._once(works, "evaluating on changed videos")
        ]

    def _once(self, works: Mapping[Path, tuple[Any, ...]], what: str) -> list[dict[str, Any]]:
        """Contents of parts' files, in their order.

        Args:
            works: {file: a function that gives its content, and the function's arguments}.

        Raises:
            Sam2rlError: Of the first part that failed; all others are done.
        """
        missing = {file: work for file, work in works.items() if not file.is_file()}
        done = len(works) - len(missing)
        self._say(f"{what}: {done} of {len(works)}")
        failed = []
        with process_pool(self._jobs) as pool:
            for future in [pool.submit(_work, file, *work) for file, work in missing.items()]:
                try:
                    future.result()
                except Sam2rlError as error:  # the others are worth having
                    failed.append(error)
                    continue
                done += 1
                self._say(f"{what}: {done} of {len(works)}")
        if failed:
            raise failed[0]
        return [json.loads(file.read_text()) for file in works]


def _work(file: Path, function: Callable[..., dict[str, Any]], *arguments: Any) -> None:
    started = time.perf_counter()
    content = function(*arguments)
    write_json(file, {**content, "seconds": round(time.perf_counter() - started, 1)})


def _search(task: Task, budget: int) -> dict[str, Any]:
    return search_object(task, budget).as_json()


@one_thread()
def _evaluate_baselines(task: Task) -> dict[str, float]:
    model = task.load_model()
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    return {name: evaluate_policy(model, clip, make_policy(policy)) for name, policy in BASELINES.items()}


def _transfer(task: Task, agent: Path) -> dict[str, Any]:
    return {name: asdict(one) for name, one in transfer_agent(task, agent).items()}
