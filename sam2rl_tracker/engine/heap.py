"""Freed memory is kept for the next step, instead of being handed back to the system and asked for again.

The GNU C library gives the free end of its heap back as soon as that is a few MB long. A step of the network frees and
takes as much. Where the end of the heap is what it frees, its pages are mapped and cleared anew in each step. That is a
matter of luck: some processes lost nothing by it, others a quarter of their time. See `docs/speed.md`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # `mallopt`'s, from malloc.h

_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")

KEPT = 256 << 20
"""Bytes that may be free at the heap's end before the system gets them back."""

_LARGEST = 32 << 20
"""Bytes from which on a block is mapped on its own: the most that `mallopt` takes."""


def keep_freed_memory() -> bool:
    """Have this process keep what it frees. Results do not depend on it.

    Returns:
        Whether it will: only with the GNU C library, and not where its own variables set a threshold.
    """
    if "_threshold" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = _of_the_c_library("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, KEPT))


def give_freed_memory_back() -> None:
    """Give the system back what is kept, so that the memory that it counts for this process is what is in use."""
    malloc_trim = _of_the_c_library("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_the_c_library(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
