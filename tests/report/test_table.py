"""The report of an evaluated workspace, and how it looks."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from sam2rl_tracker.evaluation.davis import MaskMeasures
from sam2rl_tracker.report.table import render, to_json
from sam2rl_tracker.vot.analysis import Analysis, Scores
from sam2rl_tracker.vot.collect import Report, collect
from sam2rl_tracker.vot.results import Failure


def text_of(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    render(report, console)
    return console.file.getvalue()


@pytest.mark.slow
def test_the_document_and_the_failures(evaluated):
    report = collect(evaluated.workspace.folder)
    document = json.loads(json.dumps(to_json(report)))
    assert document["trackers"]["Perfect"] == {"quality": 1.0, "accuracy": 1.0, "robustness": 1.0}
    assert set(document["sequences"]) == {"single", "several"}
    assert set(document["sequences"]["several"]["Mixed"]) == {"quality", "accuracy", "robustness"}
    text = text_of(report)
    assert "FAILED: Dies has no complete results on sequence single" in text
    assert "the memory bank caught fire" in text


def test_the_table_shows_differences_to_sam2():
    scores = {"SAM2": Scores(0.5, 0.6, 0.7), "Other": Scores(0.525, 0.6, 0.65), "Blind": Scores(1.0, 0.0, None)}
    report = Report(Analysis(scores, {"one": scores}), [], frozenset())
    lines = [line.replace("│", " ").split() for line in text_of(report).splitlines()]
    assert ["SAM2", "50.0", "60.0", "70.0"] in lines
    assert ["Other", "52.5", "(+2.5)", "60.0", "(+0.0)", "65.0", "(-5.0)"] in lines
    assert ["Blind", "100.0", "(+50.0)", "0.0", "(-60.0)", "-"] in lines


def test_many_trackers_are_shown_in_tables_that_fit():
    scores = {f"Tracker-{k}": Scores(k / 10, 0.5, 0.5) for k in range(9)}
    console = Console(file=io.StringIO(), width=80)
    render(Report(Analysis(scores, {"first": scores, "second": scores}), [], frozenset()), console)
    text = console.file.getvalue().partition("Quality by sequence")[2]
    assert "continued" in text
    assert all(text.count(name) == 1 for name in scores)
    assert all(f"{k * 10}.0" in text for k in range(9))


def test_the_title_of_one_of_ours_is_not_given_to_a_tracker_of_its_name():
    report = Report(Analysis({"SAM3": Scores(0.5, 0.6, 0.7)}, {}), [], frozenset())
    assert "memory rule" in text_of(report)
    assert "memory rule" not in text_of(replace(report, namesakes=frozenset({"SAM3"})))


def test_a_report_without_sam2_or_any_complete_tracker():
    report = Report(Analysis({"Other": Scores(0.5, 0.6, 0.7)}, {}), [], frozenset())
    assert "difference" not in text_of(report)
    failed = Report(Analysis({}, {}), [Failure("SAM2", "one", "it [died]")], frozenset())
    assert text_of(failed) == "FAILED: SAM2 has no complete results on sequence one: it [died]\n"
    said = "SAM2 has no complete results on sequence one: it [died]"
    assert to_json(failed) == {
        "trackers": {},
        "sequences": {},
        "made_with": {},
        "failures": {"SAM2": said},
        "not_scored": [],
    }


@pytest.mark.slow
def test_results_of_different_models_are_told(evaluated, nano):
    report = collect(evaluated.workspace.folder)
    (made,) = report.made_with["SAM2"]
    assert made.startswith(f"nano {nano.hash}, cpu, sam2rl_tracker ")
    assert f"Made with {made}\n" in text_of(report)
    assert "differences need not come from the rules" not in text_of(report)
    other = replace(report, made_with={"SAM2": [made], "Mixed": [made], "Perfect": ["tiny 0123"]})
    text = text_of(other)
    assert f"SAM2, Mixed: made with {made}\nPerfect: made with tiny 0123\n" in text
    assert "differences need not come from the rules" in text


def test_agents_that_have_seen_their_test_are_labelled():
    scores = {"SAM2": Scores(0.5, 0.6, 0.7), "SAM2RL": Scores(0.6, 0.6, 0.7)}
    report = Report(Analysis(scores, {"one": scores, "two": scores}), [], frozenset({"SAM2RL"}))
    text = text_of(replace(report, masks={name: MaskMeasures(0.5, 0.6) for name in scores}))
    assert text.count("SAM2RL *") == text.count("SAM2RL") == 3  # in every table
    assert "* trained on the ground truth that it is scored on" in text
