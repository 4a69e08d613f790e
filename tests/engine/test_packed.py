"""Products with packed weights: what `nn.Linear` and the activation after it give, but for the order of sums."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam2_utils import MLP
from torch import Tensor, nn

from sam2rl_tracker.engine import Engine, load_model
from sam2rl_tracker.engine.packed import PackedLinear, can_pack, pack_linears, product

pytestmark = pytest.mark.skipif(
    not can_pack(torch.device("cpu")), reason="this PyTorch has no oneDNN products for this processor"
)
FOLLOWS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", FOLLOWS)
@pytest.mark.parametrize("rows", [1, 40])
@torch.inference_mode()
def test_a_packed_product_is_that_of_a_linear_layer(activation: str, rows: int) -> None:
    """With few rows, which are not worth a call of oneDNN's, to the bit."""
    x, weight, bias = drawn(rows, 64, 96), drawn(256, 96) / 10, drawn(256)
    there = FOLLOWS[activation](F.linear(x, weight, bias))
    packed = PackedLinear(weight, bias, activation)(x)
    assert packed.shape == there.shape
    if rows == 1:
        x = x[:, :4]
        assert torch.equal(PackedLinear(weight, bias, activation)(x), FOLLOWS[activation](F.linear(x, weight, bias)))
    torch.testing.assert_close(packed, there, rtol=1e-5, atol=2e-6)
    assert torch.equal(
        copy.deepcopy(PackedLinear(weight, bias, activation))(x), PackedLinear(weight, bias, activation)(x)
    )


@torch.inference_mode()
def test_without_a_bias_and_under_autocast() -> None:
    x, weight = drawn(512, 96), drawn(256, 96)
    torch.testing.assert_close(product(weight, None)(x), x @ weight.T, rtol=1e-5, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product(weight, None)(x).dtype == torch.bfloat16


@torch.inference_mode()
def test_activations_are_done_once() -> None:
    mlp = MLP(96, 256, 32, 3, activation=nn.GELU, sigmoid_output=True).requires_grad_(False)
    x = drawn(512, 96)
    there = mlp(x)
    pack_linears(mlp)
    assert {type(layer) for layer in mlp.layers} == {PackedLinear}
    torch.testing.assert_close(mlp(x), there, rtol=1e-5, atol=1e-5)


def test_only_the_engines_own_twin_is_packed() -> None:
    model = load_model("nano", "cpu")
    network = Engine(model)._network
    for part in (network.memory_attention, network.sam_mask_decoder, network.memory_encoder):
        kinds = {type(one) for one in part.modules()}
        assert PackedLinear in kinds
        assert nn.Linear not in kinds
    assert not any(isinstance(one, PackedLinear) for one in model.network.modules())
    layers = [one for one in model.network.modules() if isinstance(one, MemoryAttentionLayer)]
    assert all(layer.activation is F.relu for layer in layers)
