"""Which frames a prediction attends to once some were corrected, whatever the policy names."""

from __future__ import annotations

import torch

from sam2rl_tracker.engine import FrameRecord, MemorySelection
from sam2rl_tracker.policies import Policy
from sam2rl_tracker.policies.recency import Recency
from sam2rl_tracker.tracking.conditioning import Conditioning


def record(frame: int) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), 1.0, 10.0, area=1)


def numbers(selection: MemorySelection) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    return [(r.frame, slot) for r, slot in selection.memories], [(r.frame, away) for r, away in selection.pointers]


def corrected(conditioning: Conditioning, *frames: int) -> dict[int, FrameRecord]:
    records = {frame: record(frame) for frame in frames}
    for each in records.values():
        conditioning.add(each)
    return records


class Stored(Policy):
    """A policy that can reach these records."""

    def __init__(self, *records: FrameRecord):
        self._records = records

    def select(self, t: int) -> list[MemorySelection]:
        raise NotImplementedError

    def store(self, t: int, records: object) -> None:
        raise NotImplementedError

    def reachable(self) -> tuple[FrameRecord, ...]:
        return self._records


def test_without_corrections_the_policys_selection_is_left_alone() -> None:
    first = record(0)
    selection = MemorySelection(((first, 6),), ((first, 3),))
    assert Conditioning(first).apply(selection, 3) is selection


def test_a_corrected_frame_is_attended_to_beside_the_prompted_one() -> None:
    """The policy's own record of it is gone, and the other memories keep their slots."""
    first, old, wrong, new = (record(frame) for frame in (0, 3, 4, 5))
    conditioning = Conditioning(first)
    right = corrected(conditioning, 4)[4]
    selection = MemorySelection(
        ((first, 6), (old, 2), (wrong, 1), (new, 0)), ((first, 6), (new, 1), (wrong, 2), (old, 3))
    )
    result = conditioning.apply(selection, 6)
    assert numbers(result) == ([(0, 6), (4, 6), (3, 2), (5, 0)], [(0, 6), (4, 2), (5, 1), (3, 3)])
    named = {r for r, _ in (*result.memories, *result.pointers)}
    assert right in named
    assert wrong not in named


def test_it_takes_part_even_if_the_policy_remembers_nothing_of_it() -> None:
    first = record(0)
    conditioning = Conditioning(first)
    corrected(conditioning, 40)
    assert numbers(conditioning.apply(MemorySelection(((first, 6),), ((first, 50),)), 50)) == (
        [(0, 6), (40, 6)],
        [(0, 50), (40, 10)],
    )


def test_a_policy_without_pointers_gets_none() -> None:
    first = record(0)
    conditioning = Conditioning(first)
    corrected(conditioning, 2)
    assert numbers(conditioning.apply(MemorySelection(((first, 6),), ()), 3)) == ([(0, 6), (2, 6)], [])


def test_a_frame_corrected_twice_is_the_second_correction() -> None:
    first = record(0)
    conditioning = Conditioning(first)
    corrected(conditioning, 2)
    second = corrected(conditioning, 2)[2]
    result = conditioning.apply(MemorySelection(((first, 6),), ((first, 3),)), 3)
    assert [r for r, _ in result.memories] == [first, second]


def test_of_more_than_four_the_newest_count_the_nearest_first() -> None:
    """An older one, and the prompted one, are frames like any other: where the policy names them, with its slot."""
    policy = Recency()
    policy.pointer_span = 16
    policy._recent = []
    first = record(0)
    policy.store(0, [first])
    conditioning = Conditioning(first)
    right: dict[int, FrameRecord] = {}
    for t in range(1, 31):
        policy.store(t, [record(t)])
        if t in (10, 17, 18, 20, 22, 23):
            right |= corrected(conditioning, t)
        conditioning.forget(policy)
    (selection,) = policy.select(31)
    memories, _ = numbers(conditioning.apply(selection, 31))
    assert memories == [(23, 6), (22, 6), (20, 6), (18, 6), *((frame, 30 - frame) for frame in range(25, 31))]
    wrong = record(17)
    named = conditioning.apply(MemorySelection(((first, 6), (wrong, 3)), ((first, 31), (wrong, 14))), 31)
    assert numbers(named)[0] == [(23, 6), (22, 6), (20, 6), (18, 6), (17, 3)]
    assert right[17] in {r for r, _ in named.memories}
    assert wrong not in {r for r, _ in (*named.memories, *named.pointers)}


def test_a_prompted_frame_that_no_longer_counts_is_one_of_the_last_six() -> None:
    first = record(0)
    conditioning = Conditioning(first)
    corrected(conditioning, 1, 2, 3, 4)
    selection = MemorySelection(((first, 6), (record(5), 0)), ((first, 6), (record(5), 1)))
    near = numbers(conditioning.apply(selection, 6))
    assert near[0] == [(4, 6), (3, 6), (2, 6), (1, 6), (0, 5), (5, 0)]
    assert near[1][-2:] == [(5, 1), (0, 6)]
    far = numbers(conditioning.apply(selection, 7))
    assert far[0] == [(4, 6), (3, 6), (2, 6), (1, 6), (5, 0)]
    assert far[1][-1] == (0, 6)
    assert (0, 6) not in numbers(conditioning.apply(selection, 16))[1]  # beyond the pointers' span


def test_factors_and_masks_stay_with_their_memories() -> None:
    """A corrected frame has the prompted one's factor, and all its places count."""
    first, wrong, new = record(0), record(1), record(2)
    conditioning = Conditioning(first)
    corrected(conditioning, 1)
    places = torch.ones(1, dtype=torch.bool)
    selection = MemorySelection(
        ((first, 6), (wrong, 1), (new, 0)),
        ((first, 3), (wrong, 2), (new, 1)),
        memory_scales=(1.05, 0.95, 1.0),
        pointer_scales=(1.5, 0.5, 1.0),
        memory_masks=(None, places, places),
    )
    result = conditioning.apply(selection, 3)
    assert numbers(result)[0] == [(0, 6), (1, 6), (2, 0)]
    assert result.memory_scales == (1.05, 1.05, 1.0)
    assert result.pointer_scales == (1.5, 1.5, 1.0)
    assert result.memory_masks == (None, None, places)


def test_what_nobody_can_name_any_more_is_let_go() -> None:
    first = record(0)
    conditioning = Conditioning(first)
    right = corrected(conditioning, 1, 2, 3, 4, 5, 6)
    conditioning.forget(Stored(first, record(2)))
    assert [frame for frame in right if right[frame] in conditioning] == [2, 3, 4, 5, 6]
    conditioning.forget(Stored(first))
    assert [frame for frame in right if right[frame] in conditioning] == [3, 4, 5, 6]
