"""Results read from a workspace and compared with the truth."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from sam2rl_tracker.evaluation.measures import mean_measures, measure_object
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.vot.analysis import Scores
from sam2rl_tracker.vot.regions import UNKNOWN, Region, encode
from sam2rl_tracker.vot.sequences import Sequence, read_sequence, stack_regions
from sam2rl_tracker.vot.tracks import compare_with_truth, read_answers, read_results


def test_measures_are_those_of_the_masks_and_of_the_toolkit(made):
    assert made.results.disagreements == []
    assert made.results.trackers == ("SAM2", "SAM2RL", "Other")
    for tracker, answers in made.answers.items():
        by_object = {}
        for one in made.results.objects:
            key = one.sequence, one.object_id
            by_object[key] = measure_object(answers[key], made.truth[key])
            assert astuple(one.tracks[tracker].measures) == astuple(by_object[key])
        by_sequence = [
            mean_measures([found for key, found in by_object.items() if key[0] == name])
            for name in made.workspace.names()
        ]
        expected = astuple(mean_measures(by_sequence))
        assert astuple(made.results.overall[tracker]) == pytest.approx(expected, abs=1e-6)


def test_a_disagreement_with_the_toolkit_is_told(made):
    analysis = made.report.analysis
    wrong = replace(analysis, trackers={**analysis.trackers, "Other": Scores(0.5, 0.5, None)})
    results = read_results(made.workspace.folder, replace(made.report, analysis=wrong))
    assert results.overall["Other"].quality == 0.5  # what is shown is the toolkit's
    assert len(results.disagreements) == 3
    assert "Other over all: quality is 0.5 by the toolkit and 0.72" in results.disagreements[0]


@pytest.mark.parametrize("seed", range(20))
def test_overlaps_are_those_of_whole_masks(seed):
    """Whatever the regions are: also empty, unknown, or partly outside of the image."""
    rng = np.random.default_rng(seed)
    length, size = 12, (20, 30)

    def region() -> Region | int:
        kind = rng.integers(6)
        if kind == 0:
            return UNKNOWN
        mask = rng.random((rng.integers(1, 9), rng.integers(1, 9))) < (0.7 if kind > 1 else 0)
        return replace(encode(mask), x=int(rng.integers(-6, 30)), y=int(rng.integers(-6, 20)))

    truth, found, ignored = ([region() for _ in range(length)] for _ in range(3))
    truth[0] = encode(np.ones((3, 3), dtype=bool))
    video = Sequence("video", [Path()] * length, size, {1: truth}, ignored)
    compared = compare_with_truth(found, video, 1)
    masks = stack_regions(found, size)
    expected = frame_overlaps(masks, video.masks(1), video.known(1), video.ignored_masks())
    np.testing.assert_array_equal(compared.overlaps, expected)
    np.testing.assert_array_equal(compared.predicted, masks.any(axis=(1, 2)))


def test_a_memory_is_an_earlier_frame(made):
    """Whatever the results of a tracker of another project hold."""
    values = made.workspace.folder / "results" / "Other" / "baseline" / "one" / "one_001_memory_frames.value"
    video = read_sequence(made.workspace.sequences / "one")
    text = values.read_text()
    try:
        values.write_text("nan\n0 1 5 99 -1\n")
        assert read_answers(made.workspace, "Other", video, 1).banks == [(), (0,)] + [()] * (len(video) - 2)
        values.write_text("what else\n")
        assert read_answers(made.workspace, "Other", video, 1).banks is None
    finally:
        values.write_text(text)


def test_incomplete_answers_are_none(made):
    assert read_answers(made.workspace, "Broken", read_sequence(made.workspace.sequences / "one"), 1) is None
    assert read_answers(made.workspace, "Nobody", read_sequence(made.workspace.sequences / "one"), 1) is None
