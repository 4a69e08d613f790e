"""A training that takes seconds: its clip, its settings, and a workspace of three objects to train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import load_video

from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.workspace import Workspace, create

FRAMES = 10
QUICK = Settings(iterations=4, samples=64, hidden=16, batch_size=32, imitation=0, beam=1, local=0)


def simulator(model: Model, clip: Clip) -> Simulator:
    return Simulator(Engine(model), clip, rows=8)


@pytest.fixture(scope="module")
def clip() -> Clip:
    video = load_video("scene-930014")
    part = slice(FRAMES)
    return Clip(video.images[part], video.truth[part], np.ones(FRAMES, dtype=bool))


@pytest.fixture
def workspace(tmp_path: Path, clip: Clip) -> Workspace:
    """Two sequences: the clip, and one of two objects, the second of which appears late."""
    made = create(tmp_path / "work")
    made.add("clip", (AnnotatedFrame(i, {1: m}) for i, m in zip(clip.images, clip.masks, strict=True)))
    shifted = np.roll(clip.masks, 30, axis=2)
    pairs = zip(clip.images, clip.masks, shifted, strict=True)
    made.add("two", (AnnotatedFrame(i, {1: a} if t < 3 else {1: a, 4: b}) for t, (i, a, b) in enumerate(pairs)))
    return made
