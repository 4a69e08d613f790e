"""From objects of a workspace to agents: train each, replay it through the tracker, and keep it as a file."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.engine import Engine, Model, load_model, one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.measures import frame_overlaps, quality
from sam2rl_tracker.policies import Policy, make_policy
from sam2rl_tracker.policies.sam2rl import Agent, Sam2Rl, fingerprint, load_agent, save_agent
from sam2rl_tracker.tracking import Tracker
from sam2rl_tracker.training.clips import load_clip
from sam2rl_tracker.training.ppo import Progress, Settings, read_progress, train
from sam2rl_tracker.training.search import compare
from sam2rl_tracker.training.simulator import Clip, Simulator
from sam2rl_tracker.vot.workspace import open_workspace


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


def agents_folder(workspace: Path) -> Path:
    """Where a workspace's agents lie, for training and for the tracker SAM2RL."""
    return workspace / "agents"


def replay(model: Model, clip: Clip, policy: Callable[[], Policy]) -> float:
    """The quality of a policy on a clip, through a tracker of one object in exact mode."""
    tracker = Tracker(model, policy, exact=True, num_frames=len(clip))
    masks = [tracker.initialize(clip.images[0], clip.masks[:1])[0]]
    masks += [tracker.track(image)[0] for image in clip.images[1:]]
    overlaps = frame_overlaps(np.stack(masks), clip.masks, clip.known, clip.ignored)
    # `quality` leaves out its first frame.
    return quality(np.append(np.nan, overlaps) if clip.start_counts else overlaps)


@one_thread()  # the batches are small, and tasks run side by side
def train_object(task: Task, on_iteration: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
    """Train one agent, or continue, and save it in the training's folder.

    Returns:
        sequence, object, seed, quality (of the agent replayed through the tracker), sam2_quality, batched_quality (what
        the simulator gave the same agent), best_rollout (the best rollout seen in training), steps, evaluated, seconds,
        iterations, file. Qualities are fractions, measured on the ground truth that was trained on.

    Raises:
        Sam2rlError: see `load_clip` and `ppo.train`.
    """
    started = time.perf_counter()
    model, simulator = _prepare(task)
    trained = train(simulator, task.settings, task.folder, on_iteration)
    progress = trained.progress
    record = {
        "method": "ppo",
        "settings": dataclasses.asdict(task.settings),
        "iterations": progress.iteration,
        "steps": progress.steps,
        "batched_quality": progress.best_greedy,
    }
    path, agent = _keep(task, model, simulator, trained.tensors, record, task.folder)
    return {
        "sequence": task.sequence,
        "object": task.object_id,
        "seed": task.settings.seed,
        "quality": agent.record["quality"],
        "sam2_quality": agent.record["sam2_quality"],
        "batched_quality": progress.best_greedy,
        "best_rollout": progress.best,
        "steps": progress.steps,
        "evaluated": progress.evaluated,
        "seconds": round(time.perf_counter() - started, 1),
        "iterations": progress.iteration,
        "file": str(path),
    }


def _prepare(task: Task) -> tuple[Model, Simulator]:
    model = load_model(task.model, task.device)
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    return model, Simulator(Engine(model), clip, rows=task.rows, store_mb=task.store_mb)


def _keep(
    task: Task,
    model: Model,
    simulator: Simulator,
    tensors: dict[str, np.ndarray],
    record: dict[str, Any],
    folder: Path,
) -> tuple[Path, Agent]:
    """Save an agent with its quality and SAM 2's, both replayed through the tracker."""
    clip = simulator.clip
    about = {
        "sequence": task.sequence,
        "object": task.object_id,
        "model": model.name,
        "model_hash": model.hash,
        "trained_on": "the ground truth that it is scored on",
        "versions": {name: version(name) for name in ("sam2rl_tracker", "torch", "sam2", "stable-baselines3")},
        "python": platform.python_version(),
    }
    key = fingerprint(clip.images[0], clip.masks[0], model.hash)
    agent = Agent(key, len(clip), simulator.capacity, tensors, {**about, **record})
    path = save_agent(agent, folder)
    agent.record["quality"] = replay(model, clip, partial(Sam2Rl, agents=str(path)))
    agent.record["sam2_quality"] = replay(model, clip, make_policy("recency"))
    return save_agent(agent, folder), agent


@one_thread()
def search_object(
    task: Task, budget: int, width: int, plot: Path | None = None, save: Path | None = None
) -> dict[str, Any]:
    """Search for good decisions at equal numbers of simulated steps, beside the trained agent if there is one.

    Args:
        budget: steps for random search and beam; greedy search takes what it takes.
        width: of the wide beam that estimates the ceiling.
        plot: where to draw return against steps.
        save: folder for an agent of the best decisions found, for the tracker SAM2RL.

    Returns:
        sequence, object, steps (the budget), random, greedy, beam, ceiling (simulated qualities), agent (the trained
        one's, simulated, or None), always (every frame replaces the oldest), sam2 (through the tracker).
    """
    from sam2rl_tracker.report.curves import plot_curves

    model, simulator = _prepare(task)
    clip = simulator.clip
    founds = compare(simulator, budget, task.settings.seed, width)
    path = agents_folder(task.workspace) / f"{fingerprint(clip.images[0], clip.masks[0], model.hash)}.safetensors"
    result: dict[str, Any] = {
        "sequence": task.sequence,
        "object": task.object_id,
        "steps": budget,
        **{found.name: found.quality for found in founds},
        "agent": _simulate(simulator, load_agent(path)) if path.is_file() else None,
        "always": simulator.quality(simulator.rollout([1] * simulator.decisions)),
        "sam2": replay(model, clip, make_policy("recency")),
    }
    best = max(founds, key=lambda found: found.quality)
    if plot:
        lines = {name: result[key] for name, key in (("SAM 2", "sam2"), ("PPO", "agent")) if result[key] is not None}
        plot_curves(
            founds, plot, f"{task.sequence}, object {task.object_id}: found on the truth it is scored on", lines
        )
    if save:
        record = {"method": f"search ({best.name})", "steps": best.steps, "batched_quality": best.quality}
        _, agent = _keep(task, model, simulator, {"actions": np.array(best.actions)}, record, save)
        result["replayed"] = agent.record["quality"]
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
) -> Iterator[tuple[Task, dict[str, Any] | Sam2rlError]]:
    """Train agents one after the other, or in `jobs` processes that share nothing but files.

    The workspace's `agents/` gets the agent of each object; of several seeds, that with the best quality.

    Yields:
        Each task when it ends, with its result (`file` is now the one in `agents/`) or what went wrong; the others go
        on.
    """
    best: dict[str, float] = {}
    for task, result in _train_all(tasks, jobs, on_iteration):
        if not isinstance(result, Sam2rlError):
            own = Path(result["file"])
            published = agents_folder(task.workspace) / own.name
            result["file"] = str(published)
            if result["quality"] > best.get(own.name, float("-inf")):
                best[own.name] = result["quality"]
                try:
                    save_agent(load_agent(own), published.parent)
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
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(train_object, task): task for task in tasks}
        while running:
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for task in running.values():  # what workers have to say is in their files
                if (progress := read_progress(task.folder)) is not None:
                    on_iteration(task, progress)
            for future in done:
                task = running.pop(future)
                try:
                    yield task, future.result()
                except Sam2rlError as error:
                    yield task, error
                except Exception as error:  # a worker that was killed, or ran out of memory
                    yield task, Sam2rlError(f"the worker of {task.sequence}, object {task.object_id} died: {error}")
