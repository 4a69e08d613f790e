"""Rules that nobody would ship: what a memory policy must beat to have done something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sam2rl_tracker.agents.action import DISCARD, OLDEST
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.base import Start

_ATTENDS = "The prompted frame and the stored ones, seven in all; pointers of the same frames."


@dataclass
class Never(BankPolicy):
    """The prompted frame alone: nothing is ever added."""

    about: ClassVar[About] = About("never", Basis.OWN, "The prompted frame; its pointer.", "Nothing else.")

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return DISCARD


@dataclass
class Stride(BankPolicy):
    """Every n-th frame replaces the oldest: six memories that reach n times as far back as SAM 2's.

    Attributes:
        stride: Frames from one memory to the next, n. Higher values reach farther back, and leave the newest memory
            older.
    """

    stride: int = 5

    about: ClassVar[About] = About("stride", Basis.OWN, _ATTENDS, "Frames at multiples of stride: the six newest.")

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError("stride must be at least 1.")

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return OLDEST if t % self.stride == 0 else DISCARD


@dataclass
class Random(BankPolicy):
    """After every frame any action, all equally likely.

    Attributes:
        seed: Of the random actions. All objects get the same ones.
    """

    seed: int = 0

    about: ClassVar[About] = About(
        "random", Basis.OWN, _ATTENDS, "After every frame chance drops it or puts it in the place of a stored one."
    )

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("seed must be at least 0.")

    def begin(self, start: Start) -> None:
        self._actions = np.random.default_rng(self.seed)
        super().begin(start)

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return int(self._actions.integers(self.capacity + 1))
