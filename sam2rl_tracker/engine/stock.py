"""The stock `SAM2VideoPredictor` on the same weights: what the engine is compared with, in tests and in `bench`."""

from __future__ import annotations

import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from sam2rl_tracker.engine.models import Model, build_network


def stock_predictor(model: Model) -> SAM2VideoPredictor:
    """Stock predictor with this model's configuration and a copy of its weights.

    Flags are the official builder's, without hole filling (it needs a CUDA extension).
    """
    predictor = build_network(model.config, target="sam2.sam2_video_predictor.SAM2VideoPredictor")
    assert isinstance(predictor, SAM2VideoPredictor)
    predictor.load_state_dict(model.network.state_dict())
    return predictor.to(torch.device(model.device)).eval()
