"""Where the time of one simulated step goes, part by part: FLOPs, bytes, seconds, and the most that a part can yield.

python docs/profile_step.py                                                     nano, 8 and 32 rows
python docs/profile_step.py --model sam2.1_hiera_tiny --input-size 512 --rows 1     real sizes, random weights

Seconds are processor time of one thread, medians; on a GPU, wall time. Prints one JSON document. FLOPs are those of
products of matrices, convolutions and attention. Bytes are what all operations read and write, views left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sam2rl_tracker.engine import MEMORY_SLOTS, Engine, FixedShape, FrameRecord, one_thread
from sam2rl_tracker.experiments.timing import measured_model, wait
from sam2rl_tracker.policies.bank import bank_selection


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
    asked = parser.parse_args()
    model = measured_model(asked.model, asked.device, asked.model != "nano", input_size=asked.input_size)
    engine = Engine(model)
    lines = []
    for rows in asked.rows:
        parts = _parts(engine, rows)
        seconds = _medians(parts, asked.repeats, engine.device)
        step = sum(seconds[name] for name in parts if name != "encode the image")  # which is shared by all rows
        for name, run in parts.items():
            with FlopCounterMode(display=False) as flops:
                run()
            with torch.inference_mode(), _Bytes() as moved:
                run()
            share = None if name == "encode the image" else round(seconds[name] / step, 3)
            lines.append(
                {
                    "rows": rows,
                    "part": name,
                    "ms_per_row": round(1e3 * seconds[name] / rows, 3),
                    "mflop_per_row": round(flops.get_total_flops() / rows / 1e6, 1),
                    "mb_per_row": round(moved.total / rows / 2**20, 2),
                    "share_of_step": share,
                    "step_faster_at_most": None if share is None else round(1 / (1 - share), 2),
                }
            )
    print(json.dumps({"model": model.name, "input_size": engine.input_size, "parts": lines}, indent=2))


def _parts(engine: Engine, rows: int) -> dict[str, Callable[[], object]]:
    """What a step under a full bank consists of, in order, each on inputs that are ready."""
    size = engine.input_size
    image = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((1, size, size), dtype=bool)
    mask[:, size // 4 : size // 2, size // 4 : size // 2] = True
    features = engine.encode_image(image)
    prompted = engine.prompt_masks(features, mask)
    memory = engine.encode_memory(features, prompted, [True])[0]
    records = [FrameRecord(frame, memory, prompted.pointers[0], 1.0, 10.0, 1) for frame in range(MEMORY_SLOTS)]
    selections = [bank_selection(records[0], records[1:], MEMORY_SLOTS, 16)] * rows
    shape = FixedShape(rows, MEMORY_SLOTS, MEMORY_SLOTS)
    with torch.inference_mode():
        maps = engine._condition(features, selections, shape)
        candidates = engine._decode(maps, features, [None] * rows)
        every = torch.arange(rows, device=engine.device)
        chosen = engine.choose(candidates, every, candidates.ious.argmax(dim=1), candidates.object_scores > 0)
    return {
        "encode the image": lambda: engine.encode_image(image),
        "attend to the bank": torch.inference_mode()(lambda: engine._condition(features, selections, shape)),
        "decode masks": torch.inference_mode()(lambda: engine._decode(maps, features, [None] * rows)),
        "choose": lambda: engine.choose(candidates, every, every % 3, candidates.object_scores > 0),
        "encode the memory": lambda: engine.encode_memory(features, chosen, [False] * rows),
    }


def _medians(parts: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, float]:
    """Seconds of each part; the parts take turns, and the first two turns warm up."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats + 2):
        for name, run in parts.items():
            wait(device)
            start = clock()
            run()
            wait(device)
            times[name].append(clock() - start)
    return {name: statistics.median(each[2:]) for name, each in times.items()}


if __name__ == "__main__":
    main()
