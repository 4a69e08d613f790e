"""Curves over simulated steps: of trainings and of searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam2rl_tracker.evaluation.methods import AGENTS, SEARCHES

Curve = Sequence[tuple[float, float]]
"""(simulated steps, value) with ascending steps."""


@dataclass(frozen=True)
class Training:
    """The curves of one training.

    Attributes:
        subject: The sequence and the object, as its folder names them: SEQUENCE_OBJECT.
        seed: Of the training.
        columns: {column of its progress.csv: a value per iteration}.
        settings: What its settings.json holds, the number of iterations included.
    """

    subject: str
    seed: int
    columns: dict[str, list[float]]
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        sequence, _, object_id = self.subject.rpartition("_")
        return f"{sequence}, object {object_id}, seed {self.seed}"

    def curve(self, column: str) -> list[tuple[float, float]]:
        """A column over the simulated steps."""
        return list(zip(self.columns["steps"], self.columns[column], strict=True))


@dataclass(frozen=True)
class Search:
    """What searches found on one object.

    Attributes:
        subject: The sequence and the object, as in `Training`.
        sam2: Quality of SAM 2's own rule.
        curves: {search: best quality so far}.
    """

    subject: str
    sam2: float
    curves: dict[str, list[tuple[float, float]]]


def mean_curve(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """Mean of curves of what was best so far, from where all of them have begun."""
    begin = max(curve[0][0] for curve in curves)
    grid = sorted({begin, *(steps for curve in curves for steps, _ in curve if steps > begin)})
    total = np.zeros(len(grid))
    for curve in curves:
        steps, values = (np.array(column) for column in zip(*curve, strict=True))
        total += np.maximum.accumulate(values)[np.searchsorted(steps, grid, side="right") - 1]
    return list(zip(grid, (total / len(curves)).tolist(), strict=True))


def interpolated_mean(curves: Sequence[Curve], points: int = 100) -> list[tuple[float, float]]:
    """Mean of several curves over different steps, where all of them are there; empty where they are nowhere so."""
    begin, end = max(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)
    if len(curves) < 2 or begin >= end:
        return []
    grid = np.linspace(begin, end, points)
    lines = [np.array(curve, dtype=np.float64).T for curve in curves]  # [2, iterations] each
    mean = np.mean([np.interp(grid, steps, values) for steps, values in lines], axis=0)
    return list(zip(grid.tolist(), mean.tolist(), strict=True))


def search_gains(searches: Sequence[Search], trainings: Sequence[Training]) -> dict[str, list[tuple[float, float]]]:
    """{method: mean gain over SAM 2 of the best found so far}, of the searches and of the agents.

    All curves are of the same objects: where some were both searched and trained on, only those count. Of an object's
    trainings the one with the lowest seed counts. Empty where no search was made on all of the objects.
    """
    searched = {one.subject: one for one in searches}
    trained = {one.subject: one for one in sorted(trainings, key=lambda one: -one.seed)}
    trained = {key: one for key, one in trained.items() if one.columns.keys() >= {"best_greedy", "sam2"}}
    both = [key for key in searched if key in trained]
    subjects = both or list(searched)
    lines: dict[str, list[list[tuple[float, float]]]] = {}
    for name in SEARCHES:
        if subjects and all(name in searched[key].curves for key in subjects):
            lines[name] = [
                [(steps, value - searched[key].sam2) for steps, value in searched[key].curves[name]] for key in subjects
            ]
    if not lines:
        return {}
    if both:
        lines[AGENTS] = []
        for one in (trained[key] for key in both):
            gains = zip(one.curve("best_greedy"), one.columns["sam2"], strict=True)
            lines[AGENTS].append([(steps, best - sam2) for (steps, best), sam2 in gains])
    return {name: mean_curve(curves) for name, curves in lines.items()}
