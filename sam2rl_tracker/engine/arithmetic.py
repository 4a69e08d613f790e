"""How batched mode computes: in which numbers, and whether by compiled code. Exact mode has no such choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sam2rl_tracker.engine.engine import Engine
from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.errors import Sam2rlError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Arithmetic:
    """The two settings that change how fast batched mode computes, and what it computes, a little.

    Attributes:
        dtype: "float32", or "bfloat16", which is coarser and faster where the processor multiplies it natively.
        compile: Whether the network's steps are compiled first.

    Raises:
        Sam2rlError: There is no such dtype.
    """

    dtype: str = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise Sam2rlError(f"Dtype {self.dtype!r} is unknown: give one of {', '.join(DTYPES)}.")

    @classmethod
    def of(cls, engine: Engine) -> Arithmetic:
        """An engine's."""
        return cls(str(engine.dtype).removeprefix("torch."), engine.compiled)

    def engine(self, model: Model) -> Engine:
        """A batched engine that computes so."""
        return Engine(model, DTYPES[self.dtype], self.compile)


PLAIN = Arithmetic()
"""Exact mode's, and what everything was made with before there was a choice."""
