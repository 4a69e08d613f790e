"""From objects of a workspace to agents: train each, replay it through the tracker, and keep it as a file."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import Engine, Model, load_model, one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.runs.executors import end_with
from sam2rl_tracker.training.ppo import Progress, read_progress, train
from sam2rl_tracker.training.search import compare
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace

_RESULT = "result.json"  # of a training in a process of its own


@dataclass(frozen=True)
class Task:
    """One agent to train."""

    workspace: Path
    sequence: str
    object_id: int
    model: str = "nano"
    device: str | None = None
    settings: Settings = field(default_factory=Settings)
    rows: int = 8  # few states of a frame are new: larger batches would be padding
    store_mb: float = 512

    @property
    def folder(self) -> Path:
        """Where its training lives: what it needs to go on, and its curves."""
        return self.workspace / "training" / f"{self.sequence}_{self.object_id}_seed{self.settings.seed}"


@one_thread()  # the batches are small, and tasks run side by side
def train_object(task: Task, on_iteration: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
    """Train one agent, or continue, and save it in the training's folder.

    Returns:
        sequence, object, seed, quality (of the agent replayed through the tracker), sam2_quality, batched_quality (what
        the simulator gave the same agent), best_rollout (the best rollout seen in training, simulated),
        best_rollout_replayed (through the tracker), steps, evaluated, seconds (of training, over all its runs),
        iterations, file. Qualities are fractions, measured on the ground truth that was trained on.

    Raises:
        Sam2rlError: see `load_clip` and `ppo.train`.
    """
    model, simulator = _prepare(task)
    sam2 = evaluate_policy(model, simulator.clip, make_policy("recency"))
    trained = train(simulator, task.settings, task.folder, on_iteration, sam2)
    progress = trained.progress
    record = {
        "method": "ppo",
        "settings": dataclasses.asdict(task.settings),
        "iterations": progress.iteration,
        "steps": progress.steps,
        "batched_quality": progress.best_greedy,
    }
    agent = _make_agent(task, model, simulator, trained.tensors, {**record, "sam2_quality": sam2})
    path = save_agent(agent, task.folder)
    best = _make_agent(task, model, simulator, {"actions": np.array(trained.best_actions)}, {})
    return {
        "sequence": task.sequence,
        "object": task.object_id,
        "seed": task.settings.seed,
        "quality": agent.record["quality"],
        "sam2_quality": agent.record["sam2_quality"],
        "batched_quality": progress.best_greedy,
        "best_rollout": progress.best,
        "best_rollout_replayed": best.record["quality"],
        "steps": progress.steps,
        "evaluated": progress.evaluated,
        "seconds": round(progress.simulating + progress.learning, 1),
        "iterations": progress.iteration,
        "file": str(path),
    }


def _prepare(task: Task) -> tuple[Model, Simulator]:
    model = load_model(task.model, task.device)
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    return model, Simulator(Engine(model), clip, rows=task.rows, store_mb=task.store_mb)


def _make_agent(
    task: Task, model: Model, simulator: Simulator, tensors: dict[str, np.ndarray], record: dict[str, Any]
) -> Agent:
    """An agent with its quality, replayed through the tracker."""
    clip = simulator.clip
    about = {
        "sequence": task.sequence,
        "object": task.object_id,
        "model": model.name,
        "model_hash": model.hash,
        "subject": simulator.identity,
        "trained_on": "the ground truth that it is scored on",
        "versions": {name: version(name) for name in ("sam2rl_tracker", "torch", "sam2", "stable-baselines3")},
        "python": platform.python_version(),
    }
    key = fingerprint(clip.images[0], clip.masks[0], model.hash)
    agent = Agent(key, len(clip), simulator.capacity, tensors, {**about, **record})
    with TemporaryDirectory() as folder:
        agent.record["quality"] = evaluate_policy(model, clip, partial(Sam2Rl, agents=str(save_agent(agent, folder))))
    return agent


@one_thread()
def search_object(
    task: Task, budget: int, width: int | None = None, plot: Path | None = None, save: Path | None = None
) -> dict[str, Any]:
    """Search for good decisions at equal numbers of simulated steps, beside the trained agent if there is one.

    The workspace's folder `search` keeps the result, for reports.

    Args:
        budget: steps for random search and beam; greedy search takes what it takes.
        width: of the wide beam that estimates the ceiling; None = no ceiling.
        plot: where to draw return against steps.
        save: folder for an agent of the best decisions found, for the tracker SAM2RL; a better one there stays.

    Returns:
        sequence, object, steps (the budget), spent (the steps that each search took), curves ([steps, best quality so
        far] of each), random, greedy, beam, ceiling (simulated qualities), replayed (the same, through the tracker),
        agent (the one in `agents/`, simulated, or None), agent_method (how it was made), always (every frame replaces
        the oldest), sam2 (through the tracker).
    """
    from sam2rl_tracker.report.search_curves import plot_curves

    model, simulator = _prepare(task)
    clip = simulator.clip
    founds = compare(simulator, budget, task.settings.seed, width)
    path = agents_folder(task.workspace) / f"{fingerprint(clip.images[0], clip.masks[0], model.hash)}.safetensors"
    agent = load_agent(path) if path.is_file() else None
    if agent and agent.frames != len(clip):  # the video was shorter or longer then
        agent = None
    result: dict[str, Any] = {
        "sequence": task.sequence,
        "object": task.object_id,
        "steps": budget,
        **{found.name: found.quality for found in founds},
        "spent": {found.name: found.steps for found in founds},
        "curves": {found.name: found.curve for found in founds},
        "agent": _simulate(simulator, agent) if agent else None,
        "agent_method": agent.record.get("method") if agent else None,
        "always": simulator.quality(simulator.rollout([1] * simulator.decisions)),
        "sam2": evaluate_policy(model, clip, make_policy("recency")),
    }
    agents = {}
    for found in founds:
        record = {"method": f"search ({found.name})", "steps": found.steps, "batched_quality": found.quality}
        record["sam2_quality"] = result["sam2"]
        agents[found.name] = _make_agent(task, model, simulator, {"actions": np.array(found.actions)}, record)
    result["replayed"] = {name: agent.record["quality"] for name, agent in agents.items()}
    if plot:
        lines = {"SAM 2": result["sam2"]}
        if agent:
            lines[f"agent, {result['agent_method']}"] = result["agent"]
        curves = {found.name: found.curve for found in founds}
        plot_curves(
            curves, plot, f"{task.sequence}, object {task.object_id}: found on the truth it is scored on", lines
        )
    if save:
        publish(max(agents.values(), key=lambda agent: agent.record["quality"]), save)
    kept = task.workspace / "search" / f"{task.sequence}_{task.object_id}.json"
    kept.parent.mkdir(exist_ok=True)
    with atomic_path(kept) as temporary:
        temporary.write_text(json.dumps(result))
    return result


def _simulate(simulator: Simulator, agent: Agent) -> float:
    states = [simulator.start()]
    for t in range(1, simulator.decisions + 1):
        states += simulator.step(states[-1:], [agent.action(t, simulator.bank(states[-1]))])
    return simulator.quality(states)


def train_all(
    tasks: Sequence[Task],
    jobs: int = 1,
    on_iteration: Callable[[Task, Progress], None] = lambda task, progress: None,
    publishing: bool = True,
) -> Iterator[tuple[Task, dict[str, Any] | Sam2rlError]]:
    """Train agents one after the other, or in `jobs` processes that share nothing but files.

    Args:
        publishing: the workspace's `agents/` gets the agent of each object, of several seeds or runs the one with the
            best quality.

    Yields:
        Each task when it ends, with its result (`own_file` is the seed's, `file` the published one) or what went wrong;
        the others go on.
    """
    for task, result in _train_all(list(dict.fromkeys(tasks)), jobs, on_iteration):
        if not isinstance(result, Sam2rlError):
            result["own_file"] = result["file"]
            try:
                if publishing:
                    result["file"] = str(publish(load_agent(result["file"]), agents_folder(task.workspace)))
            except Sam2rlError as error:
                result = error
        yield task, result


def _train_all(
    tasks: Sequence[Task], jobs: int, on_iteration: Callable[[Task, Progress], None]
) -> Iterator[tuple[Task, dict[str, Any] | Sam2rlError]]:
    if jobs == 1:
        for task in tasks:
            try:
                yield task, train_object(task, partial(on_iteration, task))
            except Sam2rlError as error:
                yield task, error
        return
    waiting, running = list(tasks), dict[SpawnProcess, Task]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                (task.folder / _RESULT).unlink(missing_ok=True)
                # A process per task: when one dies, no other is touched. Daemons end with their parent.
                process = get_context("spawn").Process(target=_work, args=(task, os.getpid()), daemon=True)
                process.start()
                running[process] = task
            wait([process.sentinel for process in running], timeout=1.0)
            for task in running.values():  # what workers have to say is in their files
                if (progress := read_progress(task.folder)) is not None:
                    on_iteration(task, progress)
            for process in [process for process in running if not process.is_alive()]:
                task = running.pop(process)
                yield task, _result(task, process.exitcode)
    finally:
        for process in running:
            process.terminate()


def _work(task: Task, parent: int) -> None:
    """Train in a process of its own."""
    end_with(parent)
    try:
        result = train_object(task)
    except Sam2rlError as error:
        result = {"error": str(error)}
    task.folder.mkdir(parents=True, exist_ok=True)  # what went wrong may have done so before
    with atomic_path(task.folder / _RESULT) as temporary:
        temporary.write_text(json.dumps(result))


def _result(task: Task, status: int | None) -> dict[str, Any] | Sam2rlError:
    try:
        result: dict[str, Any] = json.loads((task.folder / _RESULT).read_text())
    except (OSError, ValueError):
        return Sam2rlError(f"its worker died (status {status}): was it killed, or is memory short?")
    return Sam2rlError(result["error"]) if "error" in result else result
