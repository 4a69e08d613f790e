"""Exact mode: under the recency policy it is stock `SAM2VideoPredictor`, and every row is what it is alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from reference import SCENES, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Engine, ExactEngine, MemorySelection, Model, random_model
from sam2rl_tracker.engine.stock import stock_predictor, stock_state

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.slow
def test_whole_video_with_an_absent_object(monkeypatch: pytest.MonkeyPatch, nano: Model) -> None:
    video = load_video()
    ours = assert_equal_to_stock(monkeypatch, nano, video.images, video.truth[:1])
    assert (ours == -1024).all(axis=(1, 2, 3)).any(), "the video no longer reaches the absent branch"


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_batched_rows_stay_close_to_exact_ones(nano: Model, selections: list[MemorySelection]) -> None:
    exact, batched = ExactEngine(nano), Engine(nano)
    features = exact.encode_image(load_video().images[9])
    one_by_one = exact.predict(features, selections)
    together = batched.predict(features, selections)
    assert (one_by_one.logits - together.logits).abs().max() < 1e-2
    assert (one_by_one.ious - together.ious).abs().max() < 1e-4


def same(together: object, alone: Sequence[object]) -> bool:
    """Whether a batch of rows, as `Candidates` or `Chosen`, has the bits of its rows alone."""
    columns = zip(vars(together).values(), *(vars(one).values() for one in alone), strict=True)
    return all(whole is None or torch.equal(whole, torch.cat(parts)) for whole, *parts in columns)


class Plain(Engine):
    """The batched engine, of SAM 2's own operations."""

    exact = True


def test_rows_are_what_they_are_alone(nano: Model, selections: list[MemorySelection]) -> None:
    """Every method on several rows at once against the batched engine on each of them."""
    video = load_video()
    exact, plain = ExactEngine(nano), Plain(nano)
    features = plain.encode_image(video.images[9])

    candidates = exact.predict(features, selections)
    assert same(candidates, [plain.predict(features, [one]) for one in selections])

    rows, picks = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([2, 0, 1, 1, 0])
    visible = torch.tensor([True, True, False, True, True])
    chosen = exact.choose(candidates, rows, picks, visible)
    each = [slice(i, i + 1) for i in range(len(rows))]
    assert same(chosen, [exact.choose(candidates, rows[i], picks[i], visible[i]) for i in each])
    assert chosen.input_logits is not None
    assert (chosen.input_logits[2] == -1024).all()
    whole_size = torch.nn.functional.interpolate(candidates.logits[:1], size=128, mode="bilinear")
    assert torch.equal(chosen.input_logits[0], whole_size[0, 2])

    memories = exact.encode_memory(features, chosen, [False, True, False, True, False])
    for i, binary in enumerate([False, True, False, True, False]):
        assert torch.equal(memories[i : i + 1], plain.encode_memory(features, chosen.take([i]), [binary]))

    masks = np.stack([video.truth[0], np.roll(video.truth[0], 35, axis=1)])
    assert same(exact.prompt_masks(features, masks), [plain.prompt_masks(features, mask[None]) for mask in masks])
    size = features.video_size
    prompts = [
        exact.point_prompt(size, np.zeros((0, 3)), np.array([10, 20, 40, 30])),
        exact.point_prompt(size, np.array([[70, 70, 1]])),  # several candidates, of which one is taken
        exact.point_prompt(size, np.array([[70, 70, 1]]), np.array([60.5, 50, 30, 44])),
        exact.point_prompt(size, np.array([[20, 30, 1], [90, 30, 0]])),
    ]
    found, ious = exact.prompt_points(features, prompts)
    alone_found, alone_ious = zip(*(plain.prompt_points(features, [prompt]) for prompt in prompts), strict=True)
    assert same(found, alone_found)
    assert torch.equal(ious, torch.cat(alone_ious))


def test_the_plain_kernel_has_other_last_bits(nano: Model, selections: list[MemorySelection]) -> None:
    """Which some published code computes with; see `math_attention` of the policies."""
    features = Engine(nano).encode_image(load_video().images[9])
    fused = ExactEngine(nano).predict(features, selections[:1]).logits
    plain = ExactEngine(nano, math_attention=True).predict(features, selections[:1]).logits
    assert not torch.equal(fused, plain)
    assert torch.allclose(fused, plain, atol=1e-2)
