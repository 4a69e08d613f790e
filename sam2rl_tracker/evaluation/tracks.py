"""What trackers did on an object of a sequence, frame by frame, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.measures import Measures
from sam2rl_tracker.evaluation.overlaps import Flags, Overlaps

_BETTER = 0.2  # IoU by which a tracker must be ahead on a frame for the frame to explain something


@dataclass(frozen=True)
class Track:
    """What one tracker did on one object.

    Attributes:
        overlaps: float [T], nan where the truth is unknown.
        predicted: bool [T], whether the tracker gave a mask that is not empty.
        measures: Of this object.
        banks: Of every frame the frames whose memories its prediction attended to; None where the tracker does not
            tell.
        seconds: float [T], how long each frame took in `vot evaluate`; None where the toolkit did not keep it.
    """

    overlaps: Overlaps
    predicted: Flags
    measures: Measures
    banks: list[tuple[int, ...]] | None
    seconds: NDArray[np.float64] | None


@dataclass(frozen=True)
class ObjectTracks:
    """All trackers on one object of one sequence.

    Attributes:
        sequence: The sequence's name.
        object_id: The object's number in the ground truth.
        start: The frame on which the object is given, which is not scored if it is the first.
        visible: bool [T], whether the truth is known and not empty.
        known: bool [T], whether the truth is known.
        tracks: {tracker: what it did}.
    """

    sequence: str
    object_id: int
    start: int
    visible: Flags
    known: Flags
    tracks: dict[str, Track]

    @cached_property
    def scored(self) -> Flags:
        """bool [T], frames that count."""
        scored = self.known.copy()
        scored[0] = False
        return scored

    @property
    def spread(self) -> float:
        """Difference in quality between the best and the worst tracker."""
        values = [track.measures.quality for track in self.tracks.values()]
        return max(values) - min(values)


def worst_span(one: ObjectTracks, loser: str, winner: str) -> tuple[int, int] | None:
    """First and last of the frames in a row on which the loser falls behind most; None if it never does by much.

    It is the run with the largest sum of (IoU of the winner - IoU of the loser - 0.2).
    """
    excess = one.tracks[winner].overlaps - one.tracks[loser].overlaps - _BETTER
    best, found = 0.0, None
    total, begin = 0.0, 0
    for t, value in enumerate(np.where(one.scored, excess, 0.0)):
        if total <= 0:
            total, begin = 0.0, t
        total += float(value)
        if total > best:
            best, found = total, (begin, t)
    return found


def mean_overlaps(overlaps: Sequence[Overlaps]) -> Overlaps:
    """Mean over objects on every frame, [T]; objects of unknown truth are left out, nan where all are."""
    table = np.stack(overlaps)  # [objects, T]
    known = ~np.isnan(table)
    return np.where(known.any(axis=0), np.nansum(table, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def overlap_spread(overlaps: Sequence[Overlaps]) -> Overlaps:
    """How far several trackers are apart on every frame, [T]; nan where the truth is unknown."""
    return np.asarray(np.ptp(np.stack(overlaps), axis=0))
