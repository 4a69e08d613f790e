"""What the report reads from a workspace, and what it makes of it."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from sam2rl_tracker.evaluation.measures import mean_measures, measure_object
from sam2rl_tracker.report.figures import remember, success
from sam2rl_tracker.report.measured import NAMES, fate, mean_curve, measure
from sam2rl_tracker.report.palette import tracker_styles
from sam2rl_tracker.report.words import decompose, points, ranges, summarise, worst_span
from sam2rl_tracker.vot.toolkit import Scores


def test_measures_are_those_of_the_masks_and_of_the_toolkit(made):
    assert made.measured.disagreements == []
    assert made.measured.trackers == ("SAM2", "SAM2RL", "Other")
    for tracker, answers in made.answers.items():
        by_object = {}
        for one in made.measured.objects:
            key = one.sequence, one.object_id
            by_object[key] = measure_object(answers[key], made.truth[key])
            assert astuple(one.tracks[tracker].measures) == astuple(by_object[key])
        by_sequence = [
            mean_measures([found for key, found in by_object.items() if key[0] == name])
            for name in made.workspace.names()
        ]
        expected = astuple(mean_measures(by_sequence))
        assert astuple(made.measured.overall[tracker]) == pytest.approx(expected, abs=1e-6)


def test_a_disagreement_with_the_toolkit_is_told(made):
    analysis = made.report.analysis
    wrong = replace(analysis, trackers={**analysis.trackers, "Other": Scores(0.5, 0.5, None)})
    measured = measure(made.workspace.folder, replace(made.report, analysis=wrong))
    assert measured.overall["Other"].quality == 0.5  # what is shown is the toolkit's
    assert len(measured.disagreements) == 3
    assert "Other over all: quality is 0.5 by the toolkit and 0.72" in measured.disagreements[0]


def test_differences_are_means_over_sequences_with_intervals(made):
    differences = made.measured.differences["SAM2RL"]
    assert set(differences) == set(NAMES)
    overall = made.measured.overall
    for name in ("quality", "accuracy", "robustness", "nre", "dre"):
        gain = getattr(overall["SAM2RL"], name) - getattr(overall["SAM2"], name)
        assert differences[name].mean == pytest.approx(gain, abs=1e-6)
        low, high = differences[name].interval
        assert low - 1e-9 <= differences[name].mean <= high + 1e-9
    assert differences["adq"].interval is None  # one sequence only has absent frames enough
    assert made.measured.differences["SAM2"] == {}


def test_the_parts_of_a_difference_add_up(made):
    for tracker in ("SAM2RL", "Other"):
        parts = decompose(made.measured, tracker, "SAM2")
        assert sum(parts) == pytest.approx(made.measured.differences[tracker]["quality"].mean, abs=1e-6)
        assert parts[0] > 0  # SAM2 loses the objects


def test_the_summary_names_winner_place_and_reason(made):
    summary = summarise(made.measured)
    assert summary.headline == (
        "Other has the highest quality of those that have not seen the truth: 72.7 %, 23.9 points above SAM2's 48.8 %; "
        "SAM2RL, trained on this truth, reaches 88.6 %"
    )
    said = dict(summary.points)
    assert "2 sequences are too few" in said["How sure"]
    assert said["Largest loss"] == "None: on no sequence is it worse than SAM2."
    assert said["Largest gain"].endswith("of the +23.9 points.")
    assert "trained on the very ground truth" in said["SAM2RL"]
    assert "two&more, from SAM2's 43.5 % to 84.6 %. " in said["SAM2RL"]
    assert "SAM2 falls behind from frame 6 to 19" in said["SAM2RL"]
    assert "gives no mask on 3, marks something else on 6 of these 14 frames" in said["SAM2RL"]
    assert "At frame 6 SAM2 remembers frames 0, 3–5, SAM2RL frames 0, 4." in said["SAM2RL"]
    assert said["SAM2RL"].endswith("of the +39.9 points.")


def test_an_interval_around_zero_is_no_difference(made):
    difference = replace(made.measured.differences["Other"]["quality"], interval=(-0.01, 0.02))
    table = {**made.measured.differences, "Other": {"quality": difference}}
    summary = summarise(replace(made.measured, differences=table))
    assert ", no difference that these 2 sequences show; SAM2RL" in summary.headline
    said = dict(summary.points)
    assert said["How sure"].endswith("includes 0: no difference that these 2 sequences show.")


def test_spans_and_ranges(made):
    one = made.measured.objects[0]
    assert worst_span(one, "SAM2RL", "SAM2") is None
    assert worst_span(one, "SAM2", "SAM2RL") == (6, 19)
    assert ranges([0, 2, 3, 7, 8, 9, 11]) == "0, 2, 3, 7–9, 11"
    assert ranges([]) == ""


def test_the_quality_plot_encloses_the_quality(made):
    for tracker, mean in made.measured.overall.items():
        thresholds = (np.arange(10_000) + 0.5) / 10_000
        shares = [success(made.measured, tracker, name, thresholds) for name in made.workspace.names()]
        assert np.mean(shares) == pytest.approx(mean.quality, abs=1e-4)


def test_memories(made):
    assert fate([(), (0,), (0, 1), (0, 1)], 0).tolist() == [True, True, False, False]
    recent, agent = remember(made.measured, "SAM2"), remember(made.measured, "SAM2RL")
    assert recent.unused == 0
    assert agent.unused == pytest.approx(19 / 22)  # of frames 1 to 22 it remembers 4, 8 and 12
    assert recent.longest == 3
    assert agent.longest == 19
    assert recent.milliseconds == pytest.approx(20)


def test_what_rounds_to_nothing_has_no_sign():
    assert [points(value) for value in (0.0123, -0.0004, 0.0, -0.05)] == ["+1.2", "0.0", "0.0", "-5.0"]


def test_trackers_keep_their_colours():
    styles = tracker_styles(["Other", "SAM2", "SAM2RL", "Second"])
    assert styles["SAM2"] == tracker_styles(["SAM2"])["SAM2"]
    assert len({style.color for style in styles.values()}) == 4
    assert styles["SAM2RL"].color == "#d55e00"


def test_mean_curves_begin_where_all_have_begun():
    lines = [[(10, 0.0), (30, 0.2)], [(20, 0.0), (40, -0.1)]]  # what was found stays found
    assert mean_curve(lines) == [(20, 0.0), (30, pytest.approx(0.1)), (40, pytest.approx(0.1))]
    assert mean_curve([[(5, 0.5)]]) == [(5, 0.5)]
