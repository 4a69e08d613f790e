"""The stock predictor beside an engine: its own copy of the weights, the frames as given, and no progress bars."""

from __future__ import annotations

import pytest
import torch
from reference import load_video

from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.engine.stock import stock_predictor, stock_state


@torch.inference_mode()
def test_a_predictor_of_its_own_that_says_nothing(nano: Model, capfd: pytest.CaptureFixture[str]) -> None:
    images = load_video().images[:3]
    predictor = stock_predictor(nano)
    state = stock_state(nano, predictor, images)
    assert torch.equal(state["images"][2], Engine(nano).preprocess(images[2]))
    predictor.add_new_mask(state, 0, 1, load_video().truth[0])
    assert len(list(predictor.propagate_in_video(state))) == len(images)
    assert "it/s" not in "".join(capfd.readouterr())
    ours = dict(nano.network.named_parameters())
    for name, parameter in predictor.named_parameters():
        assert torch.equal(parameter, ours[name])
        assert parameter.data_ptr() != ours[name].data_ptr()
