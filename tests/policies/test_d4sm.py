"""d4sm's rule on drawn masks. `test_published.py` has the real ones."""

from __future__ import annotations

import numpy as np
import pytest
from scripted import Frame, begin, block, correct, memories, play, pointers

from sam2rl_tracker.policies import Encoding
from sam2rl_tracker.policies.d4sm import D4Sm

PLAIN = Frame()
DISTRACTED = Frame(other=20)
ABSENT = Frame(score=-1.0)


def played(policy: D4Sm, *frames: Frame) -> list[Encoding]:
    begin(policy)
    return [play(policy, t, frame)[1] for t, frame in enumerate(frames, start=1)]


def test_the_recent_memory_has_strides_and_the_newest_visible_frame() -> None:
    policy = D4Sm()
    encodings = played(policy, *[PLAIN] * 12, ABSENT)
    assert memories(policy, 14) == [(0, 6), (5, 2), (10, 1), (12, 0)]
    assert encodings[-2:] == [Encoding.SOFT, Encoding.NONE]
    assert pointers(policy, 14) == [(0, 14), *((frame, 13 - frame) for frame in range(1, 13))]
    assert policy.select(14)[0].pointer_span == 13


def test_pointers_of_one_frame_span_two() -> None:
    policy = D4Sm()
    played(policy)
    assert policy.select(1)[0].pointer_span == 2


def test_a_distractor_moves_a_frame_to_the_drm_one_frame_later() -> None:
    policy = D4Sm()
    played(policy, *[PLAIN] * 6, DISTRACTED)
    assert memories(policy, 8) == [(0, 6), (5, 1), (7, 0)]  # still recent
    play(policy, 8, PLAIN)
    assert memories(policy, 9) == [(0, 6), (5, 2), (7, 6), (8, 0)]  # its place counts


def test_it_moves_where_the_next_frame_shows_nothing_too() -> None:
    policy = D4Sm()
    played(policy, *[PLAIN] * 6, DISTRACTED, ABSENT)
    assert memories(policy, 9) == [(0, 6), (5, 1), (7, 6)]


def test_both_memories_are_bounded() -> None:
    policy = D4Sm()
    played(policy, *[DISTRACTED] * 60)
    assert memories(policy, 61) == [(0, 6), (44, 6), (45, 4), (50, 6), (55, 2), (56, 6), (60, 0)]
    assert len(policy.reachable()) <= 7 + 15


@pytest.mark.parametrize(
    ("policy", "is_admitted"),
    [
        (D4Sm(), True),
        (D4Sm(iou_threshold=0.95), False),
        (D4Sm(area_low=1.1), False),
        (D4Sm(area_high=0.9), False),
        (D4Sm(distractor_iou=0.1), False),
        (D4Sm(drm_size=0), False),
    ],
)
def test_every_condition_counts(policy: D4Sm, is_admitted: bool) -> None:
    played(policy, *[PLAIN] * 6, DISTRACTED, PLAIN)
    assert ((7, 6) in memories(policy, 9)) == is_admitted


def test_sides_of_boxes_include_both_ends() -> None:
    """The other part makes the box of 4 x 4 pixels 6 x 4: an overlap of 4/6; without the last pixel it were 3/5."""
    near = Frame(other=6)
    for limit, is_admitted in ((0.65, False), (0.67, True)):
        policy = D4Sm(distractor_iou=limit)
        played(policy, PLAIN, near, PLAIN)
        assert ((2, 6) in memories(policy, 4)) == is_admitted


def test_a_corrected_frame_counts_as_an_addition() -> None:
    policy = D4Sm()
    played(policy, *[PLAIN] * 6, DISTRACTED)
    correct(policy, 7, block(4))
    assert memories(policy, 8) == [(0, 6), (5, 0)]
    assert pointers(policy, 8)[-1] == (7, 1)
    for t in range(8, 15):
        play(policy, t, DISTRACTED)
    play(policy, 15, PLAIN)
    assert [frame for frame, slot in memories(policy, 16) if slot == 6] == [0, 13]
    correct(policy, 15, np.zeros_like(block(4)))
    correct(policy, 15, block(4))
    assert [frame for frame, _ in pointers(policy, 16)].count(15) == 1


@pytest.mark.parametrize("wrong", [{"ram_size": 0}, {"drm_size": 4}, {"ram_stride": 0}, {"min_gap": -1}])
def test_bad_values_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at"):
        D4Sm(**wrong)
