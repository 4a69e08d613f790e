"""What a benchmark's numbers amount to: mean differences with their intervals, and the claims made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.intervals import FEW, bootstrap_interval, bootstrap_ratio
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINE, BEST, CONTROLS, HEURISTICS, SEARCHES

FACTOR = 3  # the paper's claim: the agents gain so many times what the best heuristic gains
SHARE = 0.7  # of the best found by any method: what an agent should reach

Gains = NDArray[np.float64]  # [videos]: differences in Quality to SAM 2


def judge(gains: Mapping[str, Gains]) -> dict[str, Any]:
    """The agents against the best heuristic on these videos, the searches, and the best found by any method.

    Args:
        gains: those of searches and of the best found may end before the others: only the first videos were searched.

    Returns:
        videos; searched (how many of them were); agent_gain; and over the searched ones searched_gain (the agents'
        there), best_gain (the best found's), against: {search: the agents' gain less its}, share_of_best, share_excess
        (gain less `share_wanted` of the best found's); times_wanted; and heuristics and controls, each of them None
        where there is none, else {best, gain, times, excess} (see `_beside`). Gains, differences and excesses are
        [mean, low, high] over videos; low and high are None for fewer than `FEW` videos.
    """
    agent, best = gains[AGENTS], gains[BEST]
    same = agent[: len(best)]
    return {
        "videos": len(agent),
        "searched": len(best),
        "agent_gain": spread(agent),
        "searched_gain": spread(same),
        "best_gain": spread(best),
        "against": {key: spread(same - gains[key]) for key in SEARCHES if key in gains},
        "share_of_best": float(same.mean() / best.mean()) if best.mean() > 0 else None,
        "share_wanted": SHARE,
        "share_excess": spread(same - SHARE * best),
        "times_wanted": FACTOR,
        "heuristics": _beside(agent, {key: gains[key] for key in HEURISTICS if key in gains}),
        "controls": _beside(agent, {key: gains[key] for key in CONTROLS if key in gains}),
    }


def _beside(agent: Gains, rules: Mapping[str, Gains]) -> dict[str, Any] | None:
    """The agents beside the best of some rules, by its mean gain on these videos.

    Returns:
        best (its name), gain, times (the ratio of the agents' gain to it, and its interval's ends where the rule surely
        gains something), excess (the agents' gain less `FACTOR` times the rule's). The last two are None where the rule
        gains nothing: more than three times a loss would be no feat.
    """
    if not rules:
        return None
    name = max(rules, key=lambda key: rules[key].mean())
    rule = rules[name]
    gains = bool(rule.mean() > 0)
    return {
        "best": name,
        "gain": spread(rule),
        "times": _times(agent, rule) if gains else None,
        "excess": spread(agent - FACTOR * rule) if gains else None,
    }


def survival(variants: Mapping[str, str], moved: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How much of the agents' gain is left on changed videos: {variant: {what, sam2, agent, gain, low, high, kept}}.

    Args:
        variants: {name: what it is}, the unchanged video first.
        moved: {sequence: {variant: {sam2, agent}}}.
    """
    table: dict[str, Any] = {}
    original = None
    for variant, what in variants.items():
        rows = [result[variant] for result in moved.values()]
        gain = np.array([row["agent"] - row["sam2"] for row in rows])
        low, high = interval(gain)
        if original is None:  # the first variant; a share of what may be nothing would say nothing
            original = float(gain.mean()) if low is not None and low > 0 else 0.0
        table[variant] = {
            "what": what,
            "sam2": float(np.mean([row["sam2"] for row in rows])),
            "agent": float(np.mean([row["agent"] for row in rows])),
            "gain": float(gain.mean()),
            "low": low,
            "high": high,
            "kept": float(gain.mean() / original) if original else None,
        }
    return table


def difference(
    sequences: Mapping[str, Mapping[str, Mapping[str, float | None]]], key: str, name: str
) -> list[float | None] | None:
    """[mean, low, high] of a tracker's difference to SAM 2, over the videos where the measure is defined for both."""
    pairs = [(row[key][name], row[BASELINE][name]) for row in sequences.values() if key in row]
    defined = np.array([mine - base for mine, base in pairs if mine is not None and base is not None])
    return spread(defined) if defined.size else None


def spread(values: Gains) -> list[float | None]:
    """Mean over the videos, and its interval's ends."""
    return [float(values.mean()), *interval(values)]


def interval(values: Gains) -> tuple[float, float] | tuple[None, None]:
    return bootstrap_interval(values) if len(values) >= FEW else (None, None)


def _times(gains: Gains, others: Gains) -> list[float | None]:
    """Ratio of the means, and its interval's ends where the others surely gain something."""
    low = interval(others)[0]
    ends = bootstrap_ratio(gains, others) if low is not None and low > 0 else (None, None)
    return [float(gains.mean() / others.mean()), *ends]
