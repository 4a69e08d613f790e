"""What an agent does after a frame: to the bank, and to the output of the next frame.

To the bank: discard the new memory, or put it in the place of a stored one. To the output: which of SAM 2's candidate
masks it is, and whether the object is said to be there. A `Space` says which of the two an agent decides, and how its
decisions are numbered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sam2rl_tracker.engine.types import MEMORY_SLOTS

CAPACITY = MEMORY_SLOTS - 1
"""Memories that the bank holds beside the prompted frame."""

DISCARD = 0
"""The action that keeps nothing; action k puts the new memory in place of the k-th oldest."""

OLDEST = 1
"""The action that puts the new memory in place of the oldest. While the bank is not full, all insert alike."""

KEEP = 0
"""The output that SAM 2 chooses itself: the candidate of the highest predicted IoU, if the object score is above 0."""

FLIP = 1
"""The same candidate where SAM 2 says that the object is absent, and no mask where it says that it is there.

Output k = 2 or 3 is the candidate of the k-th highest predicted IoU, whatever the object score.
"""

OUTPUTS = 4
"""`KEEP`, `FLIP` and the two candidates that are not SAM 2's choice: with three candidates, all there is to decide."""

CONTROLS = ("memory", "output", "both")
"""What an agent may decide: the memory (SAM2RL), the output under SAM 2's own memory, or both."""

POINTERS = ("stored", "recent")
"""Whose object pointers a frame attends to: those of the stored frames (SAM2RL), or of the last fifteen (SAM 2)."""

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Decision:
    """What is decided after a frame.

    Attributes:
        memory: `DISCARD`, or k = 1 to the capacity.
        output: Of the next frame: `KEEP`, `FLIP`, 2 or 3.
    """

    memory: int
    output: int


@dataclass(frozen=True)
class Space:
    """The actions of an agent, as numbers from 0 on.

    Attributes:
        control: One of `CONTROLS`. With "memory" an action is what happens to the memory, with "output" it is the
            output and the oldest memory is always replaced, with "both" it is `OUTPUTS` x memory + output.
        capacity: Memories beside the prompted frame, 1 to 6.
    """

    control: str = "memory"
    capacity: int = CAPACITY

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each part of a decision has: one part, or memory and output."""
        memory = (self.capacity + 1,) if self.control != "output" else ()
        return memory + ((OUTPUTS,) if self.decides_output else ())

    @property
    def size(self) -> int:
        """How many actions there are."""
        return math.prod(self.sizes)

    @property
    def decides_output(self) -> bool:
        return self.control != "memory"

    @property
    def sam2(self) -> int:
        """The action of SAM 2's own rule, if pointers are recent."""
        return self.action(Decision(OLDEST, KEEP))

    def decision(self, action: int) -> Decision:
        """What an action stands for."""
        if self.control == "memory":
            return Decision(action, KEEP)
        return Decision(OLDEST, action) if self.control == "output" else Decision(*divmod(action, OUTPUTS))

    def action(self, decision: Decision) -> int:
        """The action of a decision; what this space does not decide is left out."""
        if self.control == "memory":
            return decision.memory
        return decision.output if self.control == "output" else OUTPUTS * decision.memory + decision.output

    def parts(self, actions: np.ndarray) -> np.ndarray:
        """Actions [n] as their parts: [n] where there is one, [n, 2] where there are two."""
        return actions if len(self.sizes) == 1 else np.stack(np.divmod(actions, OUTPUTS), axis=-1)

    def join(self, parts: np.ndarray) -> np.ndarray:
        """Actions [n] of parts, [n] or [n, 2]; without n, too."""
        return parts if len(self.sizes) == 1 else OUTPUTS * parts[..., 0] + parts[..., 1]


def output_of(ious: np.ndarray, object_score: float, output: int) -> tuple[int, bool]:
    """Which candidate an output is, and whether the object is said to be there.

    Args:
        ious: [K] predicted IoUs. A network with fewer than three candidates gives its last one in place of others.
        object_score: A logit.
    """
    place = min(max(output - 1, 0), len(ious) - 1)
    visible = object_score > 0
    return int(np.argsort(-ious, kind="stable")[place]), {KEEP: visible, FLIP: not visible}.get(output, True)


def act(bank: tuple[_Entry, ...], entry: _Entry, action: int, capacity: int = CAPACITY) -> tuple[_Entry, ...]:
    """The bank after an action, oldest first.

    While the bank is not full, every action but `DISCARD` inserts into a free place.

    Args:
        bank: Oldest first.
        entry: Of the newest frame.
        action: Of the memory alone: see `Decision.memory`.
    """
    return bank if action == DISCARD else (*make_room(bank, action, capacity), entry)


def make_room(bank: tuple[_Entry, ...], action: int, capacity: int = CAPACITY) -> tuple[_Entry, ...]:
    """The bank, oldest first, with a free place for what an action puts into it; unchanged by `DISCARD`."""
    if action == DISCARD or len(bank) < capacity:
        return bank
    return (*bank[: action - 1], *bank[action:])
