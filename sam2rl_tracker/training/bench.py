"""Speed of simulation: one rollout at a time through stock SAM 2, batched, and batched with memoisation, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch

from sam2rl_tracker.bench import describe
from sam2rl_tracker.engine import Engine, load_model, one_thread
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.ppo import Progress, Settings, train
from sam2rl_tracker.training.simulator import Clip, Simulator

REPEATS = 3


@one_thread()
def bench_simulate(
    model: str = "nano",
    device: str | None = None,
    frames: int = 80,
    rows: int = 32,
    iterations: int = 10,
    samples: int = 4096,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure simulated frames per second on a generated video, on one thread.

    Stock SAM 2 tracks the video from the start in every rollout, images encoded again, as one would do without a
    simulator. The batched simulator steps random rollouts and shares nothing between them. Both run in turns. Then
    a training by PPO shows what memoisation adds.

    Returns:
        {"simulate": {stock_fps, batched_fps, memoised_fps, ratio_batched, ratio_memoised, reuse_rate, learning_share
        (of the training's time that is not simulation), resident_mb, curve [[steps, frames/s, reuse so far], ...]},
        "settings": {...}}.
    """
    loaded = load_model(model, device)
    scene = generate_scene(seed, frames=frames, size=loaded.network.image_size)
    clip = Clip(list(scene.images), scene.labels == 1, np.ones(frames, dtype=bool))
    predictor = stock_predictor(loaded)
    plain = Simulator(Engine(loaded), clip, rows=rows, memoise=False)
    random = np.random.default_rng(seed)
    stock_times, batched_times = [], []
    for turn in range(REPEATS + 1):  # the first one warms up
        report(f"stock and batched, turn {turn} of {REPEATS}")
        start = time.perf_counter()
        with torch.inference_mode():
            state = stock_state(loaded, predictor, clip.images)
            predictor.add_new_mask(state, 0, 1, clip.masks[0])
            for _ in predictor.propagate_in_video(state):
                pass
        stock_times.append((time.perf_counter() - start) / (frames - 1))

        start, states = time.perf_counter(), [plain.start()] * rows
        for _ in range(plain.decisions):
            states = plain.step(states, random.integers(0, plain.capacity + 1, rows).tolist())
        batched_times.append((time.perf_counter() - start) / (plain.decisions * rows))
        plain.trim()
    stock_fps, batched_fps = (1 / statistics.median(times[1:]) for times in (stock_times, batched_times))

    curve: list[list[float]] = []
    memoised = Simulator(Engine(loaded), clip, rows=rows)

    def on_iteration(progress: Progress) -> None:
        report(f"training, iteration {progress.iteration} of {progress.iterations}")
        curve.append([progress.steps, round(progress.speed, 1), round(progress.reuse, 4)])

    with TemporaryDirectory() as folder:
        settings = Settings(iterations=iterations, samples=samples, seed=seed)
        progress = train(memoised, settings, Path(folder), on_iteration).progress
    total = progress.simulating + progress.learning
    return {
        "simulate": {
            "stock_fps": round(stock_fps, 1),
            "batched_fps": round(batched_fps, 1),
            "memoised_fps": round(progress.speed, 1),
            "ratio_batched": round(batched_fps / stock_fps, 2),
            "ratio_memoised": round(progress.speed / stock_fps, 2),
            "reuse_rate": round(progress.reuse, 4),
            "learning_share": round(progress.learning / total, 3),
            "resident_mb": round(psutil.Process().memory_info().rss / 2**20),
            "curve": curve,
        },
        "settings": {
            **describe(loaded, seed),
            "frames": frames,
            "rows": rows,
            "iterations": iterations,
            "samples": samples,
        },
    }
