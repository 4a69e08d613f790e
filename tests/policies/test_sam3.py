"""SAM 3's memory rule on scripted predictions. `test_published.py` has the real ones."""

from __future__ import annotations

import numpy as np
from scripted import Frame, begin, block, correct, memories, play, pointers

from sam2rl_tracker.policies.sam3 import Sam3

UNSURE = Frame(score=0.001)  # seen, but so unsurely that 0.9 of it is below the threshold


def test_unsure_frames_are_attended_to_once_and_pointers_count_places() -> None:
    policy = Sam3()
    begin(policy)
    for t in range(1, 5):
        play(policy, t, UNSURE if t in (2, 4) else Frame())
    assert memories(policy, 5) == [(0, 6), (1, 2), (3, 1), (4, 0)]
    assert pointers(policy, 5) == [(0, 5), (4, 1), (3, 2)]
    play(policy, 5, Frame())
    assert memories(policy, 6) == [(0, 6), (1, 2), (3, 1), (5, 0)]


def test_it_keeps_sixteen_frames_and_attends_to_seven() -> None:
    policy = Sam3()
    begin(policy)
    for t in range(1, 40):
        play(policy, t, UNSURE if t == 39 else Frame())
    assert [frame for frame, _ in memories(policy, 40)] == [0, 34, 35, 36, 37, 38, 39]
    assert pointers(policy, 40) == [(0, 40), *((40 - place, place) for place in range(1, 16))]
    assert {r.frame for r in policy.reachable()} == {0, *range(24, 40)}


def test_the_score_is_0_where_the_object_is_said_to_be_absent() -> None:
    policy = Sam3(iou_threshold=0.0)
    begin(policy)
    for t, score in enumerate((0.001, -200.0, 0.0), start=1):
        play(policy, t, Frame(score=score))
    play(policy, 4, Frame())
    assert [frame for frame, _ in memories(policy, 5)] == [0, 1, 4]


def test_a_corrected_frame_takes_no_place() -> None:
    policy = Sam3()
    begin(policy)
    for t in range(1, 9):
        play(policy, t, Frame())
    correct(policy, 8, block(4))
    assert [frame for frame, _ in memories(policy, 9)] == [0, 2, 3, 4, 5, 6, 7]
    correct(policy, 8, np.zeros_like(block(4)))
    play(policy, 9, Frame())
    assert [frame for frame, _ in memories(policy, 10)] == [0, 3, 4, 5, 6, 7, 9]
