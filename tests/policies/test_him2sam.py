"""HiM2SAM's rule, without point tracking, on drawn masks. `test_published.py` has the real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scripted import Frame, begin, block, correct, memories, play, pointers

from sam2rl_tracker.policies.him2sam import HiM2Sam

PLAIN = Frame()
FAR = Frame(other=20)  # its farthest pixel is about 16 pixels away, 3.5 of the object's diameters
POOR = Frame(ious=(0.3, 0.1, 0.1))


def played(policy: HiM2Sam, *frames: Frame) -> HiM2Sam:
    begin(policy)
    for t, frame in enumerate(frames, start=1):
        play(policy, t, frame)
    return policy


def test_short_term_frames_have_gaps_and_the_oldest_has_slot_0() -> None:
    policy = played(HiM2Sam(), *[PLAIN] * 20, POOR, POOR)
    assert memories(policy, 23) == [(0, 6), (20, 5), (17, 4), (14, 3), (11, 2), (8, 1), (5, 0)]
    # Pointers are those before the newest short-term frame.
    assert pointers(policy, 23) == [(0, 20), *((20 - distance, distance) for distance in range(1, 16))]


def test_without_good_frames_pointers_are_those_before_the_current_one() -> None:
    policy = played(HiM2Sam(), *[POOR] * 4)
    assert memories(policy, 5) == [(0, 6)]
    assert pointers(policy, 5) == [(0, 5), (4, 1), (3, 2), (2, 3), (1, 4)]


@pytest.mark.parametrize(
    ("parameters", "is_long"),
    [
        ({}, True),
        ({"long_rule": "hdf"}, False),
        ({"long_size": 0}, False),
        ({"long_iou": 0.95}, False),
        ({"long_ratio": 10.0}, False),
        ({"long_area_low": 1.1}, False),
        ({"long_area_high": 0.9}, False),
        ({"long_distance": 4.0}, False),
        ({"long_motion": 1.0, "stable_frames": 2}, False),
        ({"long_motion": 1.0}, True),  # it has no motion score yet
    ],
)
def test_every_condition_of_long_term_frames_counts(parameters: dict[str, Any], is_long: bool) -> None:
    policy = played(HiM2Sam(**parameters), *[PLAIN] * 4, FAR, PLAIN)
    assert ((5, 6) in memories(policy, 7)) == is_long


def test_long_term_frames_come_last_and_seldom() -> None:
    policy = played(HiM2Sam(long_size=2), *[FAR] * 13)
    assert memories(policy, 14) == [(0, 6), (13, 3), (10, 2), (6, 1), (3, 0), (12, 6), (7, 6)]


def test_frames_that_are_long_term_no_more_are_short_term_again() -> None:
    """What is kept is enough: selections are those of the rule on the whole history."""
    rng = np.random.default_rng(0)
    policy = HiM2Sam(long_gap=2)
    begin(policy)
    good: list[int] = []
    long: list[int] = []
    phase = PLAIN
    for t in range(1, 400):
        if rng.random() < 0.1:
            phase = [PLAIN, FAR, POOR][rng.integers(3)]
        play(policy, t, phase)
        good += [t] * (phase is not POOR)
        if phase is FAR and t >= 2 and (not long or t - long[-1] >= 2):
            long.append(t)
        short: list[int] = []
        for frame in reversed(good):
            if frame not in long[-1:] and (not short or short[-1] - frame > 2):
                short.append(frame)
        short = short[: 6 - len(long[-1:])]
        assert memories(policy, t + 1)[1:] == [
            *((frame, len(short) - 1 - place) for place, frame in enumerate(short)),
            *((frame, 6) for frame in long[-1:]),
        ]
        now = [*short, *long[-1:], t + 1][0]
        assert [frame for frame, _ in pointers(policy, t + 1)] == [0, *range(now - 1, max(0, now - 16), -1)]
        assert len(policy.reachable()) <= 1 + 19 + 1 + 45
    assert len(long) > 20


def test_a_corrected_frame_counts_as_long_term() -> None:
    policy = played(HiM2Sam(), *[PLAIN] * 6, FAR)
    assert (7, 6) in memories(policy, 8)
    correct(policy, 7, block(4))
    assert [frame for frame, _ in memories(policy, 8)] == [0, 6, 3]
    for t in range(8, 14):
        play(policy, t, FAR)
    assert [frame for frame, slot in memories(policy, 14) if slot == 6] == [0, 12]


@pytest.mark.parametrize("wrong", [{"long_size": 7}, {"short_gap": -1}, {"long_rule": "x"}, {"stable_frames": 0}])
def test_bad_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        HiM2Sam(**wrong)
