"""Scores of a model on generated scenes."""

from __future__ import annotations

import numpy as np
import pytest

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.measures import measure_object
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.score import Scenes, score_model

SCENES = Scenes(count=2, seed=5, frames=8)


@pytest.mark.usefixtures("one_thread")
def test_scores_are_the_trackers(nano: Model) -> None:
    said: list[str] = []
    scores = score_model("nano", "cpu", SCENES, ["recency", "never"], [2], report=said.append)["policies"]
    qualities = []
    for seed in (5, 6):
        scene = generate_scene(seed, 8)
        truth = scene.labels == 1
        tracker = Tracker(nano, num_frames=8)
        masks = [tracker.initialize(scene.images[0], truth[:1]), *map(tracker.track, scene.images[1:])]
        qualities.append(measure_object(np.concatenate(masks), truth).quality)
    assert scores["recency"]["quality"] == pytest.approx(np.mean(qualities), abs=1e-4)
    assert scores["recency"]["low"] <= scores["recency"]["quality"] <= scores["recency"]["high"]
    assert [row["sees_truth"] for row in scores.values()] == [False, False, True]
    assert scores["beam 2"]["quality"] >= scores["never"]["quality"] - 1e-3  # never is one of its choices
    assert said == ["scene 1 of 2", "scene 2 of 2"]


def test_several_objects_at_once(nano: Model) -> None:
    scores = score_model("nano", "cpu", Scenes(1, 5, 6, objects=3), ["recency"])["policies"]
    assert 0 <= scores["recency"]["quality"] <= 1
