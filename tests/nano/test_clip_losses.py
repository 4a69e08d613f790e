"""What clips are practised with: banks, prompts, clicks and other objects' memories."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2rl_tracker.nano import clip_losses


@pytest.mark.parametrize("t", [1, 2, 5, 9])
def test_banks_are_drawn_from_the_past(t: int) -> None:
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(50):
        bank = clip_losses._random_bank(4, t, rng)
        sizes.add(bank.shape[1])
        for row in bank.tolist():
            assert row == sorted(set(row), reverse=True)
            assert all(1 <= place < t for place in row)
    assert max(sizes) == min(t - 1, 6)
    assert min(sizes) == 0 or t == 1


def test_prompts_lie_on_their_masks() -> None:
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[0, 4:9, 10:20] = True
    masks[1, 30, 3] = True
    points, labels = clip_losses._prompts(masks, False, np.random.default_rng(0))
    for (point,), mask in zip(points.long().tolist(), masks, strict=True):
        assert mask[point[1], point[0]]
    assert labels.tolist() == [[1], [1]]
    boxes, labels = clip_losses._prompts(masks, True, np.random.default_rng(0))
    assert labels.tolist() == [[2, 3], [2, 3]]
    assert (boxes[0] - torch.tensor([[10.0, 4.0], [20.0, 9.0]])).abs().max() < 2


def test_clicks_lie_where_the_object_is_or_was() -> None:
    now, before = torch.zeros(2, 400, 32, 32, dtype=torch.bool)
    now[:300, 2:4], before[100:, 20:22] = True, True  # gone from the last 100, not there yet on the first 100
    points, labels = clip_losses._clicks(now, before, 0.5, np.random.default_rng(0))
    given, row = labels[:, 0] > 0, points[:, 0, 1].long()
    assert not given[300:].any()
    assert 0.4 < given[:300].float().mean() < 0.6
    assert set(row[:100][given[:100]].tolist()) == {2, 3}
    assert set(row[100:300][given[100:300]].tolist()) == {2, 3, 20, 21}
    assert set(labels.unique().tolist()) == {-1, 1}
    assert (clip_losses._clicks(now, before, 0.0, np.random.default_rng(0))[1] == -1).all()


def test_the_other_object_is_one_of_the_same_clip() -> None:
    assert clip_losses._other(np.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]
