"""Objects by points, and corrections: what they change under every rule, what they leave alone, what is refused."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from reference import Video, load_video, nano_of

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents import Agent, fingerprint
from sam2rl_tracker.engine import FrameRecord, Model
from sam2rl_tracker.errors import NothingFound, Sam2rlError
from sam2rl_tracker.policies import Correction, Policy, make_policy, policy_by_name
from sam2rl_tracker.policies.recency import Recency
from sam2rl_tracker.policies.registry import BUILTIN
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.synthetic import generate_scene

RULES = [name for name in BUILTIN if policy_by_name(name).takes_corrections]


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


def two_masks(video: Video) -> np.ndarray:
    return np.stack([video.truth[0], np.roll(video.truth[0], 40, axis=1)])


def on(mask: np.ndarray) -> np.ndarray:
    """A point in the middle of a mask, [1, 3]."""
    rows, columns = np.nonzero(mask)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return np.array([[columns[middle], rows[middle], 1]])


def started(tracker: Tracker, video: Video, frames: int) -> Tracker:
    """The tracker after so many frames of two objects."""
    tracker.initialize(video.images[0], two_masks(video))
    for image in video.images[1:frames]:
        tracker.track(image)
    return tracker


# ---------------------------------------------------------------------------------------------- under every rule


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "learned"])  # its agent serves nano alone
def test_one_correction_brings_a_lost_object_back(reference_model: Model, rule: str) -> None:
    """Two trackers of the same object, of which one is corrected once every rule has lost it."""
    lost, frames = 24, 33
    scene = generate_scene(12, frames=60)
    truth = scene.labels == 1
    tracker = Tracker(reference_model, rule)
    tracker.initialize(scene.images[0], np.stack([truth[0], truth[0]]))
    ious: list[np.ndarray] = []  # [2] of the corrected one and of the other
    for t in range(1, frames):
        masks = tracker.track(scene.images[t])
        ious.append((masks & truth[t]).sum(axis=(1, 2)) / (masks | truth[t]).sum(axis=(1, 2)))
        if t == lost:
            assert np.array_equal(tracker.correct(1, mask=truth[t]), truth[t])
    assert np.mean(ious[lost - 4 : lost]) < 0.1
    corrected, left_alone = np.mean(ious[lost:], axis=0)
    assert left_alone < 0.3
    assert corrected > 0.5


def test_the_learned_agent_follows_a_correction(nano: Model) -> None:
    """Told that the object is another one, it tracks that one from there."""
    scene = generate_scene(32_000_011, frames=9, objects=2)
    tracker = Tracker(nano, "learned")
    tracker.initialize(scene.images[0], scene.labels[:1] == 1)
    for image in scene.images[1:6]:
        tracker.track(image)
    other = scene.labels == 2
    tracker.correct(1, mask=other[5])
    for t in (6, 7, 8):
        mask = tracker.track(scene.images[t])[0]
        assert (mask & other[t]).sum() / (mask | other[t]).sum() > 0.5
    stored = [frame for frame, slot in tracker.trace()[0]["memories"] if slot != 6]
    assert all(frame > 5 for frame in stored)  # what came before is forgotten


@pytest.mark.parametrize("rule", [*RULES, "sam2long:output=final"])
def test_a_corrected_frame_is_a_conditioning_frame(nano: Model, video: Video, rule: str) -> None:
    """Of the corrected object, and under rules that look back, too; the last prediction saw each frame once."""
    tracker = started(Tracker(nano, rule), video, 4)
    tracker.correct(2, points=on(two_masks(video)[1]))
    assert [(line["prompt"], line["stored"]) for line in tracker.trace()][1] == ("correction", True)
    for image in video.images[4:7]:
        tracker.track(image)
    tracker.correct(2, mask=video.truth[6])
    tracker.track(video.images[7])
    other, line = tracker.trace()
    assert line["memories"][:3] == [[0, 6], [3, 6], [6, 6]]
    assert line["pointers"][:3] == [[0, 7], [3, 4], [6, 1]]
    frames = [frame for frame, _ in line["memories"]]
    assert len(set(frames)) == len(frames)
    assert [frame for frame, slot in other["memories"] if slot == 6] == [0]
    assert line["prompt"] is None


class Watching(Recency):
    """It notes what it is told of corrections."""

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        super().store(t, records)
        self.stored = records[0]
        self.told: list[tuple[int, Correction]] = []

    def correct(self, t: int, correction: Correction) -> None:
        self.told.append((t, correction))


def test_a_rule_is_told_what_was_corrected(nano: Model, video: Video) -> None:
    tracker = started(Tracker(nano, Watching), video, 3)
    before = tracker.track(video.images[3])[0]
    policy: Any = tracker._objects[0].policy
    after = tracker.correct(1, mask=video.truth[3])
    tracker.correct(1, points=on(video.truth[3]))
    (t, first), (_, second) = policy.told
    assert t == first.record.frame == 3
    assert first.replaced is second.replaced is policy.stored
    assert np.array_equal(first.mask, after)
    assert first.record.area == after.sum()
    rows, columns = np.nonzero(video.truth[3])
    assert np.abs(first.box - [columns.min(), rows.min(), columns.max(), rows.max()]).max() <= 1
    assert first.overlap == pytest.approx((before & after).sum() / (before | after).sum())
    assert first.was_lost == (first.overlap < 0.5)
    assert tuple(first.logits.shape) == (32, 32)
    assert second.record is tracker._objects[0].record
    assert policy_by_name("recency").correct is policy_by_name("stride").correct  # which is to do nothing


# ------------------------------------------------------------------------------------------------- what it leaves alone


def test_other_objects_do_not_notice(nano: Model, video: Video) -> None:
    corrected, plain = (started(Tracker(nano, "dam4sam"), video, 5) for _ in range(2))
    corrected.correct(1, mask=video.truth[4])
    for image in video.images[5:9]:
        found, expected = corrected.track(image), plain.track(image)
        assert (found[1] ^ expected[1]).sum() <= 10  # rows of a batch may differ in their last bits
        assert not np.array_equal(found[0], expected[0])


def test_batched_corrections_are_close_to_exact_ones(reference_model: Model, video: Video) -> None:
    exact, batched = (started(Tracker(reference_model, exact=mode), video, 4) for mode in (True, False))
    for t in range(4, 10):
        found = [tracker.track(video.images[t]) for tracker in (exact, batched)]
        assert (found[0] ^ found[1]).sum() <= 40
        if t in (4, 6):
            found = [tracker.correct(1, points=on(video.truth[t]))[None] for tracker in (exact, batched)]
            assert (found[0] ^ found[1]).sum() <= 20


def test_objects_in_one_call_are_what_they_are_alone(reference_model: Model, video: Video) -> None:
    """Whatever the others have: a point, several, a box, or both."""
    point, box = on(video.truth[0]), np.array([[10, 20, 40, 30]])
    several, nothing = np.concatenate([point, [[3, 3, 0]]]), np.full((1, 4), np.nan)
    given = [(point, nothing), (several, nothing), (point[:0], box), (point, nothing), (several, box)]
    tracker = Tracker(reference_model, exact=True)
    together = tracker.initialize(
        video.images[0], points=[own for own, _ in given], boxes=np.concatenate([own for _, own in given])
    )
    for (points, boxes), mask in zip(given, together, strict=True):
        alone = Tracker(reference_model, exact=True)
        assert np.array_equal(alone.initialize(video.images[0], points=[points], boxes=boxes)[0], mask)
    assert np.array_equal(tracker.initialize(video.images[0], boxes=box)[0], together[2])
    assert not np.array_equal(together[0], together[1])


def test_on_its_first_frame_an_object_begins_anew(nano: Model, video: Video) -> None:
    late, fresh = Tracker(nano, "samurai", exact=True), Tracker(nano, "samurai", exact=True)
    late.initialize(video.images[0])
    late.track(video.images[1])
    late.add(two_masks(video), ids=[4, 7])
    assert np.array_equal(late.correct(4, mask=video.truth[1]), video.truth[1])
    assert late.ids == [4, 7]
    fresh.initialize(video.images[1], np.stack([video.truth[1], two_masks(video)[1]]))
    for tracker in (late, fresh):
        assert [line["prompt"] for line in tracker.trace()] == ["init", "init"]
    for image in video.images[2:6]:
        assert np.array_equal(late.track(image), fresh.track(image))


@pytest.mark.slow
def test_memory_stays_flat(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 2000 frames with 20 corrections, under many rules at once.

    What is kept is tested, not what is seen: the network sees each image once, with each number of rows.
    """
    rules = [name for name in RULES if name == "recency" or policy_by_name(name).correct is not Policy.correct]
    images = [image[::4, ::4].copy() for image in video.images]
    mask = video.truth[0, ::4, ::4]
    makers = [make_policy(name) for name in rules]
    fresh = cycle([makers[0], *makers])  # the tracker takes one to look at, and then one for each object
    tracker = Tracker(nano_of(32), lambda: next(fresh)())
    tracker.initialize(images[0], np.stack([mask] * len(makers)))

    def once(name: str, key: Callable[..., object]) -> None:
        run, known = getattr(tracker._engine, name), dict[object, Any]()

        def call(*given: Any, **more: Any) -> Any:
            if key(*given) not in known:
                known[key(*given)] = run(*given, **more)
            return known[key(*given)]

        monkeypatch.setattr(tracker._engine, name, call)

    once("encode_image", lambda image, *_: id(image))
    once("predict", lambda features, selections, *_: (id(features), len(selections)))
    seen: list[weakref.ref[FrameRecord]] = []
    for t in range(1, 2001):
        tracker.track(images[t % 80])
        for one in tracker._objects:
            if t % 500 in range(100, 105):  # more in a row than count
                tracker.correct(one.id, mask=mask)
            seen.append(weakref.ref(one.record))
        if t % 400 == 110 or t == 2000:
            gc.collect()
            seen = [reference for reference in seen if reference() is not None]
            reachable = [len(one.policy.reachable()) for one in tracker._objects]
            assert max(reachable) <= 50
            # Beside them are the conditioning frames, the last frame, and what that has just attended to.
            assert len(seen) <= sum(reachable) + 8 * len(rules)


# --------------------------------------------------------------------------------------------------- looking back


def test_a_correction_is_the_last_word(nano: Model, video: Video) -> None:
    """A rule that looks back gives the corrected masks, and nobody else their pixels."""
    rule = "sam2long:output=final,uncertainty=1000"
    tracker = Tracker(nano, rule, non_overlap=True)
    tracker.initialize(video.images[0], np.stack([video.truth[0], np.roll(video.truth[0], 4, axis=1)]))
    for image in video.images[1:4]:
        tracker.track(image)
    corrected = tracker.correct(2, mask=np.roll(video.truth[3], 2, axis=1))
    corrected_line = tracker.trace()[1]
    for image in video.images[4:8]:
        tracker.track(image)
    revised = list(tracker.revise())
    masks, lines = revised[2]
    assert np.array_equal(masks[1], corrected)
    assert lines[1] == corrected_line
    assert corrected_line["prompt"] == "correction"
    assert [line["prompt"] for line in lines] == [None, "correction"]
    assert masks[0].any()
    assert all(masks.sum(axis=0).max() <= 1 for masks, _ in revised)


# ------------------------------------------------------------------------------------------------------- bad input

SIZE = (128, 128)
EMPTY = np.zeros(SIZE, dtype=bool)
FULL = ~EMPTY


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Give either a mask, or a box or points, to correct object 1."),
        ({"mask": FULL, "points": [[5, 5, 1]]}, "Give either a mask, or a box or points, to correct object 1."),
        ({"mask": EMPTY}, "The corrected mask of object 1 is empty: it must show the object."),
        (
            {"mask": FULL[:64]},
            "The corrected mask of object 1 must be [128, 128] as the image is 128x128 pixels, but is [64, 128].",
        ),
        ({"points": [[128, 5, 1]]}, "The point 128,5 lies outside the image of 128x128 pixels."),
        ({"points": [[5, -1, 0]]}, "The point 5,-1 lies outside the image of 128x128 pixels."),
        ({"points": [[5, np.nan, 1]]}, "The point 5,nan lies outside the image of 128x128 pixels."),
        ({"points": [[5, 5, 2]]}, "The label of the point 5,5 must be 1 (on the object) or 0 (off it), but is 2."),
        (
            {"points": [5, 5, 1]},
            "The points of an object must be [points, 3] as x, y, label (1 on the object, 0 off it), but are [3].",
        ),
        ({"points": np.zeros((0, 3))}, "Neither points nor a box were given for object 1."),
        (
            {"box": [200, 5, 10, 10]},
            "The box 200,5,10,10 (x, y, width, height) has no area inside the image of 128x128 pixels.",
        ),
        ({"id": 5, "mask": FULL}, "There is no object 5 to correct: the objects are [1]."),
        ({"id": 2, "mask": FULL}, "Object 2 was removed, so there is none to correct: the objects are [1]."),
    ],
)
def test_a_bad_correction_is_explained(nano: Model, video: Video, given: dict[str, Any], message: str) -> None:
    """In a sentence, and the object is tracked on as if nothing had been said."""
    tracker, untouched = (started(Tracker(nano, "dam4sam", exact=True), video, 3) for _ in range(2))
    for each in (tracker, untouched):
        each.remove(2)
    with pytest.raises(Sam2rlError) as caught:
        tracker.correct(**{"id": 1, **given})
    assert str(caught.value) == message
    assert tracker.trace() == untouched.trace()
    for image in video.images[3:5]:
        assert np.array_equal(tracker.track(image), untouched.track(image))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": [[[5, 5, 0]]]}, "Object 1 has points off it alone: give a point on it, or a box around it."),
        (
            {"ids": [4, 7], "points": [[[5, 5, 1]], [[5, 5, 0]]]},
            "Object 7 has points off it alone: give a point on it, or a box around it.",
        ),
        ({"points": [[[5, 5, 1]], []]}, "Neither points nor a box were given for object 2."),
        ({"points": []}, "No points and no boxes were given: call initialize(image) to begin without objects."),
        ({"points": [[[500, 5, 1]]]}, "The point 500,5 lies outside the image of 128x128 pixels."),
        (
            {"points": [[[5, 5, 1]]], "boxes": np.zeros((2, 4))},
            "Beside the points, boxes must be [1, 4] (NaN where an object has none), but are [2, 4].",
        ),
        (
            {"points": [[[5, 5, 1]]], "masks": FULL[None]},
            "Give either masks or boxes and points for the objects to track.",
        ),
    ],
)
def test_bad_points_of_new_objects_are_explained(
    nano: Model, video: Video, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(Sam2rlError) as caught:
        Tracker(nano).initialize(video.images[0], **given)
    assert str(caught.value) == message


def test_points_off_an_object_need_a_mask(nano: Model, video: Video) -> None:
    """Where there is one, they may take all of it away; where there is none, something must show the object."""
    tracker = started(Tracker(nano, "samurai"), video, 2)
    before = tracker.correct(1, mask=video.truth[1])
    after = tracker.correct(1, points=[[x, y, 0] for x, y, _ in on(before)])
    assert after.sum() < before.sum()
    tracker._objects[0].record = FrameRecord(1, None, tracker._objects[0].record.pointer, 0.5, -5.0, area=0)
    with pytest.raises(Sam2rlError, match=r"^Object 1 has no mask on frame 1 that points off it could take from"):
        tracker.correct(1, points=[[5, 5, 0]])
    assert tracker.correct(1, mask=video.truth[1]).any()
    tracker.track(video.images[2])


def test_where_nothing_is_found_nothing_changes(nano: Model, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = started(Tracker(nano), video, 3)
    line = tracker.trace()
    monkeypatch.setattr("sam2rl_tracker.tracking.steps.to_masks", lambda *_: EMPTY[None])
    with pytest.raises(NothingFound, match=r"^No object was found at the point 5,6: give more points, a box or a mask"):
        tracker.correct(1, points=[[7, 7, 0], [5, 6, 1]])
    with pytest.raises(NothingFound, match=r"^No object was found in the box 5,6,20,20: draw it closer"):
        tracker.correct(1, box=[5, 6, 20, 20])
    with pytest.raises(NothingFound, match=r"^No object was found at the point 5,6"):
        tracker.add(points=[[[5, 6, 1]]])
    tracker.add(two_masks(video)[:1])
    with pytest.raises(NothingFound, match=r"^The points off the object leave nothing of it"):
        tracker.correct(3, points=[[5, 6, 0]])
    assert tracker.ids == [1, 2, 3]
    assert tracker.trace()[:2] == line


@pytest.mark.parametrize("frames", [1, 3])
def test_a_rule_that_was_trained_on_the_video_refuses(nano: Model, video: Video, frames: int) -> None:
    key = fingerprint(video.images[0], video.truth[0], nano.hash)
    agent = Agent(key, 8, 6, {"actions": np.ones(6, dtype=np.int64)}, {})
    tracker = started(Tracker(nano, lambda: Sam2Rl(agent=agent)), video, frames)
    with pytest.raises(Sam2rlError, match=r"^The policy Sam2Rl takes no corrections.* such as --policy dam4sam\.$"):
        tracker.correct(1, mask=video.truth[0])
    tracker.track(video.images[frames])


def test_before_the_first_image_there_is_nothing_to_correct(nano: Model) -> None:
    with pytest.raises(Sam2rlError, match="call initialize"):
        Tracker(nano).correct(1, mask=FULL)
