"""bfloat16 on a CPU: as reproducible as float32, close to it, and nobody else's business."""

from __future__ import annotations

import pytest
import torch
from reference import load_video
from torch import Tensor

from sam2rl_tracker.engine import Arithmetic, Candidates, Engine, FixedShape, MemorySelection, Model

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = FixedShape(rows=8, pointers=7)


def predicted(engine: Engine, selections: list[MemorySelection]) -> tuple[Candidates, Tensor]:
    """The candidates of each selection, and memories of their likeliest masks."""
    features = engine.encode_image(load_video().images[9])
    candidates = engine.predict(features, selections, SHAPE)
    rows = torch.arange(len(selections))
    chosen = engine.choose(candidates, rows, candidates.ious.argmax(dim=1), candidates.object_scores > 0)
    return candidates, engine.encode_memory(features, chosen, [False] * len(selections))


def test_rows_are_independent_and_the_same_each_time(nano: Model, selections: list[MemorySelection]) -> None:
    first, memories = predicted(Arithmetic("bfloat16").engine(nano), selections)
    backwards, flipped = predicted(Arithmetic("bfloat16").engine(nano), selections[::-1])
    assert torch.equal(first.logits, backwards.logits.flip(0))
    assert torch.equal(memories, flipped.flip(0))
    for row, selection in enumerate(selections):
        alone, _ = predicted(Arithmetic("bfloat16").engine(nano), [selection])
        for field in ("logits", "ious", "tokens", "object_scores"):
            assert torch.equal(getattr(first, field)[row], getattr(alone, field)[0])


def test_it_is_close_to_float32(nano: Model, selections: list[MemorySelection]) -> None:
    """Bounds are twice what was measured."""
    full, memories = predicted(Arithmetic().engine(nano), selections)
    coarse, other = predicted(Arithmetic("bfloat16").engine(nano), selections)
    assert 0 < (full.logits - coarse.logits).abs().max() < 0.7  # of 33 at most
    assert (full.ious - coarse.ious).abs().max() < 0.004
    assert (full.object_scores - coarse.object_scores).abs().max() < 0.1
    assert (memories.float() - other.float()).abs().mean() < 0.011 * memories.float().abs().mean()
    assert ((full.logits > 0) != (coarse.logits > 0)).float().mean() < 0.0015


def test_it_is_held_in_bfloat16_and_handed_out_in_float32(nano: Model, selections: list[MemorySelection]) -> None:
    engine = Arithmetic("bfloat16").engine(nano)
    features = engine.encode_image(load_video().images[9])
    candidates = engine.predict(features, selections, keep_maps=True)
    assert candidates.maps is not None
    held = (features.map, features.query, *features.high_res, candidates.maps)
    assert {tensor.dtype for tensor in held} == {torch.bfloat16}
    handed = (candidates.logits, candidates.ious, candidates.tokens, candidates.object_scores)
    assert {tensor.dtype for tensor in handed} == {torch.float32}


def test_the_model_stays_as_it_is(nano: Model, selections: list[MemorySelection]) -> None:
    before, hashed = predicted(Engine(nano), selections)[0].logits, nano.hash
    predicted(Arithmetic("bfloat16").engine(nano), selections)
    assert {weight.dtype for weight in nano.network.parameters()} == {torch.float32}
    assert type(nano)(nano.name, nano.network, nano.config, nano.device).hash == hashed
    assert torch.equal(predicted(Engine(nano), selections)[0].logits, before)
