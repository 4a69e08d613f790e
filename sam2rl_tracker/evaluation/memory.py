"""How trackers treat their memory banks, from the frames that each prediction attended to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.overlaps import Flags
from sam2rl_tracker.evaluation.tracks import ObjectTracks


@dataclass(frozen=True)
class MemoryUse:
    """How a tracker treats its bank, over all objects.

    Attributes:
        ages: int [memories]: of every memory attended to but the prompted frame's, in frames.
        unused: Share of frames whose memory no later frame attended to.
        turnover: Frames that come into the bank per predicted frame. Higher values: memories are replaced sooner.
        longest: The longest time a frame stayed, in frames.
        milliseconds: Median time of a frame in `vot evaluate`; None where it was not kept.
    """

    ages: NDArray[np.int64]
    unused: float
    turnover: float
    longest: int
    milliseconds: float | None

    @property
    def median(self) -> float:
        """Median age, in frames."""
        return float(np.median(self.ages))


def memory_use(objects: Sequence[ObjectTracks], tracker: str) -> MemoryUse | None:
    """What a tracker's results tell of its memory; None where they do not."""
    ages: list[int] = []
    unused: list[bool] = []
    seconds = []
    entered = predicted = longest = 0
    for one in objects:
        track = one.tracks[tracker]
        if track.seconds is not None:
            seconds.append(track.seconds[one.start + 1 :])  # the first frame loads the model
        if track.banks is None:
            continue
        before: set[int] = set()
        for t, bank in enumerate(track.banks):
            own = [t - frame for frame in bank if frame != one.start]
            ages += own
            longest = max([longest, *own])
            entered += len(set(bank) - before - {one.start})
            predicted += bool(bank)
            before = set(bank)
        unused += (~used_frames(track.banks, one.start))[one.start + 1 : -1].tolist()  # nothing follows the last frame
    if not ages:
        return None
    times = np.concatenate(seconds) if seconds else np.zeros(0)
    milliseconds = float(1000 * np.median(times)) if times.size else None
    share = float(np.mean(unused)) if unused else 0.0
    return MemoryUse(np.array(ages), share, entered / max(1, predicted), longest, milliseconds)


def used_frames(banks: Sequence[tuple[int, ...]], start: int) -> Flags:
    """bool [T], whether a frame's memory was ever attended to; those before the object is given count as not."""
    used = np.zeros(len(banks), dtype=bool)
    for bank in banks[start:]:
        used[list(bank)] = True
    return used
