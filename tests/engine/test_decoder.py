"""The modules that batched mode puts into the mask decoder: each gives what SAM 2's gives, but for the last bits."""

from __future__ import annotations

import pytest
import torch
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_utils import LayerNorm2d
from torch import nn

from sam2rl_tracker.engine import Engine, ExactEngine, load_model
from sam2rl_tracker.engine.decoder import AttentionToFew, Enlarge, NormaliseChannels

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("places", "tokens"), [(64, 8), (16, 1), (9, 30)])
@torch.inference_mode()
def test_attention_to_few_tokens(places: int, tokens: int) -> None:
    attention = Attention(96, 8, downsample_rate=2)
    q, k, v = torch.randn(3, places, 96), torch.randn(3, tokens, 96), torch.randn(3, tokens, 96)
    torch.testing.assert_close(AttentionToFew(attention)(q, k, v), attention(q, k, v), **CLOSE)


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_enlarging(bias: bool) -> None:
    layer = nn.ConvTranspose2d(24, 12, kernel_size=2, stride=2, bias=bias)
    maps = torch.randn(2, 24, 6, 5)
    torch.testing.assert_close(Enlarge(layer)(maps), layer(maps), **CLOSE)


@torch.inference_mode()
def test_normalising() -> None:
    layer = LayerNorm2d(24)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    maps = torch.randn(2, 24, 6, 5)
    torch.testing.assert_close(NormaliseChannels(layer)(maps), layer(maps), **CLOSE)


def test_exact_mode_and_the_given_network_keep_sam2s_modules() -> None:
    model = load_model("nano", "cpu")

    def kinds(decoder: MaskDecoder) -> set[type]:
        return {type(module) for module in decoder.modules()} & {AttentionToFew, Enlarge, NormaliseChannels}

    assert kinds(Engine(model)._network.sam_mask_decoder) == {AttentionToFew, Enlarge, NormaliseChannels}
    assert not kinds(ExactEngine(model)._network.sam_mask_decoder)
    assert not kinds(model.network.sam_mask_decoder)
