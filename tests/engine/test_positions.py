"""An engine changes nothing of the network that it is given."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from reference import load_video, nano_of
from torch import Tensor

from sam2rl_tracker.engine import Engine, ExactEngine, FrameRecord, MemorySelection, Model
from sam2rl_tracker.engine.operations import to_tokens
from sam2rl_tracker.engine.positions import fix_positions

pytestmark = pytest.mark.usefixtures("one_thread")


def track(engine: Engine) -> Tensor:
    """Everything an engine does, on two frames: the logits of the second."""
    video = load_video()
    first, second = map(engine.encode_image, video.images[:2])
    chosen = engine.prompt_masks(first, video.truth[:1])
    box = engine.point_prompt(first.video_size, np.zeros((0, 3)), np.array([20, 20, 40, 40]))
    engine.prompt_points(first, [box])
    memory = engine.encode_memory(first, chosen, [True])
    record = FrameRecord(0, memory[0], chosen.pointers[0], 1.0, 1.0, 1)
    logits = engine.predict(second, [MemorySelection(((record, 6),), ((record, 1),))]).logits
    return engine.video_logits(logits, second.video_size)


# With 160 pixels, rotary attention finds another number of places than nano's configuration says.
@pytest.mark.parametrize("size", [128, 160])
def test_the_network_stays_as_it_is(size: int) -> None:
    model = nano_of(size)
    before = pickle.dumps(model.network)  # modules, their attributes, caches and weights
    for engine in (Engine(model), ExactEngine(model, math_attention=True)):
        track(engine)
    assert pickle.dumps(model.network) == before


@torch.inference_mode()
def test_fixed_positions_are_the_stock_modules(nano: Model) -> None:
    network, side = nano.network, nano.network.image_size // 16
    fixed = fix_positions(network)
    image = torch.rand(1, 3, network.image_size, network.image_size)
    stock, ours = network.forward_image(image), fixed.network.forward_image(image)
    assert all(torch.equal(*levels) for levels in zip(stock["backbone_fpn"], ours["backbone_fpn"], strict=True))
    assert torch.equal(fixed.image, to_tokens(stock["vision_pos_enc"][-1]))
    mask = torch.rand(1, 1, network.image_size, network.image_size)
    maps = torch.rand(1, network.hidden_dim, side, side)
    memory = network.memory_encoder(maps, mask, skip_mask_sigmoid=True)
    grid = to_tokens(memory["vision_pos_enc"][0])[0]
    assert torch.equal(fixed.memory, grid + network.maskmem_tpos_enc[:, 0])
    again = fixed.network.memory_encoder(maps, mask, skip_mask_sigmoid=True)
    assert torch.equal(again["vision_features"], memory["vision_features"])


def test_the_weights_are_shared(nano: Model) -> None:
    with torch.inference_mode():
        twin = fix_positions(nano.network).network
    pairs = list(zip(nano.network.state_dict().items(), twin.state_dict().items(), strict=True))
    assert all(name == other and one.data_ptr() == two.data_ptr() for (name, one), (other, two) in pairs)
    assert len(pairs) > 100
