"""`--shard 3/8`: which of the tasks are this machine's, where several run the same command on shared storage.

The tasks are dealt out in turns, before any of them is looked at: the shards are the same on every machine and at any
time, they have no task in common, and together they have all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sam2rl_tracker.errors import Sam2rlError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """A part of the tasks of a command.

    Attributes:
        number: Which, from 1.
        count: How many there are.
    """

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str | None) -> Shard:
        """What `--shard` says, such as 3/8; all tasks where it says nothing.

        Raises:
            Sam2rlError: It is none.
        """
        if text is None:
            return ALL
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        shard = cls(int(found[1]), int(found[2])) if found else cls(0)
        if not 1 <= shard.number <= shard.count:
            raise Sam2rlError(
                f"--shard {text} is no shard, expected NUMBER/COUNT from 1/COUNT to COUNT/COUNT: give --shard 1/8 on "
                "the first of eight machines."
            )
        return shard

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Every `count`th item, from the `number`th on: neighbours, which are often alike, go to different machines."""
        return list(items[self.number - 1 :: self.count])


ALL = Shard()
"""All tasks."""
