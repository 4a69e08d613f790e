"""Attention by products of matrices: of all rows at once, and of each alone where banks are large."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sam2rl_tracker.engine import lean


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("large", [True, False])
@torch.inference_mode()
def test_attention(shared: bool, masked: bool, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several parts of the queries, the last of them shorter."""
    torch.manual_seed(0)
    if large:
        monkeypatch.setattr(lean, "_LARGE", 0)
    monkeypatch.setattr(lean, "_SCORES", 64)
    monkeypatch.setattr(lean, "_SCORES_ALONE", 64)
    q, k, values = torch.randn(1 if shared else 3, 150, 32), torch.randn(3, 500, 32), torch.randn(3, 500, 8)
    mask = torch.rand(3, 500) > 0.3 if masked else None
    there = F.scaled_dot_product_attention(q.expand(3, -1, -1), k, values, None if mask is None else mask[:, None])
    torch.testing.assert_close(lean.attend(q, k, values, mask), there, rtol=1e-5, atol=1e-6)
