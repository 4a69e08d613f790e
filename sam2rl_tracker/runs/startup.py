"""How long a process takes to begin and to end, which counts where each does little: PyTorch is large."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Within, modules and a model are loaded that stay to the end: nobody looks for garbage in them, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end_quickly() -> None:
    """Let this process end without a last look for garbage, which takes half a second of processor time."""
    atexit.register(gc.freeze)
