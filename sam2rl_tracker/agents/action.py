"""What an agent does to the bank after a frame: discard the new memory, or put it in the place of a stored one."""

from __future__ import annotations

from typing import TypeVar

from sam2rl_tracker.engine.types import MEMORY_SLOTS

CAPACITY = MEMORY_SLOTS - 1
"""Memories that the bank holds beside the prompted frame."""

DISCARD = 0
"""The action that keeps nothing; action k puts the new memory in place of the k-th oldest."""

OLDEST = 1
"""The action that puts the new memory in place of the oldest. While the bank is not full, all insert alike."""

_Entry = TypeVar("_Entry")


def act(bank: tuple[_Entry, ...], entry: _Entry, action: int, capacity: int = CAPACITY) -> tuple[_Entry, ...]:
    """The bank after an action, oldest first.

    While the bank is not full, every action but `DISCARD` inserts into a free place.

    Args:
        bank: Oldest first.
        entry: Of the newest frame.
    """
    return bank if action == DISCARD else (*make_room(bank, action, capacity), entry)


def make_room(bank: tuple[_Entry, ...], action: int, capacity: int = CAPACITY) -> tuple[_Entry, ...]:
    """The bank, oldest first, with a free place for what an action puts into it; unchanged by `DISCARD`."""
    if action == DISCARD or len(bank) < capacity:
        return bank
    return (*bank[: action - 1], *bank[action:])
