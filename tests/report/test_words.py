"""What the report says of the numbers."""

from dataclasses import replace

from sam2rl_tracker.evaluation.fallbacks import Fallbacks
from sam2rl_tracker.report.words import labelled, points, ranges, summarise


def test_the_summary_names_winner_place_and_reason(made):
    summary = summarise(made.results)
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
    rows = {name: dict(row) for name, row in made.results.by_sequence.items()}
    rows["one"]["Other"] = replace(rows["one"]["Other"], quality=rows["one"]["SAM2"].quality - 0.05)
    summary = summarise(replace(made.results, by_sequence=rows))
    assert ", no difference that these 2 sequences show; SAM2RL" in summary.headline
    said = dict(summary.points)
    assert said["How sure"].endswith("includes 0: no difference that these 2 sequences show.")


def test_what_rounds_to_nothing_has_no_sign():
    assert [points(value) for value in (0.0123, -0.0004, 0.0, -0.05)] == ["+1.2", "0.0", "0.0", "-5.0"]


def test_agents_that_decide_the_output_are_labelled_apart(made):
    results = replace(
        made.results,
        controls={"SAM2RL": "both"},
        fallbacks={"SAM2RL": Fallbacks(agents=3, fell_back=1, gain=0.4, gain_without=0.5)},
    )
    summary = summarise(results)
    assert "SAM2RL (control=both), trained on this truth, reaches 88.6 %" in summary.headline
    said = dict(summary.points)
    assert "no part of the paper's claim" in said["SAM2RL"]
    assert said["Agents"].startswith("SAM2RL: 1 of 3 agents fell back to SAM 2's own rule.")
    assert labelled("SAM2RL", {"SAM2RL"}, (), results.controls) == "SAM2RL (control=both) (trained on this truth)"


def test_ranges():
    assert ranges([0, 2, 3, 7, 8, 9, 11]) == "0, 2, 3, 7–9, 11"
    assert ranges([]) == ""
