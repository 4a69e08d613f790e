"""Clips of a workspace: one object, from the frame on which it first appears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import scripted_frames

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.clips import load_clip, objects_of
from sam2rl_tracker.vot.workspace import Workspace, create

LENGTH = 6
OBJECTS = {1: (0, range(0)), 4: (2, range(3, 4))}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = create(tmp_path_factory.mktemp("clips") / "W")
    made.add("one", scripted_frames(LENGTH, {1: (0, range(0))}))
    made.add("two", scripted_frames(LENGTH, OBJECTS, ignored=True, unknown=4))
    return made


def test_a_clip_begins_with_its_object(workspace: Workspace) -> None:
    frames = list(scripted_frames(LENGTH, OBJECTS, ignored=True, unknown=4))
    late = load_clip(workspace, "two", 4)
    assert len(late) == LENGTH - 2
    assert late.start_counts
    assert late.known.tolist() == [True, True, False, True]
    assert late.ignored is not None
    for t, frame in enumerate(frames[2:]):
        assert np.array_equal(late.images[t], frame.image)
        if frame.masks is not None:
            assert np.array_equal(late.masks[t], frame.masks.get(4, np.zeros_like(late.masks[t])))
            assert late.ignored[t].any() == (t % 2 == 1)
    first = load_clip(workspace, "one", 1)
    assert (len(first), first.start_counts, first.ignored) == (LENGTH, False, None)


def test_the_objects_of_a_workspace(workspace: Workspace, tmp_path: Path) -> None:
    assert objects_of(workspace.folder).found == [("one", 1), ("two", 1), ("two", 4)]
    assert objects_of(workspace.folder, ["two"], 4).found == [("two", 4)]
    with pytest.raises(Sam2rlError, match="has no sequence nothing: it has one, two"):
        objects_of(workspace.folder, ["nothing"])
    with pytest.raises(Sam2rlError, match="one has no object 4: it has 1"):
        objects_of(workspace.folder, object_id=4)
    with pytest.raises(Sam2rlError, match="two has no object 7: it has 1, 4"):
        load_clip(workspace, "two", 7)
    create(tmp_path / "W")
    with pytest.raises(Sam2rlError, match="has no sequences: add some with `sam2rl workspace generate"):
        objects_of(tmp_path / "W")


def test_a_clip_that_teaches_nothing_is_named(tmp_path: Path) -> None:
    made = create(tmp_path / "W")
    made.add("short", scripted_frames(2, {1: (0, range(0))}))
    with pytest.raises(Sam2rlError, match=r"^short, object 1: The video has 2 frames"):
        load_clip(made, "short", 1)
