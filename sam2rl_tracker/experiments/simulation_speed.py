"""Speed of simulation: one rollout at a time through stock SAM 2, batched, and batched with memoisation, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch

from sam2rl_tracker.engine import PLAIN, Arithmetic, Engine, load_model, one_thread
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.experiments.timing import REPEATS
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.ppo import train
from sam2rl_tracker.training.progress import TrainingProgress
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.task import Task

ITERATIONS = 18
"""Of the training, which is PPO around the best rollout. Local search is left out: hardly a step of it is known."""

Curve = tuple[tuple[int, float, float], ...]  # (steps, frames/s, reuse so far) each


@dataclass(frozen=True)
class SimulationSettings:
    """What `bench_simulate` was asked for.

    Attributes:
        seed: Of the generated video, the rollouts and the training.
        frames: Of the video.
        rows: Batch size without memoisation.
        memoised_rows: Batch size of the training.
        iterations: Of the training.
        samples: Of each iteration.
    """

    seed: int
    frames: int
    rows: int
    memoised_rows: int
    iterations: int
    samples: int


@dataclass(frozen=True)
class SimulationSpeed:
    """What `bench_simulate` measured.

    Attributes:
        stock_fps: Stock SAM 2, rollout by rollout.
        batched_fps: Rollouts in batches, nothing shared between them.
        uncompiled_fps: The same in uncompiled steps; None unless it was asked to compile.
        compile_seconds: What the first of the compiled rollouts took longer than later ones; None likewise.
        memoised_fps: In a training.
        ratio_batched: To stock.
        ratio_memoised: To stock.
        reuse_rate: Share of the training's steps that needed no prediction.
        learning_share: Of the training's time that is not simulation.
        resident_mb: Memory of the process.
        curve: (steps, frames/s, reuse so far) after each iteration of the training.
        made_with: What the numbers depend on.
        settings: What was asked for.
    """

    stock_fps: float
    batched_fps: float
    uncompiled_fps: float | None
    compile_seconds: float | None
    memoised_fps: float
    ratio_batched: float
    ratio_memoised: float
    reuse_rate: float
    learning_share: float
    resident_mb: int
    curve: Curve
    made_with: Provenance
    settings: SimulationSettings

    def as_json(self) -> dict[str, Any]:
        measured = asdict(self)
        settings = {**self.made_with.as_json(self.settings.seed), **measured.pop("settings")}
        del measured["made_with"]
        return {"simulate": measured, "settings": settings}


@one_thread()
def bench_simulate(
    model: str = "nano",
    device: str | None = None,
    frames: int = 80,
    rows: int = 32,
    iterations: int = ITERATIONS,
    samples: int = Settings.samples,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
    arithmetic: Arithmetic = PLAIN,
) -> SimulationSpeed:
    """Measure simulated frames per second on a generated video, on one thread.

    Stock SAM 2 tracks the video from the start in every rollout, images encoded again, as one would do without a
    simulator. The batched simulator steps random rollouts and shares nothing between them. Both run in turns. Then
    a training by PPO shows what memoisation adds.

    Args:
        model: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        frames: Of the video.
        rows: Batch size without memoisation; a training has its own (`Task.rows`), since few states are new to it.
        iterations: Of the training.
        samples: Of each.
        seed: Of the generated video, the rollouts and the training.
        report: Is called with one line of text per step.
        arithmetic: What the simulator computes in; stock SAM 2 computes in float32, uncompiled.

    Raises:
        Sam2rlError: See `load_model` and `Simulator`.
    """
    loaded = load_model(model, device)
    scene = generate_scene(seed, frames=frames, size=loaded.network.image_size)
    clip = Clip(list(scene.images), scene.labels == 1, np.ones(frames, dtype=bool))
    engine = arithmetic.engine(loaded)
    engines = [engine, replace(arithmetic, compile=False).engine(loaded)] if arithmetic.compile else [engine]
    stock_fps, (batched_fps, *uncompiled_fps), first = _stock_and_batched(engines, clip, rows, seed, report)
    memoised_rows = min(rows, Task.rows)  # as in training
    settings = Settings(iterations=iterations, samples=samples, seed=seed, local=0)
    progress, curve = _memoised(engine, clip, memoised_rows, settings, report)
    total = progress.simulating + progress.learning
    return SimulationSpeed(
        stock_fps=round(stock_fps, 1),
        batched_fps=round(batched_fps, 1),
        uncompiled_fps=round(uncompiled_fps[0], 1) if uncompiled_fps else None,
        compile_seconds=round(first, 1) if arithmetic.compile else None,
        memoised_fps=round(progress.speed, 1),
        ratio_batched=round(batched_fps / stock_fps, 2),
        ratio_memoised=round(progress.speed / stock_fps, 2),
        reuse_rate=round(progress.reuse, 4),
        learning_share=round(progress.learning / total, 3),
        resident_mb=round(psutil.Process().memory_info().rss / 2**20),
        curve=curve,
        made_with=Provenance.of(loaded, arithmetic),
        settings=SimulationSettings(seed, frames, rows, memoised_rows, iterations, samples),
    )


def _stock_and_batched(
    engines: Sequence[Engine], clip: Clip, rows: int, seed: int, report: Callable[[str], None]
) -> tuple[float, list[float], float]:
    """Frames per second of stock SAM 2 and of each engine without memoisation, which run in turns.

    Returns:
        Of stock, of each engine, and the seconds that the first engine's first turn took longer than its later ones.
    """
    model, predictor = engines[0].model, stock_predictor(engines[0].model)
    simulators = [Simulator(engine, clip, rows=rows, memoise=False) for engine in engines]
    random = np.random.default_rng(seed)
    stock_times: list[float] = []
    batched_times: list[list[float]] = [[] for _ in engines]
    for turn in range(REPEATS + 1):  # the first one warms up
        report(f"stock and batched, turn {turn} of {REPEATS}")
        start = time.perf_counter()
        with torch.inference_mode():
            state = stock_state(model, predictor, clip.images)
            predictor.add_new_mask(state, 0, 1, clip.masks[0])
            for _ in predictor.propagate_in_video(state):
                pass
        stock_times.append(time.perf_counter() - start)
        for simulator, times in zip(simulators, batched_times, strict=True):
            start, states = time.perf_counter(), [simulator.start()] * rows
            for _ in range(simulator.decisions):
                states = simulator.step(states, random.integers(0, simulator.capacity + 1, rows).tolist())
            times.append(time.perf_counter() - start)
            simulator.trim()
    predictions = simulators[0].decisions * rows
    later = [statistics.median(times[1:]) for times in batched_times]
    stock_fps = (len(clip) - 1) / statistics.median(stock_times[1:])
    return stock_fps, [predictions / seconds for seconds in later], batched_times[0][0] - later[0]


def _memoised(
    engine: Engine, clip: Clip, rows: int, settings: Settings, report: Callable[[str], None]
) -> tuple[TrainingProgress, Curve]:
    """Where a training ends, and its (steps, frames/s, reuse so far) after each iteration."""
    curve: list[tuple[int, float, float]] = []

    def on_iteration(progress: TrainingProgress) -> None:
        report(f"training, iteration {progress.iteration} of {progress.iterations}")
        curve.append((progress.steps, round(progress.speed, 1), round(progress.reuse, 4)))

    with TemporaryDirectory() as folder:
        simulator = Simulator(engine, clip, rows=rows)
        progress = train(simulator, settings, Path(folder), on_iteration).progress
    return progress, tuple(curve)
