"""Fixtures for several files: a model folder to spoil, and selections of several lengths from a real track."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from reference import load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import MemorySelection, Model
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS

TRACKED = 9  # frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nano's configuration and no weights."""
    shutil.copyfile(PACKAGED_MODELS / "nano" / "config.yaml", tmp_path / "config.yaml")
    return tmp_path


class Malicious:
    """When unpickled, it makes a file."""

    def __init__(self, trap: Path):
        self.trap = trap

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.trap,))


@pytest.fixture
def malicious(tmp_path: Path) -> Malicious:
    return Malicious(tmp_path / "trap")


@pytest.fixture(scope="session")
def selections(nano: Model) -> list[MemorySelection]:
    """For the reference video's frame 9: the prompted frame's memory and pointer with 0, 2, 6, 4 and 1 others."""
    video = load_video()
    tracker = Tracker(nano, "recency")
    tracker.initialize(video.images[0], video.truth[:1])
    for image in video.images[1:TRACKED]:
        tracker.track(image)
    (selection,) = tracker._objects[0].policy.select(TRACKED)
    first, *others = selection.memories

    def only(count: int) -> MemorySelection:
        kept = (first, *others[len(others) - count :])
        return MemorySelection(kept, tuple((record, TRACKED - record.frame) for record, _ in kept))

    return [only(count) for count in (0, 2, 6, 4, 1)]
