"""What measurements of speed share: the model, waiting for the device, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode

from sam2rl_tracker.engine import HUB_MODELS, PLAIN, Arithmetic, Model, load_model, random_model
from sam2rl_tracker.engine.packed import product
from sam2rl_tracker.errors import Sam2rlError

REPEATS = 3
ARITHMETICS = (PLAIN, Arithmetic("bfloat16"), Arithmetic(compile=True), Arithmetic("bfloat16", compile=True))


def measured_model(
    name: str, device: str | None, random_weights: bool = False, seed: int = 0, input_size: int | None = None
) -> Model:
    """A model to measure.

    Args:
        name: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        random_weights: Build a named hub model with random weights: its speed without its download.
        seed: Of these.
        input_size: Another input size for such a model, in pixels; a multiple of 32.

    Raises:
        Sam2rlError: Random weights or another input size for a model that is not a named hub model.
    """
    if random_weights and name in HUB_MODELS:
        return random_model(name, device, seed, input_size)
    if random_weights or input_size:
        raise Sam2rlError(f"Random weights and other input sizes are for {', '.join(HUB_MODELS)}, not for {name!r}.")
    return load_model(name, device)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of a call, after two that warm up."""
    return median_seconds_of([run], device)[0]


def median_seconds_of(runs: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """Of several calls, which take turns, after two turns that warm up."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(REPEATS + 4):
        for run, seconds in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            wait(device)
            if turn >= 2:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in times]


def matrix_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a product of large matrices, by the best library at hand: what can be reached at best."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    packed = product(b, None)
    seconds = min(median_seconds(run, device) for run in (lambda: a @ b, lambda: packed(a)))
    return 2 * side**3 / seconds / 1e12


def count_flops(run: Callable[[], object]) -> int:
    """Of products of matrices, convolutions and attention in a call. Compiled code is not seen."""
    mapping = {}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # what `engine.packed` calls; PyTorch's counter does not know it
        mapping[torch.ops.mkldnn._linear_pointwise] = _linear_flops
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        run()
    return int(counter.get_total_flops())


def _linear_flops(shape: Sequence[int], *_: object, out_shape: Sequence[int], **__: object) -> int:
    return 2 * prod(out_shape) * shape[-1]
