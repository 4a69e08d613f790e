"""Overlaps of many predictions at once are those of one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2rl_tracker.evaluation.overlaps import batch_overlaps, frame_overlaps


@pytest.mark.parametrize("some_ignored", [False, True])
def test_batches_are_compared_as_frames_are(some_ignored: bool) -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((40, 3, 4)) < rng.choice([0.0, 0.1, 0.5, 1.0], (40, 1, 1))
    truths = rng.random((40, 3, 4)) < rng.choice([0.0, 0.1, 0.5], (40, 1, 1))
    ignored = rng.random((3, 4)) < 0.4 if some_ignored else None
    every = None if ignored is None else np.repeat(ignored[None], len(masks), 0)
    for truth in truths:
        expected = frame_overlaps(masks, np.repeat(truth[None], len(masks), 0), None, every)
        found = batch_overlaps(
            torch.from_numpy(masks), torch.from_numpy(truth), None if ignored is None else torch.from_numpy(ignored)
        )
        assert found.dtype == torch.float32
        assert found.numpy() == pytest.approx(expected)
