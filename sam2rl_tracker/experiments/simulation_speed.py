"""Speed of simulation: one rollout at a time through stock SAM 2, batched, and batched with memoisation, in one run.

And of what simulation consists of: predictions under a full bank, at growing batch sizes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from sam2rl_tracker.engine import (
    HUB_MODELS,
    MAX_POINTERS,
    MEMORY_SLOTS,
    Engine,
    FixedShape,
    FrameRecord,
    Model,
    load_model,
    one_thread,
    random_model,
)
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.policies.bank import bank_selection
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.ppo import Progress, train
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.task import Task

REPEATS = 3


@one_thread()
def bench_simulate(
    model: str = "nano",
    device: str | None = None,
    frames: int = 80,
    rows: int = 32,
    iterations: int = Settings.iterations,
    samples: int = Settings.samples,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure simulated frames per second on a generated video, on one thread.

    Stock SAM 2 tracks the video from the start in every rollout, images encoded again, as one would do without a
    simulator. The batched simulator steps random rollouts and shares nothing between them. Both run in turns. Then
    a training by PPO shows what memoisation adds.

    Args:
        rows: batch size without memoisation; a training has its own (`Task.rows`), since few states are new to it.

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
    memoised = Simulator(Engine(loaded), clip, rows=min(rows, Task.rows))  # as in training

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
            **Provenance.of(loaded).settings(seed),
            "frames": frames,
            "rows": rows,
            "memoised_rows": min(rows, Task.rows),
            "iterations": iterations,
            "samples": samples,
        },
    }


def bench_predict(
    model: str = "nano",
    device: str | None = None,
    random_weights: bool = False,
    input_size: int | None = None,
    rows: Sequence[int] = (1, 4, 16, 64),
    bfloat16: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure what a simulated step costs: one image, a full bank in every row, all predicted and encoded as memories.

    Args:
        random_weights: build a named hub model with random weights: its speed without its download.
        input_size: another input size for such a model, in pixels; a multiple of 32.
        rows: batch sizes.
        bfloat16: run under autocast.

    Returns:
        {"predict": [{rows, fps, tflops (achieved), peak_mb (CUDA's, or None)}], "tflop_per_frame", "ceiling_tflops" (of
        a product of large matrices in the same precision, measured in this run), "settings": {...}}.

    Raises:
        Sam2rlError: random weights or another input size for a model that is not a named hub model.
    """
    if random_weights and model in HUB_MODELS:
        loaded = random_model(model, device, input_size=input_size)
    elif random_weights or input_size:
        raise Sam2rlError(f"random weights and other input sizes are for {', '.join(HUB_MODELS)}, not for {model!r}")
    else:
        loaded = load_model(model, device)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    engine = Engine(loaded, dtype)
    step = _full_bank(engine, loaded)
    with FlopCounterMode(display=False) as counter:
        step(1)
    flops = counter.get_total_flops()
    report("ceiling")
    ceiling = _ceiling(loaded.device, dtype)
    lines = []
    for count in rows:
        report(f"{count} rows")
        if loaded.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(loaded.device)
        seconds = _median_seconds(partial(step, count), loaded.device)
        peak = torch.cuda.max_memory_allocated(loaded.device) / 2**20 if loaded.device.type == "cuda" else None
        lines.append(
            {
                "rows": count,
                "fps": round(count / seconds, 1),
                "tflops": round(flops * count / seconds / 1e12, 3),
                "peak_mb": None if peak is None else round(peak),
            }
        )
    return {
        "predict": lines,
        "tflop_per_frame": round(flops / 1e12, 5),
        "ceiling_tflops": round(ceiling, 3),
        "settings": {
            **Provenance.of(loaded).settings(0),
            "input_size": loaded.network.image_size,
            "dtype": "bfloat16" if bfloat16 else "float32",
        },
    }


def _full_bank(engine: Engine, model: Model) -> Callable[[int], None]:
    """A step on so many rows, each of which attends to the prompted frame and six others."""
    size = model.network.image_size
    image = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((1, size, size), dtype=bool)
    mask[:, size // 4 : size // 2, size // 4 : size // 2] = True
    features = engine.encode_image(image)
    prompted = engine.prompt_masks(features, mask)
    memory = engine.encode_memory(features, prompted, [True])
    records = [
        FrameRecord(frame, memory[0], prompted.pointers[0], predicted_iou=1.0, object_score=10.0, area=1)
        for frame in range(MEMORY_SLOTS)
    ]
    selection = bank_selection(records[0], records[1:], MEMORY_SLOTS, MAX_POINTERS)

    def step(rows: int) -> None:
        candidates = engine.predict(features, [selection] * rows, FixedShape(rows, MEMORY_SLOTS, MEMORY_SLOTS))
        every = torch.arange(rows, device=engine.device)
        chosen = engine.choose(candidates, every, candidates.ious.argmax(dim=1), candidates.object_scores > 0)
        engine.encode_memory(features, chosen, [False] * rows)

    return step


def _ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a product of large matrices."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / _median_seconds(lambda: a @ b, device) / 1e12


def _median_seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of a call, after two that warm up."""
    times = []
    for turn in range(REPEATS + 4):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)
