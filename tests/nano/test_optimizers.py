"""The average of nano's weights."""

from __future__ import annotations

import pytest
import torch

from sam2rl_tracker.nano.optimizers import average_of


def test_the_average_begins_with_the_weights_and_slows_down() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    network.register_buffer("count", torch.tensor(0))
    average = average_of(network, decay=0.5)
    expected = first = network.weight.item()
    for step in range(12):
        with torch.no_grad():
            network.weight.add_(1.0)
        network.count += 1
        average.update_parameters(network)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * network.weight.item()
        assert average.module.weight.item() == pytest.approx(expected, abs=1e-5)
        assert average.module.count == step + 1  # numbers that are no weights are not averaged
    assert first < expected < network.weight.item()
