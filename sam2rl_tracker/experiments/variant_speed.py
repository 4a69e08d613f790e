"""Tracking in every arithmetic, ours and stock SAM 2's, in turns in one run: speed, TFLOP/s and peak memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from sam2rl_tracker.engine import PLAIN, Arithmetic, Model
from sam2rl_tracker.engine.arithmetic import DTYPES
from sam2rl_tracker.errors import first_line
from sam2rl_tracker.experiments.timing import ARITHMETICS, count_flops, matrix_ceiling, measured_model
from sam2rl_tracker.experiments.tracking_speed import (
    REFERENCE_POLICY,
    STOCK,
    TURN,
    Case,
    Run,
    begin_tracking,
    generated_video,
    in_turns,
)
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.tracking.tracker import Tracker

TURNS = 6
FIRST = 20  # frames, after which bank and pointers are full


@dataclass(frozen=True)
class VariantSpeed:
    """One way to track a video.

    Attributes:
        who: `REFERENCE_POLICY`, which is ours, or `STOCK`.
        dtype: "float32" or "bfloat16".
        compile: Whether it was compiled; stock SAM 2 by its own `vos_optimized`.
        fps: Frames over the median time of a turn, as all the rest None where it failed.
        ratio: Median over turns of the time of stock SAM 2 in float32, not compiled, over this one's.
        tflops: Achieved, TFLOP/s.
        of_ceiling: The same as a share of a product of large matrices in the same precision.
        peak_mb: CUDA's peak memory, with the network's weights, without images that wait; None on other devices.
        first_seconds: Of the first 20 frames, compiling included.
        failed: Why there are no numbers.
    """

    who: str
    dtype: str
    compile: bool
    fps: float | None = None
    ratio: float | None = None
    tflops: float | None = None
    of_ceiling: float | None = None
    peak_mb: int | None = None
    first_seconds: float | None = None
    failed: str | None = None


@dataclass(frozen=True)
class VariantSpeeds:
    """What `bench_variants` measured.

    Attributes:
        case: What was tracked.
        lines: One for each way.
        tflop_per_frame: {who: of a frame under a full bank}.
        ceiling_tflops: {dtype: TFLOP/s of a product of large matrices}, measured in this run.
        made_with: What the numbers depend on.
        input_size: Of the model, in pixels.
    """

    case: Case
    lines: tuple[VariantSpeed, ...]
    tflop_per_frame: dict[str, float]
    ceiling_tflops: dict[str, float]
    made_with: Provenance
    input_size: int

    def as_json(self) -> dict[str, Any]:
        settings = {**self.made_with.as_json(0), **asdict(self.case), "input_size": self.input_size}
        del settings["dtype"], settings["compile"]  # each line has its own
        return {
            "variants": [asdict(line) for line in self.lines],
            "tflop_per_frame": self.tflop_per_frame,
            "ceiling_tflops": self.ceiling_tflops,
            "settings": settings,
        }


@dataclass(frozen=True, eq=False)
class _Begun:
    """A way that has tracked the first frames.

    Attributes:
        run: Tracks the next ones.
        peak_mb: While it tracked the first.
        seconds: That these took.
    """

    run: Run
    peak_mb: int | None
    seconds: float


def bench_variants(
    model: str = "nano",
    device: str | None = None,
    random_weights: bool = False,
    input_size: int | None = None,
    objects: int = 1,
    turns: int = TURNS,
    arithmetics: Sequence[Arithmetic] = ARITHMETICS,
    report: Callable[[str], None] = lambda text: None,
) -> VariantSpeeds:
    """Track a generated video by SAM 2's rule and by stock SAM 2 in each arithmetic, in turns of 20 frames.

    Each way first tracks 20 frames alone, which compile it, fill its bank and show what memory it takes. A way that
    fails then is left out, and says why. Stock SAM 2 gets its images resized and loaded beforehand, and that time is
    not counted.

    Args:
        model: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        random_weights: Build a named hub model with random weights: its speed without its download.
        input_size: Another input size for such a model, in pixels; a multiple of 32.
        objects: In the video.
        turns: That are measured.
        arithmetics: Of ours and of stock SAM 2.
        report: Is called with one line of text per step.

    Raises:
        Sam2rlError: See `measured_model`.
    """
    loaded = measured_model(model, device, random_weights, input_size=input_size)
    case = Case(objects, 1 + FIRST + turns * TURN)
    ways = [
        (who, arithmetic) for arithmetic in dict.fromkeys([PLAIN, *arithmetics]) for who in (REFERENCE_POLICY, STOCK)
    ]
    flops = {}
    for who in (REFERENCE_POLICY, STOCK):
        report(f"counting the work of {who}")
        flops[who] = _flops(who, loaded, objects)
    ceilings = {one.dtype: matrix_ceiling(loaded.device, DTYPES[one.dtype]) for _, one in ways}
    runs: dict[tuple[str, Arithmetic], _Begun] = {}
    failed: dict[tuple[str, Arithmetic], str] = {}
    for way in ways:
        report(f"{objects} objects: first frames of {_name(*way)}")
        try:
            runs[way] = _begin(*way, loaded, case)
        except Exception as error:  # compilers and devices raise what they like, and the other ways can do without
            failed[way] = first_line(error)
    report(f"{objects} objects: {len(runs)} ways in turns")
    seconds = dict(zip(runs, in_turns([begun.run for begun in runs.values()], turns, loaded.device), strict=True))
    lines = []
    for who, arithmetic in ways:
        if (who, arithmetic) in failed:
            lines.append(VariantSpeed(who, **asdict(arithmetic), failed=failed[who, arithmetic]))
            continue
        run, own = runs[who, arithmetic], seconds[who, arithmetic]
        fps = TURN / statistics.median(own)
        tflops = fps * flops[who] / 1e12
        stock = seconds.get((STOCK, PLAIN))
        lines.append(
            VariantSpeed(
                who,
                **asdict(arithmetic),
                fps=round(fps, 2),
                ratio=round(statistics.median(a / b for a, b in zip(stock, own, strict=True)), 3) if stock else None,
                tflops=round(tflops, 4),
                of_ceiling=round(tflops / ceilings[arithmetic.dtype], 3),
                peak_mb=run.peak_mb,
                first_seconds=round(run.seconds, 1),
            )
        )
    return VariantSpeeds(
        case=case,
        lines=tuple(lines),
        tflop_per_frame={who: round(count / 1e12, 5) for who, count in flops.items()},
        ceiling_tflops={dtype: round(ceiling, 3) for dtype, ceiling in ceilings.items()},
        made_with=Provenance.of(loaded),
        input_size=loaded.network.image_size,
    )


def _name(who: str, arithmetic: Arithmetic) -> str:
    return f"{who}, {arithmetic.dtype}{', compiled' * arithmetic.compile}"


@torch.inference_mode()
def _flops(who: str, model: Model, objects: int) -> int:
    """Of a frame under a full bank, as it is without compiling. All is done in this thread, where the counter is."""
    if who == STOCK:
        run = begin_tracking(STOCK, model, Case(objects, FIRST + 2))
        run.advance(FIRST)
        return count_flops(partial(run.advance, 1))
    images, masks = generated_video(model, Case(objects, FIRST + 2))
    tracker = Tracker(model, who)
    tracker.initialize(images[0], masks)
    for image in images[1:-1]:
        tracker.track(image)
    return count_flops(partial(tracker.track, images[-1]))


@torch.inference_mode()
def _begin(who: str, arithmetic: Arithmetic, model: Model, case: Case) -> _Begun:
    device = model.device
    gc.collect()
    run = begin_tracking(who, model, case, arithmetic=arithmetic)
    before = 0
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    run.advance(1)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)  # what it took to make ready does not count
    run.advance(FIRST - 1)
    seconds = time.perf_counter() - start
    if device.type != "cuda":
        return _Begun(run, None, seconds)
    peak = torch.cuda.max_memory_allocated(device) - before
    if who == STOCK:  # it has the images of the whole video there, and weights of its own
        peak -= case.frames * 3 * model.network.image_size**2 * 4
    else:
        peak += sum(one.nbytes for one in model.network.state_dict().values())
    return _Begun(run, round(peak / 2**20), seconds)
