"""The results of trackers on the sequences of a workspace: measures, differences to the baseline, their parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.fallbacks import Fallbacks
from sam2rl_tracker.evaluation.intervals import bootstrap_interval
from sam2rl_tracker.evaluation.measures import MEASURES, Measures
from sam2rl_tracker.evaluation.methods import REFERENCE
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.evaluation.tracks import ObjectTracks

ROUNDING = 1e-6
"""Differences below are of rounding: the order in which frames were summed."""


@dataclass(frozen=True)
class Difference:
    """A tracker's mean difference to the baseline over sequences, in one measure.

    Attributes:
        mean: As a fraction; above 0 where the tracker's measure is higher.
        interval: 95 % bootstrap interval of the mean; None where one sequence gives none.
        count: Sequences for which the measure is defined.
    """

    mean: float
    interval: tuple[float, float] | None
    count: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > ROUNDING or self.interval[1] < -ROUNDING)


@dataclass(frozen=True)
class Parts:
    """The difference in quality between two trackers, in exact parts.

    Attributes:
        held: What the frames contribute on which the object is visible and only one of the two holds it (IoU > 0).
        masks: What the frames contribute on which both hold it.
        absent: What the frames without the object contribute.
    """

    held: float
    masks: float
    absent: float


@dataclass(frozen=True)
class Results:
    """What trackers did in a workspace.

    Attributes:
        trackers: Those with complete results, the baseline first.
        overall: {tracker: measures over all sequences}.
        by_sequence: {sequence: {tracker: measures}}, of the sequences that are scored.
        objects: Every object that is scored of every sequence.
        trained: The trackers that saw the ground truth they are scored on.
        disagreements: Where our own measures are not the toolkit's, in words.
        not_scored: What is left out for want of truth.
        namesakes: The trackers that have the name of one of ours and run something else.
        controls: {tracker: what its agents decide}, where that is more than the memory.
        fallbacks: {tracker: how many of its agents fell back to SAM 2's rule}.
    """

    trackers: tuple[str, ...]
    overall: dict[str, Measures]
    by_sequence: dict[str, dict[str, Measures]]
    objects: list[ObjectTracks]
    trained: frozenset[str]
    disagreements: list[str]
    not_scored: list[NotScored] = field(default_factory=list)
    namesakes: frozenset[str] = frozenset()
    controls: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, Fallbacks] = field(default_factory=dict)

    @property
    def base(self) -> str | None:
        """The tracker that the others are compared with, where it is there."""
        return REFERENCE if REFERENCE in self.trackers else None

    def gains(self, tracker: str, measure: str = "quality") -> dict[str, float]:
        """{sequence: difference to the baseline}, where the measure is defined for both."""
        pairs = {
            name: (getattr(row[tracker], measure), getattr(row[REFERENCE], measure))
            for name, row in self.by_sequence.items()
        }
        return {name: ours - theirs for name, (ours, theirs) in pairs.items() if None not in (ours, theirs)}

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """{tracker: {measure: difference to the baseline}}; empty without the baseline."""
        table: dict[str, dict[str, Difference]] = {}
        for tracker in self.trackers if self.base else ():
            table[tracker] = {}
            for name in MEASURES:
                values = list(self.gains(tracker, name).values())
                if tracker != REFERENCE and values:
                    interval = bootstrap_interval(values) if len(values) > 1 else None
                    table[tracker][name] = Difference(float(np.mean(values)), interval, len(values))
        return table

    def interval(self, tracker: str, measure: str) -> tuple[float, float] | None:
        """95 % bootstrap interval of a tracker's mean over the sequences; None where fewer than two define it."""
        values = [getattr(row[tracker], measure) for row in self.by_sequence.values()]
        defined = [value for value in values if value is not None]
        return bootstrap_interval(defined) if len(defined) > 1 else None

    def decompose(self, tracker: str, base: str) -> Parts:
        """Where the difference in quality between two trackers comes from."""
        parts = np.zeros(3)
        for one in self.objects:
            siblings = sum(other.sequence == one.sequence for other in self.objects)
            weight = len(self.by_sequence) * siblings * max(1, one.scored.sum())
            ours, theirs = one.tracks[tracker].overlaps, one.tracks[base].overlaps
            gain = np.where(one.scored, ours - theirs, 0)
            both = (ours > 0) & (theirs > 0)
            for part, flags in enumerate((one.visible & ~both, one.visible & both, ~one.visible)):
                parts[part] += gain[flags].sum() / weight
        return Parts(*parts.tolist())

    def success(self, tracker: str, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of scored frames with an overlap above each threshold, [thresholds].

        Averaged over the objects of a sequence, then over sequences, as quality is: it is the area under this curve.
        """
        curves = []
        for name in self.by_sequence:
            shares = [
                (one.tracks[tracker].overlaps[one.scored][:, None] > thresholds).mean(axis=0)
                for one in self.objects
                if one.sequence == name and one.scored.any()
            ]
            curves.append(np.mean(shares, axis=0) if shares else np.zeros(len(thresholds)))
        return np.asarray(np.mean(curves, axis=0))
