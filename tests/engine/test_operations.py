"""The steps that tracking and training share, against their definitions and stock SAM 2's own methods."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2rl_tracker.engine import Model
from sam2rl_tracker.engine.operations import (
    Normalisation,
    blank_pointers,
    encode_distances,
    encode_memory,
    resize,
    to_tokens,
)

CPU = torch.device("cpu")


def test_images_are_normalised_as_sam2s_loader_does_it() -> None:
    """`sam2.utils.misc`: float64 division by 255, float32 subtraction and division. Every byte, every channel."""
    values = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 1, 256))
    stock = torch.from_numpy(values / 255.0).float()
    stock -= torch.tensor((0.485, 0.456, 0.406))[:, None, None]
    stock /= torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    pixels = torch.from_numpy(values.copy()).float()
    assert torch.equal(Normalisation(CPU)(pixels), stock)
    assert torch.equal(pixels, stock)  # in place
    batch = torch.from_numpy(np.stack([values, values])).float()
    assert torch.equal(Normalisation(CPU)(batch)[1], stock)


def test_tokens_run_row_by_row() -> None:
    maps = torch.arange(12.0).view(1, 2, 2, 3)  # two channels of a map of two rows and three columns
    assert to_tokens(maps).tolist() == [[[0, 6], [1, 7], [2, 8], [3, 9], [4, 10], [5, 11]]]


def test_a_side_or_a_height_and_a_width() -> None:
    maps = torch.rand(2, 1, 8, 8)
    assert resize(maps, 4).shape == (2, 1, 4, 4)
    assert resize(maps, (4, 16)).shape == (2, 1, 4, 16)
    assert torch.equal(resize(maps, 8), maps)
    smooth, coarse = resize(maps, 2, antialias=True), resize(maps, 2)
    assert not torch.equal(smooth, coarse)


@torch.inference_mode()
def test_distances_are_encoded_one_by_one(nano: Model) -> None:
    distances = torch.tensor([[0.0, 0.2], [1.0, 0.2]])
    encoded = encode_distances(nano.network, distances)
    assert encoded.shape == (2, 2, nano.network.mem_dim)
    assert torch.allclose(encoded[0, 1], encoded[1, 1])
    assert not torch.allclose(encoded[0, 0], encoded[1, 0])


@torch.inference_mode()
def test_absent_objects_have_the_learned_pointer(nano: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nano.network
    pointers, visible = torch.rand(2, network.hidden_dim), torch.tensor([True, False])
    scores = torch.tensor([0.0, 0.0])
    found = blank_pointers(network, pointers, visible, scores)
    assert torch.equal(found[0], pointers[0])
    assert torch.equal(found[1], network.no_obj_ptr[0])
    monkeypatch.setattr(network, "soft_no_obj_ptr", True)
    assert torch.allclose(blank_pointers(network, pointers, visible, scores), (pointers + network.no_obj_ptr) / 2)
    monkeypatch.setattr(network, "pred_obj_scores", False)
    assert blank_pointers(network, pointers, visible, scores) is pointers


@torch.inference_mode()
def test_memories_are_stock_sam2s(nano: Model) -> None:
    """One row at a time, visible and not: the bits of `_encode_new_memory`."""
    network, side = nano.network, nano.network.image_size
    maps = torch.rand(1, network.hidden_dim, side // 16, side // 16)
    logits = torch.randn(1, 1, side, side)
    for score in (-1.0, 1.0):
        scores = torch.tensor([[score]])
        features = [maps.flatten(2).permute(2, 0, 1)]
        stock, _ = network._encode_new_memory(features, [maps.shape[-2:]], logits, scores, is_mask_from_pts=False)
        assert torch.equal(encode_memory(network, maps, logits.sigmoid(), scores[:, 0] > 0), to_tokens(stock))
