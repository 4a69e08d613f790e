"""In exact mode the engine under the recency policy is stock `SAM2VideoPredictor`; in batches it is reproducible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from reference import SCENES, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Engine, FixedShape, MemorySelection, Model, random_model
from sam2rl_tracker.engine.stock import stock_predictor, stock_state
from sam2rl_tracker.engine.types import CONDITIONING_SLOT, FrameRecord


def stock_logits(model: Model, images: Sequence[np.ndarray], masks: np.ndarray) -> np.ndarray:
    """Mask logits float32 [T, objects, height, width] of the stock predictor."""
    predictor = stock_predictor(model)
    with torch.inference_mode():
        state = stock_state(model, predictor, images)
        for index, mask in enumerate(masks):
            predictor.add_new_mask(state, 0, index + 1, mask)
        return np.stack([logits[:, 0].numpy() for _, _, logits in predictor.propagate_in_video(state)])


def our_logits(
    monkeypatch: pytest.MonkeyPatch, tracker: Tracker, images: Sequence[np.ndarray], masks: np.ndarray
) -> np.ndarray:
    """The logits [T-1, objects, height, width] behind the masks of frames 1 to T-1."""
    seen: list[np.ndarray] = []
    resize = Engine.video_logits

    def spy(engine: Engine, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        result = resize(engine, logits, size)
        seen.append(result.numpy())
        return result

    monkeypatch.setattr(Engine, "video_logits", spy)
    tracker.initialize(images[0], masks)
    for image in images[1:]:
        found = tracker.track(image)
        assert np.array_equal(found, seen[-1] > 0)
    return np.stack(seen)


def assert_equal_to_stock(
    monkeypatch: pytest.MonkeyPatch, model: Model, images: Sequence[np.ndarray], masks: np.ndarray
) -> np.ndarray:
    tracker = Tracker(model, "recency", exact=True, num_frames=len(images))
    ours = our_logits(monkeypatch, tracker, images, masks)
    stock = stock_logits(model, images, masks)
    assert np.abs(ours - stock[1:]).max() <= 1e-4
    assert np.count_nonzero((ours > 0) != (stock[1:] > 0)) == 0
    return ours


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_whole_video_with_an_absent_object(monkeypatch: pytest.MonkeyPatch, nano: Model) -> None:
    video = load_video()
    ours = assert_equal_to_stock(monkeypatch, nano, video.images, video.truth[:1])
    assert (ours == -1024).all(axis=(1, 2, 3)).any(), "the video no longer reaches the absent branch"


@pytest.mark.parametrize("scene", SCENES)
def test_the_videos_and_the_model_of_the_golden_masks(
    monkeypatch: pytest.MonkeyPatch, reference_model: Model, scene: str
) -> None:
    """Of the golden masks themselves, single pixels depend on the machine (`policies/test_published.py`)."""
    video = load_video(scene)
    assert_equal_to_stock(monkeypatch, reference_model, video.images, video.truth[:1])


@pytest.mark.parametrize("frames", [2, 9, 15])
def test_videos_shorter_than_the_pointer_span(monkeypatch: pytest.MonkeyPatch, nano: Model, frames: int) -> None:
    video = load_video()
    assert_equal_to_stock(monkeypatch, nano, video.images[:frames], video.truth[:1])


def test_two_objects_at_another_size_than_the_models(monkeypatch: pytest.MonkeyPatch, nano: Model) -> None:
    video = load_video()
    size = (150, 110)  # width, height
    images = [np.asarray(Image.fromarray(image).resize(size)) for image in video.images[:20]]
    target = np.asarray(Image.fromarray(video.truth[0]).resize(size))
    assert_equal_to_stock(monkeypatch, nano, images, np.stack([target, np.roll(target, 35, axis=1)]))


@pytest.mark.slow
def test_hiera_tiny_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM 2.1 Hiera-T at 1024 x 1024 with random weights."""
    video = load_video()
    model = random_model("sam2.1_hiera_tiny", "cpu", seed=1)
    assert_equal_to_stock(monkeypatch, model, video.images[:3], video.truth[:1])


def _selections(engine: Engine) -> tuple[list[MemorySelection], object]:
    """Selections of several lengths over a short track, and the features of the frame after it."""
    video = load_video()
    tracker = Tracker(engine.model, "recency")
    tracker.initialize(video.images[0], video.truth[:1])
    for image in video.images[1:9]:
        tracker.track(image)
    (selection,) = tracker._objects[0].policy.select(9)
    first, *others = selection.memories

    def only(count: int) -> MemorySelection:
        kept = (first, *others[len(others) - count :])
        return MemorySelection(kept, tuple((record, 9 - record.frame) for record, _ in kept))

    return [only(count) for count in (0, 2, 6, 4, 1)], engine.encode_image(video.images[9])


def test_a_fixed_shape_makes_rows_independent(nano: Model) -> None:
    """The same selection gives the same bits whatever the other rows hold, whichever row it is in."""
    engine = Engine(nano)
    selections, features = _selections(engine)
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


def test_batched_rows_stay_close_to_exact_ones(nano: Model) -> None:
    exact, batched = Engine(nano, exact=True), Engine(nano)
    selections, features = _selections(exact)
    one_by_one = exact.predict(features, selections)
    together = batched.predict(features, selections)
    assert (one_by_one.logits - together.logits).abs().max() < 1e-2
    assert (one_by_one.ious - together.ious).abs().max() < 1e-4


def test_a_scale_of_one_changes_nothing_and_another_does(nano: Model) -> None:
    engine = Engine(nano, exact=True)
    selections, features = _selections(engine)
    plain = selections[2]

    def scaled(factor: float) -> MemorySelection:
        count = len(plain.memories)
        return MemorySelection(plain.memories, plain.pointers, memory_scales=(factor,) * count)

    reference = engine.predict(features, [plain]).logits
    assert torch.equal(engine.predict(features, [scaled(1.0)]).logits, reference)
    assert not torch.allclose(engine.predict(features, [scaled(1.05)]).logits, reference, atol=1e-3)


@pytest.mark.parametrize("shape", [None, FixedShape(rows=8, pointers=7)])
def test_places_that_do_not_count_do_not_matter(nano: Model, shape: FixedShape | None) -> None:
    engine = Engine(nano)
    selections, features = _selections(engine)
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


def test_too_large_a_selection_is_an_error(nano: Model) -> None:
    engine = Engine(nano)
    selections, features = _selections(engine)
    with pytest.raises(ValueError, match="5 selections do not fit a batch of 2 rows"):
        engine.predict(features, selections, FixedShape(rows=2))
    with pytest.raises(ValueError, match="1 to 3 memories"):
        engine.predict(features, selections, FixedShape(rows=5, memories=3))


def test_memories_are_stored_as_sam2_stores_them(nano: Model) -> None:
    engine = Engine(nano)
    selections, _ = _selections(engine)
    record, slot = selections[0].memories[0]
    assert isinstance(record, FrameRecord)
    assert slot == CONDITIONING_SLOT
    assert record.memory is not None
    assert record.memory.dtype == torch.bfloat16
    assert record.memory.shape == (64, nano.network.mem_dim)
