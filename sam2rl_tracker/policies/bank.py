"""The memory rule that an agent controls: after every frame, discard it or put it in the place of a stored one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, make_room
from sam2rl_tracker.engine.types import MAX_POINTERS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.base import Encoding, Outcome, Policy, Start
from sam2rl_tracker.policies.recency import ranked


def bank_selection(
    prompted: FrameRecord,
    bank: Sequence[FrameRecord],
    t: int,
    pointer_span: int,
    pointers: bool | Sequence[FrameRecord] = True,
) -> MemorySelection:
    """What frame t attends to under a bank: its memories by rank, and pointers, the prompted frame's first.

    Args:
        bank: Oldest first.
        pointers: Those of which frames, newest first; True = of the stored ones, False = none at all.
    """
    newest_first = bank[::-1]
    if pointers is True:
        pointers = newest_first
    pointed = () if pointers is False else (prompted, *pointers)
    return MemorySelection(
        ranked([prompted], newest_first), tuple((record, t - record.frame) for record in pointed), pointer_span
    )


@dataclass
class BankPolicy(Policy):
    """A policy that controls the bank by one action a frame; subclasses say which.

    Source: SAM2RL (Adamyan et al., arXiv:2507.08548). Pointers are those of the stored frames, so that (frame, bank) is
    the whole state.
    """

    capacity = CAPACITY  # no parameter: an agent brings its own
    recent_pointers = False  # likewise: whether pointers are those of the last frames, as in SAM 2

    def begin(self, start: Start) -> None:
        self._prompted = start.record
        self._bank: tuple[FrameRecord, ...] = ()  # oldest first
        self._last: tuple[FrameRecord, ...] = ()  # of the last frames, newest first, where pointers are theirs
        super().begin(start)

    @abstractmethod
    def decide(self, t: int, bank: Sequence[int]) -> int:
        """The action after frame t: `DISCARD`, or k = 1 to the capacity.

        Args:
            bank: The stored frames' indices, oldest first, without the prompted frame.
        """

    def select(self, t: int) -> list[MemorySelection]:
        pointers = self._last[: self.pointer_span - 1] if self.recent_pointers else True
        return [bank_selection(self._prompted, self._bank, t, self.pointer_span, pointers)]

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        action = self.decide(t, [record.frame for record in self._bank])
        self._bank = make_room(self._bank, action, self.capacity)
        return [Encoding.NONE if action == DISCARD else Encoding.SOFT]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t > 0 and record.memory is not None:
            self._bank = (*self._bank, record)
        if t > 0 and self.recent_pointers:
            self._last = (record, *self._last)[: MAX_POINTERS - 1]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._bank, *self._last}
