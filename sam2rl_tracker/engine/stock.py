"""The stock `SAM2VideoPredictor` on the same weights: what the engine is compared with, in tests and in `bench`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sam2.sam2_video_predictor
import sam2.utils.misc
import torch
from PIL import Image
from sam2.sam2_video_predictor import SAM2VideoPredictor
from tqdm import tqdm

from sam2rl_tracker.engine.configuration import build_network
from sam2rl_tracker.engine.engine import Engine
from sam2rl_tracker.engine.model import Model


def stock_predictor(model: Model, compiled: bool = False) -> SAM2VideoPredictor:
    """Stock predictor with this model's configuration and a copy of its weights.

    Flags are the official builder's, without hole filling (it needs a CUDA extension). From then on, no stock predictor
    of this process draws progress bars.

    Args:
        compiled: Whether its parts are compiled, on their first call: the official builder's `vos_optimized`.
    """
    # Their bars would drown the caller's own, and they have no switch for them. The predictor's modules look up this
    # name on each call; tqdm itself, and whoever else uses it, is left alone.
    sam2.sam2_video_predictor.tqdm = sam2.utils.misc.tqdm = partial(tqdm, disable=True)
    kind = "SAM2VideoPredictorVOS" if compiled else "SAM2VideoPredictor"
    with redirect_stdout(sys.stderr):  # where it compiles, it says so by `print`: stdout is for results
        predictor = build_network(model.config, f"sam2.sam2_video_predictor.{kind}", compile_encoder=compiled)
    assert isinstance(predictor, SAM2VideoPredictor)
    predictor.load_state_dict(model.network.state_dict())
    return predictor.to(torch.device(model.device)).eval()


def stock_state(model: Model, predictor: SAM2VideoPredictor, images: Sequence[np.ndarray]) -> dict[str, Any]:
    """The predictor's state for a video of RGB images, uint8 [T, height, width, 3], as given: no JPEG in between."""
    with TemporaryDirectory() as folder:
        # The predictor reads folders of JPEGs only: it is given one image, and then the frames themselves.
        Image.fromarray(images[0]).save(Path(folder) / "0.jpg")
        state: dict[str, Any] = predictor.init_state(folder)
    engine = Engine(model)
    state["images"] = torch.stack([engine.preprocess(image) for image in images])
    state["num_frames"] = len(images)
    state["cached_features"].clear()  # it holds the JPEG's
    return state
