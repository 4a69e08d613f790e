"""Clips to train nano on: the same for the same step, and cut as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from sam2rl_tracker.nano import batches
from sam2rl_tracker.nano.batches import OBJECTS, Clips, Cut, Source, open_source
from sam2rl_tracker.runs.executors import Here

SIZE = 48
CUT = Cut(clips=6, frames=4, longest=6)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_BLOCK", 3)
    monkeypatch.setattr(batches, "_FRAMES", 24)


def source(pace: int = 5) -> Source:
    return Source(1, SIZE, ("default", "easy"), 1, pace, Here())


@pytest.fixture
def clips() -> Clips:
    return source().clips(0, CUT)


def test_shapes_and_starts(clips: Clips) -> None:
    assert clips.images.shape == (6, 4, SIZE, SIZE, 3)
    assert clips.masks.shape == (6, OBJECTS, 4, SIZE, SIZE)
    assert clips.masks[:, :, 0].any(axis=(2, 3)).all()
    assert not clips.masks.all(axis=1).any()  # two objects are never at one place
    gaps = np.abs(np.diff(clips.times, axis=1))
    assert gaps.min() >= 1
    assert gaps.max() <= 6
    assert (np.sign(np.diff(clips.times, axis=1)) == np.sign(np.diff(clips.times, axis=1))[:, :1]).all()


def test_a_step_has_its_batch_whoever_asks() -> None:
    one, other = source(), source()
    later = one.clips(7, CUT)
    one.clips(8, CUT)
    again = other.clips(7, CUT)
    assert np.array_equal(later.images, again.images)
    assert np.array_equal(later.masks, again.masks)
    assert not np.array_equal(later.images, other.clips(8, CUT).images)


def test_scenes_are_replaced() -> None:
    moving = source(pace=5)
    moving.clips(4, CUT)
    before = set(moving._blocks)
    moving.clips(5, CUT)
    assert before == {0}
    assert set(moving._blocks) == {1}


def test_cuts_take_the_objects_away() -> None:
    clips = source().clips(0, Cut(clips=6, frames=4, longest=6, cuts=1.0))
    assert not clips.masks[:, :, 1:].any()
    plain = source().clips(0, Cut(clips=6, frames=4, longest=6, cuts=0.0))
    assert plain.masks[:, :, 1:].any()


def test_moved_frames_keep_their_objects() -> None:
    """Every frame is moved by another distance, masks with their images, and nothing is pushed out."""
    rng = np.random.default_rng(0)
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    image[20:30, 10:25] = 255
    masks = np.zeros((2, SIZE, SIZE), dtype=bool)
    masks[0, 20:30, 10:25] = True
    places = set()
    for _ in range(20):
        moved, found = batches._moved(rng, image, masks)
        assert found[0].sum() == masks[0].sum()
        assert not found[1].any()
        assert (moved[found[0]] == 255).all()
        places.add(tuple(np.argwhere(found[0])[0]))
    assert len(places) > 10


@pytest.mark.slow
def test_blocks_come_from_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, in another process: as many clips as asked for, from scenes of the real length."""
    monkeypatch.undo()
    with open_source(1, SIZE, ("easy",), 1, 5) as real:
        assert len(real.clips(0, CUT).images) == 6
