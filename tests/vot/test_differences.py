"""Where trackers differ most: what is compared by default, and errors that name what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import scripted_frames

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.vot.differences import find_difference, read_shown
from sam2rl_tracker.vot.regions import read_trajectory
from sam2rl_tracker.vot.results import result_file, result_stem
from sam2rl_tracker.vot.sequences import read_sequence, stack_regions
from sam2rl_tracker.vot.workspace import Workspace, create


def test_the_mask_that_was_given_is_shown(compared: Workspace):
    truth = read_sequence(compared.sequences / "several")
    for tracker in ("SAM2", "Other", "Right"):
        for k in truth.regions:
            file = result_file(result_stem(compared, tracker, "several", k))
            masks = stack_regions(read_trajectory(file.read_bytes()), truth.size)
            masks[truth.start(k)] = truth.masks(k)[truth.start(k)]
            expected = frame_overlaps(masks, truth.masks(k), truth.known(k), truth.ignored_masks())
            np.testing.assert_array_equal(read_shown(compared, tracker, truth, k).overlaps, expected)


def test_by_default_what_differs_most(compared: Workspace):
    found = find_difference(compared.folder)
    assert (found.sequence, found.object_id, list(found.qualities)) == ("several", 9, ["SAM2", "Right"])
    assert found.qualities["Right"] == 1
    assert found.size == pytest.approx(1 - found.qualities["SAM2"])
    assert find_difference(compared.folder, object_id=4).object_id == 4
    assert find_difference(compared.folder, "single").sequence == "single"
    three = ("Other", "SAM2", "Right")
    assert tuple(find_difference(compared.folder, trackers=three).qualities) == three


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("nowhere",), "no sequence 'nowhere': give one of single, several"),
        (
            ("single", ("SAM2", "Nobody")),
            "no results of a tracker 'Nobody': there are those of SAM2, Half",
        ),
        (("single", ("SAM2", "SAM2")), "SAM2 is alone: give two trackers"),
        (
            ("single", ("SAM2", "Half")),
            r"Half: no complete results on single .* those of Other, Right, SAM2 are",
        ),
        (("several", (), 7), "several has no object 7: its objects are 4, 9"),
    ],
)
def test_errors_name_what_there_is(compared: Workspace, arguments: tuple, match: str):
    with pytest.raises(Sam2rlError, match=match):
        find_difference(compared.folder, *arguments)


def test_a_workspace_without_results(tmp_path: Path):
    empty = create(tmp_path / "W")
    empty.add("single", scripted_frames(4, {1: (0, range(0))}))
    with pytest.raises(Sam2rlError, match=r"no tracker are complete\. `vot evaluate"):
        find_difference(empty.folder)
