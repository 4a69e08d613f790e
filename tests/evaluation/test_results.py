"""Differences to the baseline, what they are made of, and the curve whose area is quality."""

import numpy as np
import pytest

from sam2rl_tracker.evaluation.measures import MEASURES


def test_differences_are_means_over_sequences_with_intervals(made):
    differences = made.results.differences["SAM2RL"]
    assert set(differences) == set(MEASURES)
    overall = made.results.overall
    for name in ("quality", "accuracy", "robustness", "nre", "dre"):
        gain = getattr(overall["SAM2RL"], name) - getattr(overall["SAM2"], name)
        assert differences[name].mean == pytest.approx(gain, abs=1e-6)
        low, high = differences[name].interval
        assert low - 1e-9 <= differences[name].mean <= high + 1e-9
    assert differences["adq"].interval is None  # one sequence only has absent frames enough
    assert made.results.differences["SAM2"] == {}


def test_the_parts_of_a_difference_add_up(made):
    for tracker in ("SAM2RL", "Other"):
        parts = made.results.decompose(tracker, "SAM2")
        assert parts.held + parts.masks + parts.absent == pytest.approx(
            made.results.differences[tracker]["quality"].mean, abs=1e-6
        )
        assert parts.held > 0  # SAM2 loses the objects


def test_the_quality_plot_encloses_the_quality(made):
    for tracker, mean in made.results.overall.items():
        thresholds = (np.arange(10_000) + 0.5) / 10_000
        assert made.results.success(tracker, thresholds).mean() == pytest.approx(mean.quality, abs=1e-4)
