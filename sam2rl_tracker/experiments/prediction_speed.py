"""Speed of what simulation consists of: predictions under a full bank, at growing batch sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from sam2rl_tracker.engine import (
    MAX_POINTERS,
    MEMORY_SLOTS,
    PLAIN,
    Arithmetic,
    Engine,
    FixedShape,
    FrameRecord,
)
from sam2rl_tracker.experiments.timing import count_flops, matrix_ceiling, measured_model, median_seconds_of, wait
from sam2rl_tracker.policies.bank import bank_selection
from sam2rl_tracker.runs.provenance import Provenance


@dataclass(frozen=True)
class PredictSpeed:
    """Predictions at one batch size.

    Attributes:
        rows: The batch size.
        fps: Simulated frames per second.
        tflops: Achieved, TFLOP/s.
        peak_mb: CUDA's peak memory; None on other devices.
        uncompiled_fps: Frames per second of uncompiled steps; None unless it was asked to compile.
        compile_seconds: What the first of the compiled steps took longer than later ones; None likewise.
    """

    rows: int
    fps: float
    tflops: float
    peak_mb: int | None
    uncompiled_fps: float | None = None
    compile_seconds: float | None = None


@dataclass(frozen=True)
class PredictSpeeds:
    """What `bench_predict` measured.

    Attributes:
        lines: One for each batch size.
        tflop_per_frame: What a row takes.
        ceiling_tflops: TFLOP/s of a product of large matrices in the same precision, measured in this run.
        too_many: The first number of rows for which the device had not enough memory; None = it had.
        made_with: What the numbers depend on.
        input_size: Of the model, in pixels.
    """

    lines: tuple[PredictSpeed, ...]
    tflop_per_frame: float
    ceiling_tflops: float
    too_many: int | None
    made_with: Provenance
    input_size: int

    def as_json(self) -> dict[str, Any]:
        return {
            "predict": [asdict(line) for line in self.lines],
            "tflop_per_frame": self.tflop_per_frame,
            "ceiling_tflops": self.ceiling_tflops,
            "too_many_rows": self.too_many,
            "settings": {**self.made_with.as_json(0), "input_size": self.input_size},
        }


def bench_predict(
    model: str = "nano",
    device: str | None = None,
    random_weights: bool = False,
    input_size: int | None = None,
    rows: Sequence[int] = (1, 4, 16, 64),
    arithmetic: Arithmetic = PLAIN,
    report: Callable[[str], None] = lambda text: None,
) -> PredictSpeeds:
    """Measure what a simulated step costs: one image, a full bank in every row, all predicted and encoded as memories.

    Args:
        model: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        random_weights: Build a named hub model with random weights: its speed without its download.
        input_size: Another input size for such a model, in pixels; a multiple of 32.
        rows: Batch sizes.
        arithmetic: What the network computes in.
        report: Is called with one line of text per step.

    Raises:
        Sam2rlError: See `measured_model`.
    """
    loaded = measured_model(model, device, random_weights, input_size=input_size)
    plain = replace(arithmetic, compile=False).engine(loaded)
    flops = count_flops(partial(_full_bank(Engine(loaded)), 1))
    report("ceiling")
    ceiling = matrix_ceiling(loaded.device, plain.dtype)
    compiled = arithmetic.engine(loaded) if arithmetic.compile else None
    lines, too_many = [], None
    for count in rows:
        report(f"{count} rows")
        try:
            lines.append(_measure(plain, compiled, count, flops))
        except torch.OutOfMemoryError:
            too_many = count
            break
    return PredictSpeeds(
        lines=tuple(lines),
        tflop_per_frame=round(flops / 1e12, 5),
        ceiling_tflops=round(ceiling, 3),
        too_many=too_many,
        made_with=Provenance.of(loaded, arithmetic),
        input_size=loaded.network.image_size,
    )


def _measure(plain: Engine, compiled: Engine | None, rows: int, flops: int) -> PredictSpeed:
    """Steps of one batch size, compiled and not in turns.

    Args:
        compiled: None = only uncompiled steps are measured.
        flops: That a row takes.
    """
    on_gpu = plain.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(plain.device)
    steps = [partial(_full_bank(engine), rows) for engine in (plain, compiled) if engine is not None]
    start = time.perf_counter()
    steps[-1]()
    wait(plain.device)
    first = time.perf_counter() - start
    seconds = median_seconds_of(steps, plain.device)
    return PredictSpeed(
        rows=rows,
        fps=round(rows / seconds[-1], 1),
        tflops=round(flops * rows / seconds[-1] / 1e12, 3),
        peak_mb=round(torch.cuda.max_memory_allocated(plain.device) / 2**20) if on_gpu else None,
        uncompiled_fps=None if compiled is None else round(rows / seconds[0], 1),
        compile_seconds=None if compiled is None else round(first - seconds[-1], 1),
    )


def _full_bank(engine: Engine) -> Callable[[int], None]:
    """A step on so many rows, each of which attends to the prompted frame and six others."""
    size = engine.input_size
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
