"""The steps of batched mode as compiled code, by `torch.compile`.

A step is compiled for each shape of its arguments when that first comes, and never with other shapes in mind: such code
is the same in every process, and so are its bits. What was compiled is kept on disk for later processes.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

SHAPES = 6
"""Shapes of its arguments for which a step is compiled at most, in the order in which they come."""

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""PyTorch's own variable for the folder that keeps compiled code."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def cache_folder() -> Path:
    """Where compiled code is kept, if its user says nothing else: PyTorch's own place does not survive a restart."""
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "sam2rl_tracker" / "compiled"


class Compiler:
    """Compiles the steps of one engine. Where that fails, a warning says so once, and they run as they are."""

    def __init__(self) -> None:
        self._works = True
        os.environ.setdefault(CACHE_VARIABLE, str(cache_folder()))

    def compile(self, step: Callable[_P, _T]) -> Callable[_P, _T]:
        """A step that is compiled for the first `SHAPES` shapes of its arguments, and for others runs as it is.

        Args:
            step: It takes tensors, tuples of tensors and constants, by their places, and changes none of them.
        """
        # One thread compiles: helper processes would outlive the compilation, and hold the toolkit's pipes open.
        # Code is made without trying variants out: which one is fastest would depend on the moment.
        compiled = torch.compile(step, fullgraph=True, dynamic=False, options={"compile_threads": 1})
        known: set[object] = set()

        def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            shape = _shape(args)
            if not self._works or (shape not in known and len(known) == SHAPES):
                return step(*args, **kwargs)
            if shape not in known:
                step(*args, **kwargs)  # what it keeps for later is then there, and no part of the code
                known.add(shape)
            try:
                return compiled(*args, **kwargs)
            except Exception as error:  # whatever a compiler, a linker or a driver may say
                self._give_up(error)
                return step(*args, **kwargs)

        return run

    def _give_up(self, error: Exception) -> None:
        self._works = False
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        warnings.warn(
            f"The network runs uncompiled, because compiling it failed: {reason}.", RuntimeWarning, stacklevel=3
        )


def _shape(value: object) -> object:
    """What compiled code depends on: of tensors size, layout and type, and constants themselves."""
    if isinstance(value, Tensor):
        return (value.shape, value.stride(), value.dtype)
    return tuple(_shape(one) for one in value) if isinstance(value, tuple) else value
