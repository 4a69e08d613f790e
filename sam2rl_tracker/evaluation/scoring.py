"""What no measure counts, for want of truth: frames, objects and whole sequences, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sam2rl_tracker.evaluation.overlaps import Flags

_MOST_NAMED = 5
"""Sequences named in a sentence about many."""


@dataclass(frozen=True)
class NotScored:
    """A sequence, an object, or some frames of an object, without known truth.

    Attributes:
        sequence: The sequence's name.
        object_name: The object's name in the ground truth; None = every object of the sequence.
        reason: Why nothing can be measured there, as the second half of a sentence.
        frames: How many frames of an object that is scored on others; None = all of its frames.
    """

    sequence: str
    object_name: str | None
    reason: str
    frames: int | None = None

    def __str__(self) -> str:
        where = self.sequence if self.object_name is None else f"{self.sequence}, object {self.object_name}"
        return f"Not scored: {where}: {self.reason}."

    def as_json(self) -> dict[str, Any]:
        """{"sequence", "object" (null = all), "frames" (null = all), "reason"}."""
        name = self.object_name
        k = int(name) if name is not None and name.isdecimal() else name
        return {"sequence": self.sequence, "object": k, "frames": self.frames, "reason": self.reason}


def why_not_scored(known: Flags) -> str | None:
    """Why an object scores nothing, as the second half of a sentence; None where it scores.

    A tracker is given the object on the first frame of known truth: what it does shows on later frames alone.

    Args:
        known: bool [T], the frames on which the object's truth is known.
    """
    frames = known.nonzero()[0]
    if len(known) < 2:
        return "the video has one frame, on which the object is given"
    if not frames.size:
        return "its truth is known on no frame"
    if frames[0] == len(known) - 1:
        return "it is first given on the last frame"
    if frames.size == 1:
        return f"its truth is known only on frame {frames[0] + 1}, on which it is given"
    return None


def unknown_frames(known: Flags) -> int:
    """How many frames after the one on which an object is given have no known truth."""
    return int((~known[known.argmax() :]).sum())


def describe(items: Iterable[NotScored]) -> list[str]:
    """A line for every sequence and object that is not scored, and one for all frames, which may be many."""
    items = list(items)
    lines = [str(item) for item in items if item.frames is None]
    by_sequence: dict[str, int] = {}
    for item in items:
        if item.frames is not None:
            by_sequence[item.sequence] = by_sequence.get(item.sequence, 0) + item.frames
    if by_sequence:
        named = [f"{name} ({count})" for name, count in by_sequence.items()]
        more = f" and {len(named) - _MOST_NAMED} more sequences" if len(named) > _MOST_NAMED else ""
        total = sum(by_sequence.values())
        lines.append(
            f"Not scored: {total} frame{'s' * (total != 1)} of objects whose truth is unknown there: "
            f"{', '.join(named[:_MOST_NAMED])}{more}."
        )
    return lines
