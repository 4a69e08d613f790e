"""Scores of a model on generated scenes."""

from __future__ import annotations

import numpy as np
import pytest

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.evaluation.measures import measure_object
from sam2rl_tracker.experiments.score import Scenes, _merged, score_model
from sam2rl_tracker.synthetic import generate_scene

SCENES = Scenes(count=2, seed=5, frames=8)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_scores_are_the_trackers(nano: Model) -> None:
    said: list[str] = []
    scores = score_model("nano", "cpu", SCENES, ["recency", "never"], [2], report=said.append).policies
    qualities = []
    for seed in (5, 6):
        scene = generate_scene(seed, 8)
        truth = scene.labels == 1
        tracker = Tracker(nano, num_frames=8)
        masks = [tracker.initialize(scene.images[0], truth[:1]), *map(tracker.track, scene.images[1:])]
        qualities.append(measure_object(np.concatenate(masks), truth).quality)
    assert scores["recency"].quality == pytest.approx(np.mean(qualities), abs=1e-4)
    assert scores["recency"].low <= scores["recency"].quality <= scores["recency"].high
    assert [row.sees_truth for row in scores.values()] == [False, False, True]
    assert scores["beam 2"].quality >= scores["never"].quality - 1e-3  # never is one of its choices
    assert said == ["scene 1 of 2", "scene 2 of 2"]


def test_several_objects_at_once(nano: Model) -> None:
    scores = score_model("nano", "cpu", Scenes(1, 5, 6, objects=3), ["recency"]).policies
    assert 0 <= scores["recency"].quality <= 1
    assert scores["recency"].merged is not None


def test_merged_objects_are_told() -> None:
    square, other = np.zeros((2, 3, 8, 8), dtype=bool)
    square[:2, 2:6, 2:6] = True  # not on frame 2
    other[0, 2:6, 2:6] = True  # the same
    other[1, 4:8, 2:6] = True  # beside it: an IoU of 1/3
    other[2, 2:6, 2:6] = True
    assert _merged(square, np.stack([other, ~square])) == (1, 4)
    assert _merged(square, np.empty((0, 3, 8, 8), dtype=bool)) == (0, 0)
