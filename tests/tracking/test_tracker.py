"""The tracker: objects that come and go, checks of its input, flat memory, its trace."""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import pytest
import torch
from PIL import Image
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import PLAIN, Arithmetic, Candidates, Engine, Features, FrameRecord, MemorySelection, Model
from sam2rl_tracker.engine.types import Prompt
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Choice, Encoding, Outcome, Policy, Prediction, Start, policy_by_name
from sam2rl_tracker.tracking.steps import Drawn, separate


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


@pytest.fixture(scope="module")
def encoded(nano: Model, video: Video) -> dict[int, Features]:
    """Each image of the video, by its identity."""
    engine = Engine(nano)
    return {id(image): engine.encode_image(image) for image in video.images}


def two_masks(video: Video) -> np.ndarray:
    return np.stack([video.truth[0], np.roll(video.truth[0], 40, axis=1)])


def test_objects_do_not_disturb_each_other(nano: Model, video: Video) -> None:
    """In exact mode an object's masks are the same whatever else is tracked, and whenever that was added."""
    alone = Tracker(nano, "dam4sam", exact=True)
    alone.initialize(video.images[0], video.truth[:1])
    together = Tracker(nano, "dam4sam", exact=True)
    together.initialize(video.images[0], video.truth[:1])
    for t in range(1, 12):
        expected = alone.track(video.images[t])[0]
        found = together.track(video.images[t])
        assert np.array_equal(found[0], expected)
        if t == 4:
            given = together.add(two_masks(video)[1:], ids=[7])
            assert np.array_equal(given, two_masks(video)[1:])
        if t == 8:
            assert together.ids == [1, 7]
            together.remove(7)
            assert together.ids == [1]


def test_a_late_object_equals_a_video_that_begins_there(nano: Model, video: Video) -> None:
    late = Tracker(nano, "samurai", exact=True)
    late.initialize(video.images[0])
    for image in video.images[1:6]:
        assert late.track(image).shape == (0, 128, 128)
    late.add(video.truth[5:6])
    fresh = Tracker(nano, "samurai", exact=True)
    fresh.initialize(video.images[5], video.truth[5:6])
    for image in video.images[6:14]:
        assert np.array_equal(late.track(image), fresh.track(image))
    assert late.trace()[0]["memories"][0] == [5, 6]  # frames of the video, not of the object
    assert fresh.trace()[0]["memories"][0] == [0, 6]


def test_initialize_forgets_the_video_before(nano: Model, video: Video) -> None:
    fresh, used = Tracker(nano, exact=True), Tracker(nano, exact=True)
    used.initialize(video.images[30], video.truth[30:31])
    used.track(video.images[31])
    for tracker in (fresh, used):
        tracker.initialize(video.images[0], video.truth[:1])
    assert np.array_equal(fresh.track(video.images[1]), used.track(video.images[1]))


def test_non_overlap_gives_each_pixel_to_one_object(nano: Model, video: Video) -> None:
    masks = np.stack([video.truth[0], np.roll(video.truth[0], 4, axis=1)])
    apart, plain = Tracker(nano, non_overlap=True), Tracker(nano)
    for tracker in (apart, plain):
        tracker.initialize(video.images[0], masks)
    overlapped = False
    for image in video.images[1:5]:
        disjoint, found = apart.track(image), plain.track(image)
        overlapped |= bool((found.sum(axis=0) > 1).any())
        assert disjoint.sum(axis=0).max() <= 1
        assert np.array_equal(disjoint.any(axis=0), found.any(axis=0))  # memories, and so the union, are unaffected
    assert overlapped, "the masks no longer overlap: this test shows nothing"


def test_of_masks_that_meet_the_highest_logit_gets_the_pixel() -> None:
    """Also where hypotheses that are no output lie between, and where two logits are equal: then the first object."""
    logits = torch.randn(5, 20, 30, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    masks = (logits > 0).numpy()
    outputs = [0, 2, 4]
    winners = logits[outputs].argmax(dim=0).numpy()
    expected = masks[outputs] & (winners == np.arange(3)[:, None, None])
    before = masks.copy()
    found = separate(Drawn(None, logits, masks), outputs)  # type: ignore[arg-type]
    assert np.array_equal(found, expected)
    assert np.array_equal(masks, before)  # what memories and hindsight are made of
    assert (masks[outputs].sum(axis=0) > 1).any()


def test_an_image_that_was_expected_is_not_resampled_again(
    nano: Model, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [np.asarray(Image.fromarray(image).resize((200, 150))) for image in video.images[:6]]
    mask = np.asarray(Image.fromarray(video.truth[0]).resize((200, 150)))[None]
    plain, ready = Tracker(nano), Tracker(nano)
    expected = [plain.initialize(images[0], mask), *map(plain.track, images[1:])]
    for image in images[:2]:
        ready.expect(image)
    found = [ready.initialize(images[0], mask)]
    for image, later in zip(images[1:], [*images[2:], images[0]], strict=True):
        ready.expect(later)
        monkeypatch.setattr(PIL.Image.Image, "resize", None)  # cannot be called
        found.append(ready.track(image))
        monkeypatch.undo()
    assert np.array_equal(np.stack(found), np.stack(expected))
    assert np.array_equal(ready.track(images[3].copy()), plain.track(images[3]))  # not expected: another array


def test_the_networks_time_is_a_part_of_all(nano: Model, video: Video) -> None:
    tracker = Tracker(nano)
    assert tracker.network_seconds == 0
    began = time.perf_counter()
    tracker.initialize(video.images[0], video.truth[:1])
    first = tracker.network_seconds
    tracker.track(video.images[1])
    assert 0 < first < tracker.network_seconds < time.perf_counter() - began


def test_a_box_finds_the_object(nano: Model, video: Video) -> None:
    rows, columns = np.nonzero(video.truth[0])
    box = [columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1]
    tracker = Tracker(nano)
    (mask,) = tracker.initialize(video.images[0], boxes=np.array([box]))
    overlap = (mask & video.truth[0]).sum() / (mask | video.truth[0]).sum()
    assert overlap > 0.3  # nano was trained on masks alone; it must at least look in the right place
    assert tracker.track(video.images[1]).shape == (1, 128, 128)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy", ["recency", "samurai", "dam4sam", "sam2long", "d4sm", "him2sam", "samite", "mosam:dense=true"]
)
def test_memory_is_flat(
    nano: Model, video: Video, encoded: dict[int, Features], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that a policy cannot reach any more are gone; what is left does not grow."""
    tracker = Tracker(nano, policy)
    monkeypatch.setattr(tracker._engine, "encode_image", lambda image, *_: encoded[id(image)])
    tracker.initialize(video.images[0], video.truth[:1])
    seen: list[weakref.ref[object]] = []
    alive = []
    for t in range(1, 240):
        tracker.track(video.images[t % 80])
        seen.append(weakref.ref(tracker._objects[0].record))
        if t % 40 == 39:
            gc.collect()
            alive.append(sum(reference() is not None for reference in seen))
    assert max(alive) <= 50
    reachable = tracker._objects[0].policy.reachable()
    assert len(reachable) <= 50  # three pathways of 16 frames, and the prompted one
    assert alive[-1] <= len(reachable)


def test_the_trace_says_what_was_attended_to(nano: Model, video: Video) -> None:
    tracker = Tracker(nano)
    tracker.initialize(video.images[0], video.truth[:1], ids=[3])
    (line,) = tracker.trace()
    assert line["memories"] == line["pointers"] == []
    assert (line["frame"], line["object"], line["stored"]) == (0, 3, True)
    assert line["area"] == int(video.truth[0].sum())
    for image in video.images[1:10]:
        (mask,) = tracker.track(image)
    (line,) = tracker.trace()
    assert line["memories"] == [[0, 6], [3, 5], [4, 4], [5, 3], [6, 2], [7, 1], [8, 0]]
    assert line["pointers"] == [[0, 9]] + [[9 - distance, distance] for distance in range(1, 9)]
    assert line["area"] == int(mask.sum())


@pytest.mark.slow
def test_batched_objects_are_close_to_exact_ones(nano: Model, video: Video) -> None:
    exact, batched = Tracker(nano, exact=True), Tracker(nano)
    for tracker in (exact, batched):
        tracker.initialize(video.images[0], two_masks(video))
    differing = 0
    for image in video.images[1:20]:
        differing += int((exact.track(image) != batched.track(image)).sum())
    assert differing <= 40  # of 19 * 2 * 128 * 128 pixels


@pytest.mark.skipif(
    "ATEN_CPU_CAPABILITY" in os.environ,
    reason="PyTorch's bfloat16 attention takes instructions that ATEN_CPU_CAPABILITY has switched off, and raises",
)
def test_bfloat16_tracks_alike(nano: Model, video: Video) -> None:
    full, half = Tracker(nano), Tracker(nano, dtype="bfloat16")
    for tracker in (full, half):
        tracker.initialize(video.images[0], video.truth[:1])
    for image in video.images[1:5]:
        a, b = full.track(image), half.track(image)
    assert (a & b).sum() / (a | b).sum() > 0.8


def test_exact_mode_has_no_other_arithmetic(nano: Model) -> None:
    for how in ({"dtype": "bfloat16"}, {"compile": True}):
        with pytest.raises(Sam2rlError, match="Exact mode computes in float32 and uncompiled: leave out exact, or"):
            Tracker(nano, exact=True, **how)  # type: ignore[arg-type]
    assert Tracker(nano, "sam2rl", dtype="bfloat16").arithmetic == PLAIN  # its agents were made for exact masks
    assert Tracker(nano, dtype="bfloat16").arithmetic == Arithmetic("bfloat16")


def test_the_contract_carries_features_and_what_is_measured_on_them(nano: Model, video: Video) -> None:
    """Objects of different rules in one batch: those that look see the image first, and are told what they measured."""

    class Looks(policy_by_name("recency")):  # type: ignore[misc]
        needs_features = True

        def look(self, t: int, features: Features) -> None:
            self.seen = (t, features)

        def begin(self, start: Start) -> None:
            assert self.seen[0] == 0
            assert start.logits is not None
            assert np.array_equal(start.logits.repeat_interleave(4, 0).repeat_interleave(4, 1).numpy() > 0, start.mask)
            super().begin(start)

        def measure(self, t: int, candidates: Candidates) -> torch.Tensor:
            assert self.seen[0] == t
            assert candidates.maps is not None
            assert candidates.maps.shape == (1, *self.seen[1].map.shape[1:])
            return torch.arange(10.0, 10.0 + t)[None]

        def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
            (measured,) = (prediction.measured for prediction in predictions)
            assert measured.tolist() == list(range(10, 10 + t))
            return super().choose(t, predictions)

    rules = iter([policy_by_name("recency"), Looks, policy_by_name("samurai"), Looks])
    tracker = Tracker(nano, lambda: next(rules)())
    square = np.zeros((1, 128, 128), dtype=bool)
    square[:, 32:64, 32:64] = True
    tracker.initialize(video.images[0], square.repeat(2, axis=0))  # the first rule is asked for its class's needs
    tracker.track(video.images[1])
    tracker.add(square, ids=[7])
    tracker.track(video.images[2])


def test_the_contract_carries_several_hypotheses_and_prompts(nano: Model, video: Video) -> None:
    """A rule with two hypotheses, one of them prompted by a mask, runs through the same tracker."""

    @dataclass
    class Twofold(Policy):
        def store(self, t: int, records: Sequence[FrameRecord]) -> None:
            if t == 0:
                self.first = records[0]
            assert t == 0 or [record.memory is None for record in records] == [False, True]

        def select(self, t: int) -> list[MemorySelection]:
            plain = MemorySelection(((self.first, 6),), ((self.first, t),))
            quarter = torch.full((32, 32), -10.0)
            return [plain, MemorySelection(plain.memories, plain.pointers, prompt=Prompt(mask=quarter))]

        def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
            assert len(predictions) == 2
            return [Choice(0, True, hypothesis=1), Choice(0, True, hypothesis=0)]

        def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
            assert not (outcomes[0].mask == outcomes[1].mask).all()  # the prompt did something
            return [Encoding.SOFT, Encoding.NONE]

        def reachable(self) -> set[FrameRecord]:
            return {self.first}

    tracker = Tracker(nano, Twofold)
    tracker.initialize(video.images[0], video.truth[:1])
    assert tracker.track(video.images[1]).shape == (1, 128, 128)
    assert tracker.trace()[0]["stored"] is False


# ----------------------------------------------------------------------------------------------------- bad input


def mask(video: Video) -> np.ndarray:
    return video.truth[:1]


BAD_STARTS = {
    "image": (lambda v: (v.images[0].astype(float), mask(v)), "uint8 .*float64"),
    "gray": (lambda v: (v.images[0][..., 0], mask(v)), r"\[128, 128\]"),
    "mask of another size": (lambda v: (v.images[0], np.ones((1, 64, 64), bool)), r"\[objects, 128, 128\]"),
    "a single mask without its axis": (lambda v: (v.images[0], mask(v)[0]), r"\[objects, 128, 128\]"),
    "empty mask": (lambda v: (v.images[0], np.zeros_like(mask(v))), "object 1 is empty"),
    "no masks": (lambda v: (v.images[0], mask(v)[:0]), "No masks were given"),
    "id of the background": (lambda v: (v.images[0], mask(v), [0]), "Ids count from 1"),
    "ids": (lambda v: (v.images[0], mask(v), [1, 2]), "2 ids were given for 1 objects"),
    "same ids": (lambda v: (v.images[0], two_masks(v), [2, 2]), "Object 2 is given twice"),
}


@pytest.mark.parametrize("case", BAD_STARTS)
def test_bad_starts_are_explained(nano: Model, video: Video, case: str) -> None:
    make, message = BAD_STARTS[case]
    with pytest.raises(Sam2rlError, match=message):
        Tracker(nano).initialize(*make(video))


@pytest.mark.parametrize("box", [[200, 5, 10, 10], [5, 5, 0, 10], [-20, 5, 10, 10], [np.nan, 5, 10, 10]])
def test_a_box_outside_the_image_is_explained(nano: Model, video: Video, box: list[float]) -> None:
    with pytest.raises(Sam2rlError, match="no area inside the image of 128x128"):
        Tracker(nano).initialize(video.images[0], boxes=np.array([box]))


def test_misuse_is_explained(nano: Model, video: Video) -> None:
    tracker = Tracker(nano)
    with pytest.raises(Sam2rlError, match="call initialize"):
        tracker.track(video.images[0])
    tracker.initialize(video.images[0], mask(video))
    with pytest.raises(Sam2rlError, match="Image 1 is 100x128 pixels, the first was 128x128"):
        tracker.track(video.images[1][:, :100])
    with pytest.raises(Sam2rlError, match="no object 5"):
        tracker.remove(5)
    with pytest.raises(Sam2rlError, match="Object 1 is given twice"):
        tracker.add(mask(video), ids=[1])
    with pytest.raises(Sam2rlError, match="either masks or boxes"):
        tracker.add()
    assert tracker.track(video.images[1]).any()  # none of this broke the track


def test_unknown_settings_list_what_exists(nano: Model) -> None:
    with pytest.raises(Sam2rlError, match=r"dam4sam, him2sam, learned, mosam, .*recency, .*samurai"):
        Tracker(nano, "nonsense")
    with pytest.raises(Sam2rlError, match="float32, bfloat16"):
        Tracker(nano, dtype="float8")
    with pytest.raises(Sam2rlError, match="unknown: give cpu"):
        Tracker("nano", device="tpux")
    assert policy_by_name("sam2") is policy_by_name("recency")
