"""Bootstrap intervals: of means, of ratios, and those that are published."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam2rl_tracker.evaluation.intervals import bootstrap_interval, bootstrap_ratio

PUBLISHED = Path(__file__).parents[2] / "docs" / "benchmark" / "default.json"


def test_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / 20  # what the normal approximation says
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)
    assert bootstrap_interval([0.3]) == pytest.approx((0.3, 0.3))
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])


def test_a_ratio_to_what_may_be_nothing_has_no_upper_end() -> None:
    values = np.full(20, 0.3)
    low, high = bootstrap_ratio(values, np.linspace(0.05, 0.25, 20))
    assert 1.5 < low < 2 < high < 3
    low, high = bootstrap_ratio(values, np.linspace(-0.2, 0.21, 20))  # draws with a loss count as infinitely many times
    assert 4 < low < 7
    assert high == np.inf


def test_one_video_has_no_spread() -> None:
    assert bootstrap_ratio(np.array([0.4]), np.array([0.2])) == (2, 2)
    assert bootstrap_ratio(np.array([0.4]), np.array([0.0])) == (np.inf, np.inf)
    with pytest.raises(ValueError, match="same shape"):
        bootstrap_ratio(np.ones(3), np.ones(2))


def test_published_intervals_do_not_move() -> None:
    document = json.loads(PUBLISHED.read_text())
    videos = document["videos"].values()
    gains = {
        key: np.array([row[key] - row["SAM2"] for row in videos if key in row])
        for key, method in document["methods"].items()
        if method["low"] is not None and key != "SAM2"
    }
    assert len(gains) > 8
    for key, gain in gains.items():
        published = document["methods"][key]["low"], document["methods"][key]["high"]
        assert bootstrap_interval(gain) == pytest.approx(published, abs=1e-15)
    rule = document["claims"]["heuristics"]
    _, low, high = rule["times"]
    assert bootstrap_ratio(gains["SAM2RL"], gains[rule["best"]]) == pytest.approx((low, high), abs=1e-12)
