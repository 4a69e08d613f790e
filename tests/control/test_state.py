"""The agent's own bank is the tracker's: actions move both alike."""

from __future__ import annotations

import torch

from sam2rl_tracker.agents.action import CAPACITY, act
from sam2rl_tracker.control.state import Bank, boxes_of


def test_a_bank_of_tensors_moves_as_the_tracker_s_does() -> None:
    chance = torch.Generator().manual_seed(0)
    rows = 5
    empty = torch.zeros(rows, CAPACITY, 1)
    bank = Bank(torch.zeros(rows, dtype=torch.long), empty, empty, empty)
    lists: list[tuple[int, ...]] = [()] * rows
    for t in range(1, 60):
        actions = torch.randint(CAPACITY + 1, (rows,), generator=chance)
        new = torch.full((rows, 1), float(t))
        bank = bank.put(actions, new, new, new)
        lists = [act(own, t, int(action)) for own, action in zip(lists, actions, strict=True)]
        for row, own in enumerate(lists):
            assert bank.facts[row, : len(own), 0].tolist() == list(own)
            assert int(bank.count[row]) == len(own)


def test_a_box_is_where_the_mask_is() -> None:
    mask = torch.zeros(1, 32, 32)
    mask[0, 8:16, 4:20] = 1
    x, y, width, height = boxes_of(mask)[0].tolist()
    assert (round(x * 32, 2), round(y * 32, 2)) == (12.0, 12.0)
    assert width > height > 0
