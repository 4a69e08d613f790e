"""The engine in batches: reproducible in a fixed shape, and what a selection's masks and factors do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reference import load_video

from sam2rl_tracker.engine import (
    CONDITIONING_SLOT,
    Engine,
    ExactEngine,
    FixedShape,
    FrameRecord,
    MemorySelection,
    Model,
    Prompt,
)
from sam2rl_tracker.engine.attention import BankAttention, BankTokens

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_fixed_shape_makes_rows_independent(nano: Model, selections: list[MemorySelection]) -> None:
    """The same selection gives the same bits whatever the other rows hold, whichever row it is in."""
    engine = Engine(nano)
    features = engine.encode_image(load_video().images[9])
    shape = FixedShape(rows=8, pointers=7)
    together = engine.predict(features, selections, shape)
    backwards = engine.predict(features, selections[::-1], shape)
    assert torch.equal(together.logits, backwards.logits.flip(0))
    assert torch.equal(together.object_scores, backwards.object_scores.flip(0))
    for row, selection in enumerate(selections):
        alone = engine.predict(features, [selection], shape)
        assert torch.equal(together.logits[row], alone.logits[0])
        assert torch.equal(together.tokens[row], alone.tokens[0])
        assert torch.equal(together.ious[row], alone.ious[0])
        assert torch.equal(together.object_scores[row], alone.object_scores[0])


def test_a_scale_of_one_changes_nothing_and_another_does(nano: Model, selections: list[MemorySelection]) -> None:
    engine = Engine(nano)
    features = engine.encode_image(load_video().images[9])
    plain = selections[2]

    def scaled(factor: float) -> MemorySelection:
        count = len(plain.memories)
        return MemorySelection(plain.memories, plain.pointers, memory_scales=(factor,) * count)

    reference = engine.predict(features, [plain]).logits
    assert torch.equal(engine.predict(features, [scaled(1.0)]).logits, reference)
    assert not torch.allclose(engine.predict(features, [scaled(1.05)]).logits, reference, atol=1e-3)


@pytest.mark.parametrize("shape", [None, FixedShape(rows=8, pointers=7)])
def test_places_that_do_not_count_do_not_matter(
    nano: Model, selections: list[MemorySelection], shape: FixedShape | None
) -> None:
    engine = Engine(nano)
    features = engine.encode_image(load_video().images[9])
    plain, other_length = selections[2], selections[3]
    counted = torch.arange(64) % 3 > 0
    masks = (None, *[counted] * (len(plain.memories) - 1))

    def spoiled(record: FrameRecord) -> FrameRecord:
        assert record.memory is not None
        return replace(record, memory=torch.where(counted[:, None], record.memory, 100.0))

    whole = replace(plain, memory_masks=tuple(torch.ones(64, dtype=torch.bool) for _ in masks))
    chosen = replace(plain, memory_masks=masks)
    (first, *rest) = plain.memories
    other = replace(chosen, memories=(first, *((spoiled(record), slot) for record, slot in rest)))
    # Rows of other lengths, with and without masks, beside them.
    logits = engine.predict(features, [plain, whole, chosen, other, other_length], shape).logits
    assert torch.allclose(logits[0], logits[1], atol=1e-2)
    assert torch.allclose(logits[2], logits[3], atol=1e-2)
    assert not torch.allclose(logits[0], logits[2], atol=0.1)


@pytest.mark.parametrize("engine_class", [Engine, ExactEngine])
def test_rows_that_differ_in_their_prompts_alone_see_the_same(
    monkeypatch: pytest.MonkeyPatch, nano: Model, selections: list[MemorySelection], engine_class: type[Engine]
) -> None:
    engine = engine_class(nano)
    features = engine.encode_image(load_video().images[9])
    mask = torch.full((32, 32), -10.0)
    mask[8:16, 8:16] = 10.0
    rows = [one for plain in selections[2:4] for one in (plain, replace(plain, prompt=Prompt(mask=mask)))]
    attended = []
    attend = BankAttention.attend

    def spy(self: BankAttention, query: torch.Tensor, image_pos: torch.Tensor, bank: BankTokens) -> torch.Tensor:
        attended.append(len(bank.values))
        return attend(self, query, image_pos, bank)

    monkeypatch.setattr(BankAttention, "attend", spy)
    together = engine.predict(features, rows, keep_maps=True)
    if engine_class is Engine:  # one row at a time otherwise
        assert attended == [2]
    assert together.maps is not None
    assert together.maps.shape == (4, 96, 8, 8)
    for plain, prompted in ((0, 1), (2, 3)):
        assert torch.equal(together.maps[plain], together.maps[prompted])
        assert not torch.allclose(together.logits[plain], together.logits[prompted], atol=0.1)
    for row, selection in enumerate(rows):
        alone = engine.predict(features, [selection])
        assert torch.allclose(together.logits[row], alone.logits[0], atol=1e-2)
        assert alone.maps is None


def test_too_large_a_selection_is_an_error(nano: Model, selections: list[MemorySelection]) -> None:
    engine = Engine(nano)
    features = engine.encode_image(load_video().images[9])
    with pytest.raises(ValueError, match="5 selections do not fit a batch of 2 rows"):
        engine.predict(features, selections, FixedShape(rows=2))
    with pytest.raises(ValueError, match="1 to 3 memories"):
        engine.predict(features, selections, FixedShape(rows=5, memories=3))


def test_memories_are_stored_as_sam2_stores_them(nano: Model, selections: list[MemorySelection]) -> None:
    record, slot = selections[0].memories[0]
    assert isinstance(record, FrameRecord)
    assert slot == CONDITIONING_SLOT
    assert record.memory is not None
    assert record.memory.dtype == torch.bfloat16
    assert record.memory.shape == (64, nano.network.mem_dim)
