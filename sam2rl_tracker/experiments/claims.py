"""What a benchmark's numbers amount to: mean differences with their intervals, and the claims made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.benchmark import FACTOR, SHARE, Beside, Claims, Spread, Survival
from sam2rl_tracker.evaluation.intervals import FEW, bootstrap_interval, bootstrap_ratio
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINES, BEST, PUBLISHED, REFERENCE, SEARCHES
from sam2rl_tracker.experiments.transfer import Transfer

Gains = NDArray[np.float64]  # [videos]: differences in Quality to SAM 2


def judge(gains: Mapping[str, Gains]) -> Claims:
    """The agents against the best published rule on these videos, the searches, and the best found by any method.

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
        heuristics=_beside(agent, {key: gains[key] for key in PUBLISHED if key in gains}),
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
    if not moved:
        return table
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
