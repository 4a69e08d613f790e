"""Curves over simulated steps, and their means."""

import pytest

from sam2rl_tracker.evaluation.curves import Search, Training, interpolated_mean, mean_curve, search_gains


def test_mean_curves_begin_where_all_have_begun():
    lines = [[(10, 0.0), (30, 0.2)], [(20, 0.0), (40, -0.1)]]  # what was found stays found
    assert mean_curve(lines) == [(20, 0.0), (30, pytest.approx(0.1)), (40, pytest.approx(0.1))]
    assert mean_curve([[(5, 0.5)]]) == [(5, 0.5)]


def test_the_mean_of_trainings_is_where_all_of_them_are():
    mean = interpolated_mean([[(0, 0.0), (20, 2.0)], [(10, 3.0), (30, 3.0)]], points=3)
    assert mean == [(10, pytest.approx(2)), (15, pytest.approx(2.25)), (20, pytest.approx(2.5))]
    assert interpolated_mean([[(0, 0.0), (20, 2.0)]]) == []
    assert interpolated_mean([[(0, 0.0), (5, 2.0)], [(5, 0.0), (9, 1.0)]]) == []


def test_searches_and_agents_are_compared_on_the_same_objects():
    curves = {"random": [(10, 0.5)], "greedy": [(5, 0.6)], "beam": [(20, 0.7)]}
    searches = [Search("a_1", 0.4, curves), Search("b_1", 0.1, {**curves, "beam": [(20, 0.9)]})]
    columns = {"steps": [8, 16], "best_greedy": [0.5, 0.6], "sam2": [0.4, 0.4]}
    trainings = [Training("a_1", seed, {**columns, "best_greedy": [0.5, 0.6 + seed]}, {}) for seed in (1, 0)]
    gains = search_gains(searches, trainings)
    assert list(gains) == ["random", "greedy", "beam", "SAM2RL"]
    assert gains["beam"] == [(20, pytest.approx(0.3))]  # of the object that was trained on, too
    assert gains["SAM2RL"] == [(8, pytest.approx(0.1)), (16, pytest.approx(0.2))]  # of the first seed
    assert search_gains(searches, [])["beam"] == [(20, pytest.approx(0.55))]
    assert search_gains([], trainings) == {}
