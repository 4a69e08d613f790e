"""A frame of a bank keeps its place."""

import numpy as np
import pytest

from sam2rl_tracker.report.slots import places, stays


def test_a_frame_keeps_its_place():
    banks = [(), (0,), (0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4, 5), (4,)]
    assert places(banks, 0) == [
        [None],
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 3, 2],
        [0, 3, 4, 5],
        [None, None, 4, None],
    ]
    assert places([(2,), (1, 2)], 2)[1] == [2, 1]


@pytest.mark.parametrize("seed", range(5))
def test_a_frame_keeps_its_slot_and_every_bank_is_drawn(seed):
    rng = np.random.default_rng(seed)
    banks = [
        tuple(sorted(rng.choice(t, size=min(t, int(rng.integers(0, 5))), replace=False).tolist())) for t in range(30)
    ]
    found = stays(banks, 0)
    for t, bank in enumerate(banks):
        there = [stay for stay in found if stay.begin <= t <= stay.end]
        assert sorted(stay.frame for stay in there) == list(bank)
        assert len({stay.slot for stay in there}) == len(there)
    assert max((stay.slot for stay in found), default=0) < 6  # the first is the prompted frame's
    for stay in found:  # as long as can be: it was not there before, nor after
        assert stay.begin == 0 or stay.frame not in banks[stay.begin - 1]
        assert stay.end == 29 or stay.frame not in banks[stay.end + 1]
