"""How many CPU threads a computation gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 256
"""Side in pixels of images up to which operations are too short to be shared between threads."""


def suits_one_thread(device: torch.device, input_size: int) -> bool:
    """Whether a model is so small that one CPU thread does as much as two.

    Two take as long on an idle machine, and many times as long where others work: each operation waits for both.
    """
    return device.type == "cpu" and input_size <= SMALL


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread inside. More of them would split sums, which changes last bits, and small batches gain little.

    Also a decorator: `@one_thread()`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
