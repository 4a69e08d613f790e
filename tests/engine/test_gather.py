"""Gathering, by hand: a network of width 4 whose memories have two places of width 2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sam2rl_tracker.engine import FixedShape, FrameRecord, MemorySelection
from sam2rl_tracker.engine.gather import gather
from sam2rl_tracker.engine.operations import encode_distances

POSITIONS = torch.arange(7.0)[:, None, None].expand(7, 2, 2) * 10  # [slots, places, D]: 0, 10, ... 60


def network(**settings: Any) -> Any:
    torch.manual_seed(0)
    defaults = {
        "use_obj_ptrs_in_encoder": True,
        "add_tpos_enc_to_obj_ptrs": True,
        "proj_tpos_enc_in_obj_ptrs": True,
        "hidden_dim": 4,
        "mem_dim": 2,
        "obj_ptr_tpos_proj": nn.Linear(4, 2),
    }
    return SimpleNamespace(**{**defaults, **settings})


def record(frame: int, encoded: bool = True) -> FrameRecord:
    """A frame whose memory holds its number and whose pointer counts on from there."""
    memory = torch.full((2, 2), float(frame), dtype=torch.bfloat16)
    return FrameRecord(frame, memory if encoded else None, frame + torch.arange(4) / 10, 1.0, 1.0, 1)


A, B, C = record(0), record(1), record(2)
LONG = MemorySelection(((A, 6), (C, 0)), ((A, 3), (B, 2), (C, 1)), pointer_span=4)
SHORT = MemorySelection(((B, 6),), ((B, 2),), pointer_span=3)


@torch.inference_mode()
def test_memories_stand_before_the_parts_of_pointers() -> None:
    bank = gather(network(), POSITIONS, [LONG])
    assert bank.values.dtype == torch.float32
    pointer = [[0.0, 0.1], [0.2, 0.3]]
    pointers = torch.tensor([[value + frame for value in part] for frame in (0, 1, 2) for part in pointer])
    memories = torch.tensor([0.0, 0, 2, 2])[:, None].expand(4, 2)
    assert torch.allclose(bank.values[0], torch.cat([memories, pointers]))
    assert bank.positions[0, :4].tolist() == [[60, 60], [60, 60], [0, 0], [0, 0]]
    distances = encode_distances(network(), torch.tensor([[1.0, 2 / 3, 1 / 3]]))
    assert torch.allclose(bank.positions[0, 4:], distances[0].repeat_interleave(2, dim=0))
    assert bank.rotated == 4
    assert bank.mask is None
    assert bank.key_scale is None


@torch.inference_mode()
def test_a_shorter_row_is_padded_and_masked() -> None:
    bank = gather(network(), POSITIONS, [LONG, SHORT])
    alone = gather(network(), POSITIONS, [SHORT])
    assert bank.mask is not None
    assert bank.mask[0].all()
    assert bank.mask[1].int().tolist() == [1, 1, 0, 0, 1, 1, 0, 0, 0, 0]
    for padded, single in ((bank.values, alone.values), (bank.positions, alone.positions)):
        assert torch.equal(padded[1][bank.mask[1]], single[0])
    without = gather(network(), POSITIONS, [LONG, MemorySelection(SHORT.memories, ())])
    assert without.mask is not None
    assert without.mask[1].int().tolist() == [1, 1, 0, 0] + [0] * 6


@torch.inference_mode()
def test_a_fixed_shape_pads_every_row_and_always_masks() -> None:
    bank = gather(network(), POSITIONS, [LONG], FixedShape(rows=1, memories=3, pointers=4))
    assert bank.values.shape == bank.positions.shape == (1, 3 * 2 + 4 * 2, 2)
    assert bank.rotated == 6
    assert bank.mask is not None
    assert bank.mask[0].int().tolist() == [1] * 4 + [0] * 2 + [1] * 6 + [0] * 2
    full = gather(network(), POSITIONS, [LONG], FixedShape(rows=1, memories=2, pointers=3))
    assert full.mask is not None
    assert full.mask.all()


def with_masks(*masks: Tensor | None) -> MemorySelection:
    return MemorySelection(LONG.memories, LONG.pointers, LONG.pointer_span, memory_masks=masks)


@torch.inference_mode()
def test_places_of_a_memory_may_be_left_out() -> None:
    first = torch.tensor([True, False])
    bank = gather(network(), POSITIONS, [with_masks(None, first)])
    assert bank.mask is not None
    assert bank.mask[0].int().tolist() == [1, 1, 1, 0] + [1] * 6
    beside = gather(network(), POSITIONS, [with_masks(first, None), SHORT])
    assert beside.mask is not None
    assert beside.mask.int().tolist() == [[1, 0, 1, 1] + [1] * 6, [1, 1, 0, 0, 1, 1, 0, 0, 0, 0]]


@torch.inference_mode()
def test_factors_reach_their_own_tokens() -> None:
    scaled = MemorySelection(LONG.memories, LONG.pointers, memory_scales=(2.0, 3.0))
    bank = gather(network(), POSITIONS, [scaled, SHORT])
    assert bank.key_scale is not None
    assert bank.key_scale[..., 0].tolist() == [[2, 2, 3, 3] + [1] * 6, [1] * 10]
    pointers = MemorySelection(LONG.memories, LONG.pointers, pointer_scales=(4.0, 5.0, 6.0))
    bank = gather(network(), POSITIONS, [pointers])
    assert bank.key_scale is not None
    assert bank.key_scale[0, :, 0].tolist() == [1] * 4 + [4, 4, 5, 5, 6, 6]


@torch.inference_mode()
def test_networks_without_pointers_or_without_their_encodings() -> None:
    bank = gather(network(use_obj_ptrs_in_encoder=False), POSITIONS, [LONG])
    assert bank.values.shape == (1, 4, 2)
    assert bank.mask is None
    plain = network(add_tpos_enc_to_obj_ptrs=False)
    assert (gather(plain, POSITIONS, [LONG]).positions[0, 4:] == 0).all()


def test_what_cannot_be_gathered() -> None:
    with pytest.raises(ValueError, match=r"A selection must hold 1 to 2 memories and at most 3 pointers\."):
        gather(network(), POSITIONS, [LONG, MemorySelection((), ())])
    with pytest.raises(ValueError, match=r"A selection must hold 1 to 1 memories"):
        gather(network(), POSITIONS, [LONG], FixedShape(rows=1, memories=1))
    with pytest.raises(ValueError, match=r"Temporal slots are 0 to 6"):
        gather(network(), POSITIONS, [MemorySelection(((A, 7),), ())])
    with pytest.raises(ValueError, match=r"Frame 5 was not encoded as a memory: its record can only serve"):
        gather(network(), POSITIONS, [MemorySelection(((record(5, encoded=False), 0),), ())])
