"""What batched mode computes in the place of SAM 2's modules, against these, on random inputs and random weights."""

from __future__ import annotations

import copy

import pytest
import torch
from sam2.modeling.memory_encoder import MemoryEncoder
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor, nn

from sam2rl_tracker.engine import Model, lean
from sam2rl_tracker.engine.attention import BankAttention, BankTokens
from sam2rl_tracker.engine.lean import LeanAttention, LeanMemoryEncoder

ROWS, PLACES, WIDTH, STORED, POINTERS = 3, 16, 32, 8, 5
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def attention(heads: int = 1) -> RoPEAttention:
    module = RoPEAttention(
        embedding_dim=WIDTH, num_heads=heads, downsample_rate=1, kv_in_dim=STORED, rope_k_repeat=True, feat_sizes=(4, 4)
    )
    return module.eval()


def stock(module: RoPEAttention, q: Tensor, k: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """SAM 2's own way from projected queries and keys: it projects the values, then what was attended to."""
    v = module.v_proj(values)
    chosen = None if mask is None else mask[:, None]
    attended = nn.functional.scaled_dot_product_attention(q.expand(len(k), -1, -1), k, v, attn_mask=chosen)
    return module.out_proj(attended)


@pytest.mark.parametrize("queries", [1, ROWS])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("split", ["at once", "in parts", "row by row"])
@torch.inference_mode()
def test_attention(queries: int, masked: bool, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values as they are stored give what projected values do, with queries of the image or of each row."""
    if split != "at once":
        monkeypatch.setattr(lean, "_FEWEST", 5)  # the last part is then shorter than the others
        monkeypatch.setattr(lean, "_SCORES", 1)
        monkeypatch.setattr(lean, "_SCORES_ALONE", 1)
    if split == "row by row":
        monkeypatch.setattr(lean, "_LARGE", 0)
    module = attention()
    n = 2 * PLACES + POINTERS
    q, k = torch.randn(queries, PLACES, WIDTH), torch.randn(ROWS, n, WIDTH)
    values = torch.randn(ROWS, n, STORED)
    mask = torch.rand(ROWS, n) < 0.5 if masked else None
    expected = stock(module, q, k, values, mask)
    found = LeanAttention(module)(q, k, values, mask)
    assert found.shape == (ROWS, PLACES, WIDTH)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_what_the_mask_leaves_out_has_no_part() -> None:
    module = LeanAttention(attention())
    q, k, values = torch.randn(1, PLACES, WIDTH), torch.randn(ROWS, 20, WIDTH), torch.randn(ROWS, 20, STORED)
    mask = torch.ones(ROWS, 20, dtype=torch.bool)
    mask[1, 12:] = False
    before = module(q, k, values, mask)
    k[1, 12:], values[1, 12:] = 100.0, -100.0
    assert torch.equal(module(q, k, values, mask), before)


def test_which_attention_it_suits() -> None:
    assert LeanAttention.suits(attention(), CPU)
    assert not LeanAttention.suits(attention(heads=2), CPU)
    assert not LeanAttention.suits(attention(), torch.device("cuda"))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@torch.inference_mode()
def test_a_bank_with_scaled_keys(nano: Model, masked: bool, scaled: bool) -> None:
    """All of memory attention, on a bank of two memories and three pointers, in the lean way and in SAM 2's."""
    network = nano.network
    places, width, stored = (network.image_size // 16) ** 2, network.hidden_dim, network.mem_dim
    n = 2 * places + 3 * width // stored
    bank = BankTokens(
        values=torch.randn(ROWS, n, stored),
        positions=torch.randn(ROWS, n, stored),
        rotated=2 * places,
        mask=torch.rand(ROWS, n) < 0.7 if masked else None,
        key_scale=0.5 + torch.rand(ROWS, n, 1) if scaled else None,
    )
    query, image_pos = torch.randn(1, places, width), torch.randn(1, places, width)
    one, other = (BankAttention(network.memory_attention, exact) for exact in (False, True))
    assert one._lean
    assert not other._lean
    found, expected = (each.attend(query, image_pos, bank) for each in (one, other))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def randomised(module: MemoryEncoder) -> MemoryEncoder:
    """A copy whose normalisations and layer scales are not what they begin as, so that leaving one out shows."""
    module = copy.deepcopy(module)
    for parameter in module.parameters():
        if parameter.ndim == 1:
            parameter.data = torch.rand_like(parameter) - 0.3
    return module.eval()


@pytest.mark.parametrize("images", [1, ROWS])
@pytest.mark.parametrize("scaled", [True, False])
@torch.inference_mode()
def test_memory_encoder(nano: Model, images: int, scaled: bool) -> None:
    """One image for all masks or one for each, and blocks with and without a scale of their own."""
    network = nano.network
    module = randomised(network.memory_encoder)
    if not scaled:
        for block in module.fuser.layers:
            block.gamma = None
    side = network.image_size // 16
    maps = torch.randn(images, network.hidden_dim, side, side)
    masks = 20 * torch.rand(ROWS, 1, network.image_size, network.image_size) - 10
    stock = module(maps, masks, skip_mask_sigmoid=True)["vision_features"]
    expected = stock.flatten(2).transpose(1, 2)
    found = LeanMemoryEncoder(module)(maps, masks)
    assert found.shape == (ROWS, side * side, network.mem_dim)
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


@torch.inference_mode()
def test_memory_encoder_without_projections(nano: Model) -> None:
    """SAM 2 leaves out a projection that would change no width."""
    module = randomised(nano.network.memory_encoder)
    width, side = nano.network.hidden_dim, nano.network.image_size // 16
    module.out_proj = nn.Identity()
    module.fuser.proj = nn.Conv2d(width, width, kernel_size=1)
    maps, masks = torch.randn(1, width, side, side), torch.rand(1, 1, 16 * side, 16 * side)
    expected = module(maps, masks, skip_mask_sigmoid=True)["vision_features"].flatten(2).transpose(1, 2)
    found = LeanMemoryEncoder(module)(maps, masks)
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)
