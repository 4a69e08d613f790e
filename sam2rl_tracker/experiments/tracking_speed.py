"""Speed and memory of policies beside stock `SAM2VideoPredictor` and beside each other, measured in one run."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import psutil
import torch

from sam2rl_tracker.engine import PLAIN, Arithmetic, Model
from sam2rl_tracker.engine.heap import give_freed_memory_back
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.experiments.timing import measured_model, wait
from sam2rl_tracker.media.overlap import DEPTH, read_ahead
from sam2rl_tracker.runs.executors import run_apart
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker

TURN = 20  # frames that one of the runs tracks before it is the next one's turn
WARM_UP = 3  # turns, of a video that has more
STOCK = "stock SAM 2"  # stands among the names of policies
REFERENCE_POLICY = "recency"  # what a policy's cost is measured against
# Those that need no agent.
POLICIES = (REFERENCE_POLICY, "samurai", "dam4sam", "sam2long", "sam3", "d4sm", "him2sam", "samite", "mosam")
SETTLED = 200  # frames after which memory must be flat; growth counts from here


@dataclass(frozen=True)
class Case:
    """What is tracked.

    Attributes:
        objects: At once.
        frames: Of the video.
    """

    objects: int
    frames: int

    @classmethod
    def parse(cls, text: str) -> Case:
        """`5x100` = 5 objects, 100 frames."""
        try:
            objects, frames = (int(part) for part in text.lower().split("x"))
        except ValueError:
            raise Sam2rlError(f"Case {text!r} is not OBJECTSxFRAMES: give one such as 5x100.") from None
        if objects < 1 or frames < 40:
            raise Sam2rlError(f"Case {text!r} is too small: give 1 object and 40 frames at least.")
        return cls(objects, frames)


DEFAULT_CASES = (Case(1, 301), Case(5, 301), Case(1, 2001))


@dataclass(frozen=True)
class TrackSpeed:
    """A policy on a case, beside stock SAM 2.

    Attributes:
        policy: As `make_policy` takes it.
        objects: Of the case.
        frames: Of the case.
        fps: Frames over the median time of a turn.
        stock_fps: The same of stock SAM 2.
        ratio: Median over turns of stock's time over ours.
        cost: Median over turns of the policy's time over that of `REFERENCE_POLICY`.
        growth_mb: Memory gained after frame 200; None for videos of up to 400 frames, as are the next three.
        stock_growth_mb: The same of stock SAM 2.
        late_cost: Time of a frame after the last over that of one after frame 200, two runs in turns.
        stock_late_cost: The same of stock SAM 2.
    """

    policy: str
    objects: int
    frames: int
    fps: float
    stock_fps: float
    ratio: float
    cost: float
    growth_mb: float | None
    stock_growth_mb: float | None
    late_cost: float | None
    stock_late_cost: float | None


@dataclass(frozen=True)
class TrackSpeeds:
    """What `bench_track` measured.

    Attributes:
        lines: One for each case and policy.
        made_with: What the numbers depend on.
        seed: Of the generated video.
    """

    lines: tuple[TrackSpeed, ...]
    made_with: Provenance
    seed: int

    def as_json(self) -> dict[str, Any]:
        return {"track": [asdict(line) for line in self.lines], "settings": self.made_with.as_json(self.seed)}


@dataclass(frozen=True)
class _Endurance:
    """What becomes of a long run; None for a video that is too short to tell.

    Attributes:
        growth_mb: Of memory, between frame 200 and the last.
        late_cost: Time of a frame at the end over that of one at 200.
    """

    growth_mb: float | None = None
    late_cost: float | None = None


def bench_track(
    cases: Sequence[Case] = (),
    model: str = "nano",
    policies: Sequence[str] = (),
    device: str | None = None,
    random_weights: bool = False,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
    arithmetic: Arithmetic = PLAIN,
) -> TrackSpeeds:
    """Track the same generated video with every policy and with stock SAM 2, in turns of 20 frames.

    Stock SAM 2 gets its images decoded, resized and loaded beforehand, and that time is not counted; ours resizes each
    frame within the time measured. As `sam2rl track` does, ours encodes a frame while it tracks the one before, but
    only within its turn: nothing is ready when a turn begins.

    Growth of memory and the cost of late frames are measured in a process of its own
    for each; memory is the device's for CUDA, and the resident memory of the process otherwise.

    Args:
        cases: By default `DEFAULT_CASES`.
        model: As `load_model` takes it.
        policies: To measure on every case; by default `REFERENCE_POLICY`. Without cases, all `POLICIES` on the
            first.
        device: Where the model runs; None = the best there is.
        random_weights: Build a named hub model with random weights: its speed without its download.
        seed: Of the generated video, and of random weights.
        report: Is called with one line of text per step.
        arithmetic: What our trackers compute in; stock SAM 2 computes in float32, uncompiled.

    Raises:
        Sam2rlError: See `measured_model`; or a policy is unknown.
    """
    loaded = measured_model(model, device, random_weights, seed)
    plan = [(case, list(dict.fromkeys(policies)) or [REFERENCE_POLICY]) for case in cases or DEFAULT_CASES]
    if not cases and not policies:
        plan[0] = (plan[0][0], list(POLICIES))
    lines = []
    for case, named in plan:
        title = f"{case.objects} object{'s' * (case.objects > 1)}, {case.frames} frames"
        report(f"{title}: speed")
        times = _interleaved(loaded, dict.fromkeys([*named, REFERENCE_POLICY]), case, seed, arithmetic)
        stock = times[STOCK]
        endured = dict.fromkeys([*named, STOCK], _Endurance())
        if case.frames > 2 * SETTLED:
            for name in endured:
                report(f"{title}: memory, {name}")
                endured[name] = run_apart(_endure, name, model, device, random_weights, case, seed, arithmetic)
        lines += [
            TrackSpeed(
                policy=policy,
                objects=case.objects,
                frames=case.frames,
                fps=round(TURN / statistics.median(times[policy]), 2),
                stock_fps=round(TURN / statistics.median(stock), 2),
                ratio=round(_ratio(stock, times[policy]), 3),
                cost=round(_ratio(times[policy], times[REFERENCE_POLICY]), 3),
                growth_mb=endured[policy].growth_mb,
                stock_growth_mb=endured[STOCK].growth_mb,
                late_cost=endured[policy].late_cost,
                stock_late_cost=endured[STOCK].late_cost,
            )
            for policy in named
        ]
    return TrackSpeeds(tuple(lines), Provenance.of(loaded, arithmetic), seed)


def _interleaved(
    model: Model, policies: Iterable[str], case: Case, seed: int, arithmetic: Arithmetic
) -> dict[str, list[float]]:
    """Seconds per turn of every policy and of stock."""
    runs = {name: begin_tracking(name, model, case, seed, arithmetic) for name in policies}
    runs[STOCK] = begin_tracking(STOCK, model, case, seed)
    times = in_turns(list(runs.values()), case.frames // TURN, model.device)
    return {name: seconds[min(WARM_UP, len(seconds) - 1) :] for name, seconds in zip(runs, times, strict=True)}


@dataclass(frozen=True, eq=False)
class Run:
    """A video that is tracked some frames at a time.

    Attributes:
        frames: Tracks the next one when it is asked for it.
        threads: Within, there are as many CPU threads as it wants.
        admitted: Counts the frames that may be begun.
    """

    frames: Iterator[None]
    threads: Callable[[], AbstractContextManager[None]] = nullcontext
    admitted: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def advance(self, count: int) -> None:
        """Track the next frames."""
        for _ in range(count):
            self.admitted.release()
        with self.threads():
            for _ in islice(self.frames, count):
                pass


def in_turns(runs: Sequence[Run], turns: int, device: torch.device) -> list[list[float]]:
    """Seconds that each needs for its turns. Turns are short: a busy machine must slow all alike."""
    times: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for turn in range(turns):
            # Back and forth, so that a run's neighbour is not always the same and nothing favours the first.
            for which in range(len(runs)) if turn % 2 else reversed(range(len(runs))):
                wait(device)
                start = time.perf_counter()
                runs[which].advance(TURN)
                wait(device)
                times[which].append(time.perf_counter() - start)
    return times


def _endure(
    name: str,
    model_name: str,
    device: str | None,
    random_weights: bool,
    case: Case,
    seed: int,
    arithmetic: Arithmetic = PLAIN,
) -> _Endurance:
    model = measured_model(model_name, device, random_weights, seed)
    arithmetic = PLAIN if name == STOCK else arithmetic
    extra = 10 * TURN  # frames on which the costs are compared: past the end, in turns with a run at frame 200
    with torch.inference_mode():
        long = begin_tracking(name, model, Case(case.objects, case.frames + extra), seed, arithmetic)
        long.advance(SETTLED)
        settled = _memory_mb(model.device)
        long.advance(case.frames - 1 - SETTLED)
        growth = _memory_mb(model.device) - settled
        fresh = begin_tracking(name, model, Case(case.objects, SETTLED + extra + 1), seed, arithmetic)
        fresh.advance(SETTLED)
    late, early = in_turns([long, fresh], extra // TURN, model.device)
    return _Endurance(round(growth, 1), round(_ratio(late, early), 3))


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median over turns."""
    return statistics.median(n / d for n, d in zip(numerators, denominators, strict=True))


def generated_video(model: Model, case: Case, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Images of the model's size, uint8 [h, w, 3] each, and the objects' masks on the first, bool [objects, h, w]."""
    size = model.network.image_size
    scene = generate_scene(seed, frames=min(case.frames, 100), size=size, objects=case.objects)
    # Long videos run the scene forwards and backwards: motion stays continuous.
    there_and_back = [*range(len(scene.images)), *range(len(scene.images) - 2, 0, -1)]
    images = [scene.images[there_and_back[t % len(there_and_back)]] for t in range(case.frames)]
    masks = scene.labels[0] == np.arange(1, case.objects + 1)[:, None, None]
    return images, masks


def begin_tracking(name: str, model: Model, case: Case, seed: int = 0, arithmetic: Arithmetic = PLAIN) -> Run:
    """A generated video to be tracked.

    Args:
        name: A policy, or `STOCK`.
        arithmetic: Of either. Stock SAM 2 is compiled as by its own `vos_optimized`.
    """
    images, masks = generated_video(model, case, seed)
    if name == STOCK:
        return Run(_stock_frames(model, images, masks, arithmetic))
    tracker, admitted = Tracker(model, name, **asdict(arithmetic)), threading.Semaphore(0)
    return Run(_our_frames(tracker, images, masks, admitted), tracker.threads, admitted)


def _our_frames(
    tracker: Tracker, images: Sequence[np.ndarray], masks: np.ndarray, admitted: threading.Semaphore
) -> Iterator[None]:
    """Yields after every frame but the first."""
    ended = threading.Event()

    def ready() -> Iterator[np.ndarray]:
        for image in images[1:]:
            admitted.acquire()
            if ended.is_set():
                return
            tracker.encode_ahead(image)
            yield image

    tracker.initialize(images[0], masks)
    with read_ahead(ready()) as encoded:
        try:
            for image in encoded:
                tracker.track(image)
                yield
        finally:
            ended.set()
            for _ in range(DEPTH):
                admitted.release()


def _stock_frames(
    model: Model, images: Sequence[np.ndarray], masks: np.ndarray, arithmetic: Arithmetic
) -> Iterator[None]:
    """Yields after every frame but the first."""
    predictor = stock_predictor(model, arithmetic.compile)
    state = stock_state(model, predictor, images)

    def autocast() -> torch.autocast:
        return torch.autocast(model.device.type, torch.bfloat16, enabled=arithmetic.dtype == "bfloat16")

    with autocast():
        for index, mask in enumerate(masks):
            predictor.add_new_mask(state, 0, index + 1, mask)
        results = predictor.propagate_in_video(state)
        next(results)  # the prompted frame
    for _ in images[1:]:
        with autocast():  # not beyond the yield, where it would be others', too
            _, _, logits = next(results)
            (logits > 0).cpu()  # users want masks on the host, which ours hands out
        yield


def _memory_mb(device: torch.device) -> float:
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    give_freed_memory_back()
    return psutil.Process().memory_info().rss / 2**20
