"""What products of matrices take by the library that PyTorch takes, and by oneDNN with packed weights.

python docs/products.py    some products of nano and of SAM 2.1, and attention to a full bank

Processor time of one thread, medians of ways that take turns. Prints one JSON document.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.engine import lean, one_thread
from sam2rl_tracker.engine.packed import PackedLinear

PRODUCTS = ((64, 96, 384), (512, 96, 384), (2048, 96, 384), (1024, 256, 2048))  # rows, in, out
BANKS = ((64, 469, 96, 32), (1024, 7232, 256, 64), (4096, 28736, 256, 64))  # queries, keys, their width, values'


@one_thread()
@torch.inference_mode()
def main() -> None:
    torch.manual_seed(0)
    lines = [_product(*shape) for shape in PRODUCTS]
    print(json.dumps({"products": lines, "attention": [_attention(*shape) for shape in BANKS]}, indent=2))


def _product(rows: int, inner: int, outer: int) -> dict[str, float]:
    x, weight, bias = torch.randn(rows, inner), torch.randn(outer, inner), torch.randn(outer)
    packed = PackedLinear(weight, bias)
    plain, other = _medians(lambda: F.linear(x, weight, bias), lambda: packed(x), repeats=101)
    gflop = 2e-9 * rows * inner * outer
    return {"rows": rows, "in": inner, "out": outer, "plain": round(gflop / plain), "packed": round(gflop / other)}


def _attention(tokens: int, keys: int, width: int, depth: int) -> dict[str, float]:
    q, k, values = torch.randn(1, tokens, width), torch.randn(1, keys, width), torch.randn(1, keys, depth)
    plain, packed = _medians(_at_once(q, k, values, 1 << 60), _at_once(q, k, values, 0), repeats=5)
    return {"queries": tokens, "keys": keys, "plain_ms": round(1e3 * plain, 2), "packed_ms": round(1e3 * packed, 2)}


def _at_once(q: Tensor, k: Tensor, values: Tensor, large: int) -> Callable[[], object]:
    def run() -> Tensor:
        lean._LARGE = large
        return lean.attend(q, k, values, None)

    return run


def _medians(*ways: Callable[[], object], repeats: int) -> list[float]:
    """Seconds; the first two turns warm up."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats + 2):
        for way, taken in zip(ways, times, strict=True):
            start = time.process_time()
            way()
            taken.append(time.process_time() - start)
    return [statistics.median(taken[2:]) for taken in times]


if __name__ == "__main__":
    main()
