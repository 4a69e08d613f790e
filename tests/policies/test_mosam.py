"""The MoSAM-style rule on scripted masks, and each of its parts in a tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import FrameRecord, MemorySelection, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Choice, Outcome, Prediction, Start, make_policy
from sam2rl_tracker.policies.mosam import MoSam

OFF = "sparse=false,dense=false,frame_selection=false,pixel_selection=false"
SIZE = 32  # of the logits; the model's input is 128


@dataclass(frozen=True)
class Frame:
    """What SAM 2 says about one frame: a disk, and how sure it is."""

    x: float
    y: float
    iou: float = 0.9
    score: float = 5.0
    steepness: float = 4.0  # logits a pixel inside the disk's edge

    @property
    def logits(self) -> torch.Tensor:
        """Highest in the disk's centre."""
        rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
        distances = torch.hypot(columns - self.x, rows - self.y)
        return self.steepness * (5.5 - distances) if self.score > 0 else torch.full((SIZE, SIZE), -1024.0)


def record(frame: int, iou: float = 1.0, score: float = 10.0) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), iou, score, area=1)


def play(policy: MoSam, frames: list[Frame]) -> list[MemorySelection]:
    """Run a policy on frames 1, 2, ... as the tracker does, without a network; its selections of the frames after."""
    policy.begin(Start(record(0), None, np.zeros(0), np.zeros(0), None))  # type: ignore[arg-type]
    selections = []
    for t, frame in enumerate(frames, start=1):
        policy.select(t)
        ious = np.array([frame.iou, 0, 0], dtype=np.float32)
        peaks = np.full(3, float(frame.logits.max()), dtype=np.float32)
        prediction = Prediction(ious, peaks, frame.score, None, lambda: np.zeros(0))
        (choice,) = policy.choose(t, [prediction])
        assert choice == Choice(0, frame.score > 0)
        mask = (frame.logits > 0).numpy()
        policy.observe(t, [Outcome(prediction, choice, mask, int(mask.sum()), frame.logits)])
        policy.store(t, [record(t, frame.iou, frame.score)])
        (selection,) = policy.select(t + 1)
        selections.append(selection)
    return selections


def remembered(selection: MemorySelection) -> list[int]:
    return [r.frame for r, _ in selection.memories]


MOVING = [Frame(8 + 1.5 * t, 20 - t) for t in range(6)]


# ---------------------------------------------------------------------------------------------------- prompts


def test_the_sparse_prompt_is_a_point_that_moves_on() -> None:
    prompts = [s.prompt for s in play(MoSam(), MOVING)]
    assert prompts[0] is None  # no motion is known yet
    for t, prompt in list(enumerate(prompts))[1:]:
        assert prompt is not None
        assert prompt.mask is None
        assert prompt.labels is not None
        assert prompt.labels.tolist() == [1]
        assert prompt.points is not None
        expected = 4 * torch.tensor([[8 + 1.5 * (t + 1), 20 - (t + 1)]]) + 1.5  # pixels of the model's input
        # The surest pixel is a whole one, and a disk's outline jumps with it.
        assert (prompt.points - expected).abs().max() < 4


def test_the_dense_prompt_is_the_mask_moved_on() -> None:
    prompts = [s.prompt for s in play(MoSam(sparse=False, dense=True), MOVING)]
    assert prompts[0] is None
    for prompt, following in zip(prompts[1:-1], MOVING[2:], strict=True):
        assert prompt is not None
        assert prompt.points is prompt.labels is None
        assert prompt.mask is not None
        inside, expected = prompt.mask > 0, following.logits > 0
        assert (inside & expected).sum() / (inside | expected).sum() > 0.9
        assert prompt.mask.abs().max() <= 32


def test_motion_is_averaged_over_its_frames() -> None:
    """The object jumps by 10, and stands still again."""
    frames = [Frame(6, 10)] * 3 + [Frame(16, 10)] * 4

    def shifts(motion_frames: int) -> list[float]:
        prompts = [s.prompt for s in play(MoSam(motion_frames=motion_frames), frames)]
        points = [(p.points[0, 0] - 1.5) / 4 for p in prompts[1:] if p is not None and p.points is not None]
        return [float(point) - frame.x for point, frame in zip(points, frames[1:], strict=True)]

    assert shifts(1) == pytest.approx([0, 0, 10, 0, 0, 0], abs=0.1)
    assert shifts(4) == pytest.approx([0, 0, 10 / 3, 10 / 4, 10 / 4, 10 / 4], abs=0.1)


def test_both_prompts_at_once_and_none_outside_the_picture() -> None:
    frames = [Frame(15 + 5 * t, 10) for t in range(4)]  # it leaves to the right
    prompt = play(MoSam(dense=True), frames)[-1].prompt
    assert prompt is not None
    assert prompt.mask is not None
    assert prompt.points is not None
    assert prompt.points[0, 0] == 4 * 31 + 1.5


@pytest.mark.parametrize("lost", [{"score": -1.0}, {"iou": 0.05}, {"score": -1.0, "iou": 0.05}])
def test_no_prompt_after_a_frame_that_is_not_trusted(lost: dict[str, float]) -> None:
    frames = [*MOVING[:3], Frame(13, 17, **lost), *MOVING[4:]]
    given = [s.prompt is not None for s in play(MoSam(dense=True), frames)]
    assert given == [False, True, True, False, False, True]  # two frames make a motion


# ------------------------------------------------------------------------------------------------ what is remembered


FRAMES = [Frame(10, 10), Frame(10, 10, iou=0.3), Frame(10, 10, score=-1), Frame(10, 10, score=0.5), Frame(10, 10)]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0, 1, 2, 4, 5]),
        ({"memory_iou": 0.5}, [0, 1, 4, 5]),
        ({"memory_object_score": 1.0}, [0, 1, 2, 5]),
        ({"memory_object_score": -2.0}, [0, 1, 2, 3, 4, 5]),
        ({"frame_selection": False, "memory_iou": 0.5}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_frames_that_are_not_trusted_are_not_remembered(parameters: dict[str, float], expected: list[int]) -> None:
    selection = play(MoSam(**parameters), FRAMES)[-1]  # type: ignore[arg-type]
    assert remembered(selection) == expected
    assert [r.frame for r, _ in selection.pointers] == [0, 5, 4, 3, 2, 1]  # SAM 2's
    assert [slot for _, slot in selection.memories] == [6, *reversed(range(len(expected) - 1))]  # by rank


def test_places_that_are_not_sure_do_not_count() -> None:
    frames = [Frame(9.5, 9.5), Frame(9.5, 9.5, steepness=0.1), Frame(9.5, 9.5, score=-1)]
    selection = play(MoSam(frame_selection=False), frames)[-1]
    assert selection.memory_masks is not None
    prompted, sure, vague, absent = selection.memory_masks
    assert prompted is None  # what was given is all sure
    assert sure is not None
    assert vague is not None
    assert absent is not None
    assert sure.shape == vague.shape == (64,)
    inside = 2 * 8 + 2  # the place with the disk's centre
    assert sure[inside]
    assert sure[-1]
    assert not vague[inside]
    assert vague[-1]  # far from the disk
    assert absent.all()  # surely absent
    assert play(MoSam(pixel_selection=False), frames)[-1].memory_masks is None


@pytest.mark.parametrize("parameters", [OFF, "", "dense=true"])
def test_what_can_be_reached_is_bounded(parameters: str) -> None:
    rng = np.random.default_rng(0)
    policy = make_policy(f"mosam:{parameters}")()
    assert isinstance(policy, MoSam)
    for count in (30, 80):
        frames = [Frame(*rng.uniform(8, 24, 2), rng.uniform(0, 1), rng.normal(1, 2)) for _ in range(count)]
        selection = play(policy, frames)[-1]
        reachable = set(policy.reachable())
        assert len(reachable) <= 1 + 6 + 15
        assert {r for r, _ in (*selection.memories, *selection.pointers)} <= reachable


# -------------------------------------------------------------------------------------------------- in a tracker


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


def masks(model: Model, video: Video, policy: str, frames: int = 20, exact: bool = True) -> np.ndarray:
    tracker = Tracker(model, policy, exact=exact)
    first = tracker.initialize(video.images[0], np.stack([video.truth[0], np.roll(video.truth[0], 40, axis=1)]))
    return np.stack([first, *(tracker.track(image) for image in video.images[1:frames])])


@pytest.mark.slow
def test_all_switched_off_it_is_recency(nano: Model, video: Video) -> None:
    assert np.array_equal(masks(nano, video, f"mosam:{OFF}", 80), masks(nano, video, "recency", 80))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["sparse", "dense", "frame_selection,memory_iou=0.9", "pixel_selection"])
def test_every_part_does_something(nano: Model, video: Video, part: str) -> None:
    name, *more = part.split(",")
    parameters = ",".join([OFF.replace(f"{name}=false", f"{name}=true"), *more])
    found = masks(nano, video, f"mosam:{parameters}")
    assert not np.array_equal(found, masks(nano, video, "recency"))
    # Both objects at once, of which one may have a prompt and the other none.
    together = masks(nano, video, f"mosam:{parameters}", exact=False)
    assert np.mean(found != together) < 0.01


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("motion_frames=0", "motion_frames must be at least 1"),
        ("pixel_confidence=1", "pixel_confidence at least 0 and below 1"),
        ("pixel_confidence=-0.1", "pixel_confidence at least 0 and below 1"),
        ("sparse=perhaps", "sparse=perhaps is no bool"),
    ],
)
def test_bad_parameters_are_errors(parameters: str, message: str) -> None:
    with pytest.raises(Sam2rlError, match=message):
        make_policy(f"mosam:{parameters}")
