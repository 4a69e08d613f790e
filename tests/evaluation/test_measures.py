"""Our measures beside the VOT toolkit's own analyses, on the same masks."""

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from masks import HEIGHT, WIDTH, random_masks, regions, video
from vot.analysis.accuracy import SequenceAccuracy
from vot.analysis.longterm import AccuracyRobustness, CountFrames, QualityAuxiliary
from vot.experiment.multirun import UnsupervisedExperiment
from vot.region import Special

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import (
    FrameCounts,
    Measures,
    accuracy,
    adq,
    count_frames,
    mean_measures,
    measure_object,
    quality,
    robustness,
)
from sam2rl_tracker.evaluation.overlaps import frame_overlaps


class FakeSequence:
    """What the toolkit's analyses ask of a sequence whose evaluation tag leaves out the first frame."""

    size = (WIDTH, HEIGHT)

    def __init__(self, truths: dict[str, list], ignored: list) -> None:
        self._truths, self._ignored = truths, ignored

    def objects(self) -> list[str]:
        return list(self._truths)

    def object(self, name: str) -> list:
        return self._ignored if name == "_ignore" else self._truths[name]

    def tags(self, index: int) -> list[str]:
        return ["evaluation"] if index else []

    def __len__(self) -> int:
        return len(self._ignored)


class FakeExperiment(UnsupervisedExperiment):
    """Results that lie in memory; frame 0 is the code that the toolkit stores there."""

    def __init__(self, results: dict[str, list]) -> None:
        self._results = results

    def gather(self, tracker, sequence, objects, pad=False):
        return [[Special(1), *self._results[name][1:]] for name in objects]


def toolkit_measures(predictions: Sequence, truths: Sequence, knowns: Sequence, ignored: np.ndarray | None) -> Measures:
    """The measures of one sequence of several objects by the analyses of the project's stack."""
    frames = len(truths[0])
    names = [str(k) for k in range(len(truths))]
    ignored = np.zeros((frames, HEIGHT, WIDTH), dtype=bool) if ignored is None else ignored
    sequence = FakeSequence(
        {name: regions(truth, known) for name, truth, known in zip(names, truths, knowns, strict=True)},
        regions(ignored),
    )
    experiment = FakeExperiment({name: regions(masks) for name, masks in zip(names, predictions, strict=True)})

    def run(analysis):
        return analysis.subcompute(experiment, None, sequence, [])

    scored = {"burnin": 0, "ignore_unknown": False, "filter_tag": "evaluation"}
    visible = {**scored, "ignore_invisible": True, "threshold": 0}
    counts, overlaps = run(CountFrames(filter_tag="evaluation")), run(SequenceAccuracy(**visible))
    table = [{(0, 0): counts}, {(0, 0): overlaps}]
    ((a, r, _),) = AccuracyRobustness(filter_tag="evaluation").compute(None, [None], [sequence], table)
    nre, dre, absence = run(QualityAuxiliary(filter_tag="evaluation"))
    return Measures(run(SequenceAccuracy(**scored))[0], a, r, nre, dre, absence)


def assert_same(ours: Measures, theirs: Measures) -> None:
    for name, value in vars(theirs).items():
        if value is None:
            assert getattr(ours, name) is None, name
        else:
            assert getattr(ours, name) == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("seed", range(40))
def test_measures_are_the_toolkits(seed):
    """Random masks, absence, unknown frames, an ignored area and several objects, all at once."""
    rng = np.random.default_rng(seed)
    frames, objects = int(rng.integers(2, 50)), int(rng.integers(1, 4))
    truths = [random_masks(rng, frames, rng.choice([0.0, 0.4, 1.0])) for _ in range(objects)]
    predictions = [random_masks(rng, frames, rng.choice([0.0, 0.3, 1.0])) for _ in range(objects)]
    for truth, prediction in zip(truths, predictions, strict=True):
        good = rng.random(frames) < 0.5
        prediction[good] = truth[good]
    knowns = [rng.random(frames) < rng.choice([0.5, 1.0]) for _ in range(objects)]
    ignored = rng.random((frames, HEIGHT, WIDTH)) < 0.2 if seed % 2 else None
    ours = [measure_object(*masks, ignored) for masks in zip(predictions, truths, knowns, strict=True)]
    assert_same(mean_measures(ours), toolkit_measures(predictions, truths, knowns, ignored))


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("seed", range(10))
def test_perfect_tracker_scores_exactly_1(seed):
    rng = np.random.default_rng(seed)
    truth = random_masks(rng, 60, absent=0.4)
    ignored = rng.random(truth.shape) < 0.1
    ignored[:, ::2, ::2] = False  # some pixel of every object counts
    truth[:, ::2, ::2] |= truth.any(axis=(1, 2), keepdims=True) & (rng.random(truth[:, ::2, ::2].shape) < 0.5)
    for area in (None, ignored):
        assert measure_object(truth, truth, ignored=area) == Measures(1.0, 1.0, 1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_laws(seed):
    rng = np.random.default_rng(seed)
    prediction, truth = random_masks(rng, 40), random_masks(rng, 40)
    known = rng.random(40) < 0.8
    overlaps = frame_overlaps(prediction, truth, known)
    np.testing.assert_array_equal(np.isnan(overlaps), ~known)
    assert np.nanmin(overlaps) >= 0
    assert np.nanmax(overlaps) <= 1
    np.testing.assert_array_equal(overlaps, frame_overlaps(truth, prediction, known))  # symmetric
    np.testing.assert_array_equal(overlaps, frame_overlaps(prediction[:, ::-1], truth[:, ::-1], known))

    counts = count_frames(prediction, truth, known)
    assert counts.visible + counts.absent == known[1:].sum()
    assert counts.visible == (known & truth.any(axis=(1, 2)))[1:].sum()
    measures = measure_object(prediction, truth, known)
    assert measures.robustness + measures.nre + measures.dre == pytest.approx(1)

    changed = prediction.copy()
    changed[0] ^= True
    changed[~known] ^= True
    assert measure_object(changed, truth, known) == measures  # the first frame and unknown frames do not count


def test_quality_falls_with_every_lost_frame():
    truth = random_masks(np.random.default_rng(0), 30, absent=0.0)
    values = []
    for lost in range(30):
        prediction = truth.copy()
        prediction[30 - lost :] = False
        values.append(measure_object(prediction, truth).quality)
    np.testing.assert_allclose(values, [(29 - lost) / 29 for lost in range(30)])
    assert all(b < a for a, b in pairwise(values))


# ---------------------------------------------------------------- special cases


def test_each_class_of_frame():
    truth = video("##. ...", "##. ##.", "##. ##.", "##. ##.", "... ...", "... ...", "##. ##.")
    prediction = video("... ...", "##. #..", "..# ..#", "... ...", "... ...", "#.. ...", "##. ##.")
    overlaps = frame_overlaps(prediction, truth)
    np.testing.assert_allclose(overlaps, [0, 0.75, 0, 0, 1, 0, 1])
    counts = count_frames(prediction, truth)
    assert counts == FrameCounts(tracked=2, failed=1, missed=1, hallucinated=1, noticed=1)
    assert measure_object(prediction, truth) == Measures(
        quality=pytest.approx(2.75 / 6), accuracy=0.875, robustness=0.5, nre=0.25, dre=0.25, adq=None
    )


def test_object_that_is_never_visible():
    truth = np.zeros((15, 4, 4), dtype=bool)
    prediction = truth.copy()
    prediction[3] = True
    assert measure_object(prediction, truth) == Measures(pytest.approx(13 / 14), 0.0, None, None, None, 13 / 14)


@pytest.mark.parametrize(("absent", "expected"), [(10, None), (11, 1.0)])
def test_absence_is_measured_from_11_frames_on(absent, expected):
    truth = np.ones((30, 4, 4), dtype=bool)
    truth[-absent:] = False
    assert measure_object(truth, truth).adq == expected
    assert adq(count_frames(truth, truth)) == expected


def test_nothing_scored_gives_0():
    truth = np.ones((3, 4, 4), dtype=bool)
    assert measure_object(truth[:1], truth[:1]) == Measures(0.0, 0.0, None, None, None, None)
    assert measure_object(truth, truth, known=np.array([True, False, False])).quality == 0


def test_parts_are_the_whole():
    rng = np.random.default_rng(3)
    prediction, truth = random_masks(rng, 40), random_masks(rng, 40)
    measures = measure_object(prediction, truth)
    overlaps = frame_overlaps(prediction, truth)
    assert measures.quality == quality(overlaps)
    assert measures.accuracy == accuracy(overlaps, truth.any(axis=(1, 2)))
    assert measures.robustness == robustness(count_frames(prediction, truth))


# ---------------------------------------------------------------- averages and misuse


def test_mean_leaves_out_what_is_undefined():
    mean = mean_measures([Measures(1.0, 0.5, None, None, None, None), Measures(0.0, 0.5, 0.5, 0.25, 0.25, None)])
    assert mean == Measures(0.5, 0.5, 0.5, 0.25, 0.25, None)
    with pytest.raises(ValueError, match="no measures"):
        mean_measures([])


@pytest.mark.parametrize(
    "arguments",
    [
        SimpleNamespace(prediction=np.ones((3, 4, 4)), truth=np.ones((3, 4, 5))),
        SimpleNamespace(prediction=np.ones((2, 4, 4)), truth=np.ones((3, 4, 4))),
        SimpleNamespace(prediction=np.ones((4, 4)), truth=np.ones((4, 4))),
        SimpleNamespace(prediction=np.ones((3, 4, 4)), truth=np.ones((3, 4, 4)), known=np.ones(2)),
        SimpleNamespace(
            prediction=np.ones((3, 4, 4)), truth=np.ones((3, 4, 4)), ignored=np.ones((1, 4, 4), dtype=bool)
        ),
    ],
)
def test_shapes_must_agree(arguments):
    for function in (frame_overlaps, count_frames, measure_object):
        with pytest.raises(Sam2rlError, match="shape"):
            function(**vars(arguments))
