"""Where the time goes, part by part: FLOPs, bytes, seconds, and the most that a part can yield.

python docs/profile_step.py                                                     nano, a simulated step of 8 and 32 rows
python docs/profile_step.py --model sam2.1_hiera_tiny --input-size 512 --rows 1     real sizes, random weights
python docs/profile_step.py --tracked --video-size 480x854                      nano, a tracked frame of one object

Seconds are processor time of one thread, medians of parts that take turns; on a GPU, wall time. Prints one JSON
document. FLOPs are those of products of matrices, convolutions and attention. Bytes are what all operations read and
write, views left out. `ceiling_gflops` is what a product of large matrices reached in the same turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import (
    MEMORY_SLOTS,
    Arithmetic,
    Candidates,
    Chosen,
    Engine,
    Features,
    FixedShape,
    FrameRecord,
    MemorySelection,
    one_thread,
)
from sam2rl_tracker.engine.packed import product
from sam2rl_tracker.experiments.timing import count_flops, measured_model, wait
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.policies.bank import bank_selection
from sam2rl_tracker.runs.provenance import Provenance

WARM_UP = 1  # turns
MATRICES = "product of matrices"
SHARED = "encode the image"  # once for all rows of a simulation: not of its steps
WHOLE = "the whole frame"
BESIDE = "write the mask's file"  # in a thread of its own: not of the frame
Parts = dict[str, Callable[[], object]]


class _Bytes(TorchDispatchMode):
    """Counts what operations read and write."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = [*tree_leaves((args, kwargs)), *tree_leaves(out)]
            self.total += sum(one.nbytes for one in leaves if isinstance(one, Tensor))
        return out


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device")
    parser.add_argument("--dtype", default="float32", help="or bfloat16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tracked", action="store_true", help="a tracked frame of one object instead")
    parser.add_argument("--video-size", default="480x854", help="HEIGHTxWIDTH of the frame that is tracked")
    asked = parser.parse_args()
    model = measured_model(asked.model, asked.device, asked.model != "nano", input_size=asked.input_size)
    arithmetic = Arithmetic(asked.dtype, asked.compile)
    engine = arithmetic.engine(model)
    height, width = (int(side) for side in asked.video_size.split("x"))
    size = (height, width) if asked.tracked else (engine.input_size, engine.input_size)
    moment = _Moment.of(engine, size)
    lines, ceilings = [], []
    with TemporaryDirectory() as folder:
        for rows in [1] if asked.tracked else asked.rows:
            parts = _frame(moment, Path(folder)) if asked.tracked else _step(moment, rows)
            seconds = _medians({**parts, MATRICES: _product(engine.device)}, asked.repeats, engine.device)
            ceilings.append(2 * _side(engine.device) ** 3 / seconds.pop(MATRICES) / 1e9)
            lines += _lines(parts, seconds, rows, WHOLE if asked.tracked else None)
    document = {
        "profile": lines,
        "ceiling_gflops": round(statistics.median(ceilings), 1),
        "settings": {
            **Provenance.of(model, arithmetic).as_json(0),
            "input_size": engine.input_size,
            "video_size": list(size),
            "random_weights": asked.model != "nano",
            "repeats": asked.repeats,
        },
    }
    print(json.dumps(document, indent=2))


def _lines(parts: Parts, seconds: dict[str, float], rows: int, whole: str | None) -> list[dict[str, Any]]:
    """What was measured of each part, for a row."""
    step = seconds[whole] if whole else sum(seconds[name] for name in parts if name != SHARED)
    lines = []
    for name, run in parts.items():
        flops = count_flops(run)
        with torch.inference_mode(), _Bytes() as moved:
            run()
        apart = name == (BESIDE if whole else SHARED)
        share = None if apart else seconds[name] / step
        lines.append(
            {
                "rows": rows,
                "part": name,
                "ms_per_row": round(1e3 * seconds[name] / rows, 3),
                "mflop_per_row": round(flops / rows / 1e6, 1),
                "mb_per_row": round(moved.total / rows / 2**20, 2),
                "share": None if share is None else round(share, 3),
                "faster_at_most": None if share is None or name == whole else round(1 / max(1 - share, 0.01), 2),
            }
        )
    return lines


# ------------------------------------------------------------------------------------------- what is measured


@dataclass(frozen=True)
class _Moment:
    """An image, and an object's full bank before it.

    Attributes:
        image: uint8 [height, width, 3].
        mask: bool [1, height, width], on the prompted frame.
    """

    engine: Engine
    image: np.ndarray
    mask: np.ndarray
    features: Features
    selection: MemorySelection

    @classmethod
    def of(cls, engine: Engine, size: tuple[int, int]) -> _Moment:
        height, width = size
        image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((1, height, width), dtype=bool)
        mask[:, height // 4 : height // 2, width // 4 : width // 2] = True
        features = engine.encode_image(image)
        prompted = engine.prompt_masks(features, mask)
        memory = engine.encode_memory(features, prompted, [True])[0]
        records = [FrameRecord(frame, memory, prompted.pointers[0], 1.0, 10.0, 1) for frame in range(MEMORY_SLOTS)]
        return cls(engine, image, mask, features, bank_selection(records[0], records[1:], MEMORY_SLOTS, 16))

    @torch.inference_mode()
    def attend(self, rows: int, shape: FixedShape | None) -> Tensor:
        return self.engine._condition(self.features, [self.selection] * rows, shape)

    @torch.inference_mode()
    def decode(self, maps: Tensor) -> Candidates:
        return self.engine._decode(maps, self.features, [None] * len(maps))

    def choose(self, candidates: Candidates) -> Chosen:
        every = torch.arange(len(candidates.ious), device=self.engine.device)
        return self.engine.choose(candidates, every, candidates.ious.argmax(dim=1), candidates.object_scores > 0)

    def encode_memory(self, chosen: Chosen) -> Tensor:
        return self.engine.encode_memory(self.features, chosen, [False] * len(chosen.logits))


def _step(moment: _Moment, rows: int) -> Parts:
    """What a simulated step under a full bank consists of, in order, each on inputs that are ready."""
    shape = FixedShape(rows, MEMORY_SLOTS, MEMORY_SLOTS)
    maps = moment.attend(rows, shape)
    candidates = moment.decode(maps)
    chosen = moment.choose(candidates)
    return {
        SHARED: lambda: moment.engine.encode_image(moment.image),
        "attend to the bank": lambda: moment.attend(rows, shape),
        "decode masks": lambda: moment.decode(maps),
        "choose": lambda: moment.choose(candidates),
        "encode the memory": lambda: moment.encode_memory(chosen),
    }


def _frame(moment: _Moment, folder: Path) -> Parts:
    """What tracking one object under a full bank does with a frame; the first part is all that `Tracker.track` does."""
    engine = moment.engine
    tracker = Tracker(engine.model)
    tracker.initialize(moment.image, moment.mask)
    noise = np.random.default_rng(1).integers(0, 255, (2 * MEMORY_SLOTS + 4, *moment.image.shape), dtype=np.uint8)
    for image in noise:  # until the bank and the pointers are full
        tracker.track(image)
    images = cycle(noise)
    resampled = engine.resample(moment.image)
    maps = moment.attend(1, None)
    candidates = moment.decode(maps)
    chosen = moment.choose(candidates)

    def draw() -> np.ndarray:
        logits = engine.video_logits(moment.choose(candidates).logits, moment.features.video_size)
        return (logits > 0).cpu().numpy()

    return {
        WHOLE: lambda: tracker.track(next(images)),
        "resample the image": lambda: engine.resample(moment.image),
        SHARED: lambda: engine.encode_image(moment.image, resampled),
        "attend to the bank": lambda: moment.attend(1, None),
        "decode masks": lambda: moment.decode(maps),
        "choose, and draw at the video's size": draw,
        "encode the memory": lambda: moment.encode_memory(chosen),
        BESIDE: lambda: write_index_mask(folder / "0.png", moment.mask[0]),
    }


# ---------------------------------------------------------------------------------------------------- the clock


def _product(device: torch.device) -> Callable[[], object]:
    a, b = torch.randn(2, _side(device), _side(device), device=device)
    multiply = product(b, None)  # by the library that the engine takes
    return torch.inference_mode()(lambda: multiply(a))


def _side(device: torch.device) -> int:
    return 8192 if device.type == "cuda" else 1024


def _medians(parts: Parts, repeats: int, device: torch.device) -> dict[str, float]:
    """Seconds of each part; the parts take turns, and the first turns warm up."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats + WARM_UP):
        for name, run in parts.items():
            wait(device)
            start = clock()
            run()
            wait(device)
            times[name].append(clock() - start)
    return {name: statistics.median(each[WARM_UP:]) for name, each in times.items()}


if __name__ == "__main__":
    main()
