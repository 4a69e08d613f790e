"""What is not scored, and how it is told."""

import numpy as np
import pytest

from sam2rl_tracker.evaluation.scoring import NotScored, describe, unknown_frames, why_not_scored


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ([1], "one frame"),
        ([0, 0, 0], "on no frame"),
        ([0, 0, 1], "on the last frame"),
        ([1, 0, 0], "only on frame 1"),
        ([0, 1, 0], "only on frame 2"),
        ([1, 0, 1], None),
        ([0, 1, 1], None),
    ],
)
def test_an_object_scores_where_its_truth_is_known_after_it_is_given(known, reason):
    found = why_not_scored(np.array(known, dtype=bool))
    assert found is None if reason is None else reason in found


def test_frames_before_an_object_is_given_are_not_missed():
    assert unknown_frames(np.array([0, 0, 1, 0, 1, 0], dtype=bool)) == 2


def test_frames_are_told_in_one_line_and_the_rest_one_by_one():
    items = [NotScored("a", None, "it is dark"), NotScored("b", "3", "it is late")]
    items += [NotScored(f"s{k}", "1", "unknown", frames=2) for k in range(7)]
    lines = describe(items)
    assert lines[:2] == ["Not scored: a: it is dark.", "Not scored: b, object 3: it is late."]
    assert lines[2].startswith("Not scored: 14 frames of objects whose truth is unknown there: s0 (2), ")
    assert lines[2].endswith("and 2 more sequences.")
    assert items[1].as_json() == {"sequence": "b", "object": 3, "frames": None, "reason": "it is late"}
