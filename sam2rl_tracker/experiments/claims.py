"""What a benchmark's numbers amount to: mean differences with their intervals, and the claims made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.intervals import FEW, bootstrap_interval, bootstrap_ratio
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINES, BEST, HEURISTICS, REFERENCE, SEARCHES
from sam2rl_tracker.experiments.transfer import Transfer

FACTOR = 3  # the paper's claim: the agents gain so many times what the best heuristic gains
SHARE = 0.7  # of the best found by any method: what an agent should reach

Gains = NDArray[np.float64]  # [videos]: differences in Quality to SAM 2


class Spread(NamedTuple):
    """A mean over videos, and its 95 % bootstrap interval: None for fewer than `FEW` videos."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Beside:
    """The agents beside the best of some rules, by its mean gain on these videos.

    Attributes:
        best: Its name.
        gain: Its gain.
        times: The agents' gain over its, with an interval where the rule surely gains something. None where the rule
            gains nothing, as is `excess`: more than three times a loss would be no feat.
        excess: The agents' gain less `FACTOR` times the rule's.
    """

    best: str
    gain: Spread
    times: Spread | None
    excess: Spread | None


@dataclass(frozen=True)
class Claims:
    """What can be claimed of the agents.

    Attributes:
        videos: How many there are.
        searched: How many of them were searched.
        agent_gain: The agents' gain.
        searched_gain: The same over the videos that were searched.
        best_gain: That of the best found by any method, there.
        against: {search: the agents' gain less its}, there.
        share_of_best: The agents' gain over the best found's, there; None where that gains nothing.
        share_wanted: `SHARE`.
        share_excess: The agents' gain less `SHARE` of the best found's, there.
        times_wanted: `FACTOR`.
        heuristics: The agents beside the best heuristic; None where there is none.
        baselines: The agents beside the best baseline; None where there is none.
    """

    videos: int
    searched: int
    agent_gain: Spread
    searched_gain: Spread
    best_gain: Spread
    against: dict[str, Spread]
    share_of_best: float | None
    share_wanted: float
    share_excess: Spread
    times_wanted: int
    heuristics: Beside | None
    baselines: Beside | None

    def as_json(self) -> dict[str, Any]:
        """As a benchmark's document holds it."""
        return {("controls" if name == "baselines" else name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Survival:
    """How much of the agents' gain is left on changed videos.

    Attributes:
        what: How they were changed.
        sam2: Mean quality of SAM 2's own rule.
        agent: That of the agents.
        gain: Mean difference.
        low: Of its interval; see `Spread`.
        high: Of its interval.
        kept: The gain over that on the unchanged videos; None where that may be nothing.
    """

    what: str
    sam2: float
    agent: float
    gain: float
    low: float | None
    high: float | None
    kept: float | None


def judge(gains: Mapping[str, Gains]) -> Claims:
    """The agents against the best heuristic on these videos, the searches, and the best found by any method.

    Args:
        gains: {method: a gain per video}. Those of searches and of the best found may end before the others: only the
            first videos were searched.
    """
    agent, best = gains[AGENTS], gains[BEST]
    same = agent[: len(best)]
    return Claims(
        videos=len(agent),
        searched=len(best),
        agent_gain=spread(agent),
        searched_gain=spread(same),
        best_gain=spread(best),
        against={key: spread(same - gains[key]) for key in SEARCHES if key in gains},
        share_of_best=float(same.mean() / best.mean()) if best.mean() > 0 else None,
        share_wanted=SHARE,
        share_excess=spread(same - SHARE * best),
        times_wanted=FACTOR,
        heuristics=_beside(agent, {key: gains[key] for key in HEURISTICS if key in gains}),
        baselines=_beside(agent, {key: gains[key] for key in BASELINES if key in gains}),
    )


def _beside(agent: Gains, rules: Mapping[str, Gains]) -> Beside | None:
    if not rules:
        return None
    name = max(rules, key=lambda key: rules[key].mean())
    rule = rules[name]
    gains = bool(rule.mean() > 0)
    return Beside(
        best=name,
        gain=spread(rule),
        times=_times(agent, rule) if gains else None,
        excess=spread(agent - FACTOR * rule) if gains else None,
    )


def survival(variants: Mapping[str, str], moved: Mapping[str, Mapping[str, Transfer]]) -> dict[str, Survival]:
    """How much of the agents' gain is left on each variant of the videos.

    Args:
        variants: {name: what it is}, the unchanged video first.
        moved: {sequence: {variant: qualities on it}}.
    """
    table: dict[str, Survival] = {}
    original = None
    for variant, what in variants.items():
        rows = [result[variant] for result in moved.values()]
        gain = np.array([row.agent - row.sam2 for row in rows])
        mean, low, high = spread(gain)
        if original is None:  # the first variant; a share of what may be nothing would say nothing
            original = mean if low is not None and low > 0 else 0.0
        table[variant] = Survival(
            what=what,
            sam2=float(np.mean([row.sam2 for row in rows])),
            agent=float(np.mean([row.agent for row in rows])),
            gain=mean,
            low=low,
            high=high,
            kept=float(mean / original) if original else None,
        )
    return table


def difference(sequences: Mapping[str, Mapping[str, Mapping[str, float | None]]], key: str, name: str) -> Spread | None:
    """A tracker's difference to SAM 2 in a measure, over the videos where that is defined for both.

    Args:
        sequences: {sequence: {tracker: {measure: value}}}.
    """
    pairs = [(row[key][name], row[REFERENCE][name]) for row in sequences.values() if key in row]
    defined = np.array([mine - base for mine, base in pairs if mine is not None and base is not None])
    return spread(defined) if defined.size else None


def spread(values: Gains) -> Spread:
    """Of one value per video."""
    return Spread(float(values.mean()), *(bootstrap_interval(values) if len(values) >= FEW else (None, None)))


def _times(gains: Gains, others: Gains) -> Spread:
    """Ratio of the means, with an interval where the others surely gain something."""
    low = spread(others).low
    ends = bootstrap_ratio(gains, others) if low is not None and low > 0 else (None, None)
    return Spread(float(gains.mean() / others.mean()), *ends)
