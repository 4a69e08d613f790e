"""SAMITE on scripted predictions, and what it measures on drawn features. `test_published.py` has the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from decisions import NOTHING_SEEN, nothing_predicted
from reference import Video, load_video
from torch.utils._python_dispatch import TorchDispatchMode

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Candidates, Features, FrameRecord, Model
from sam2rl_tracker.policies import Choice, Correction, Prediction, Start
from sam2rl_tracker.policies.samite import Samite

SIDE = 8  # places of a drawn image's side; its masks have four times as many pixels a side
OBJECT, GROUND = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 1.0, 0, 0])  # features


def record(frame: int, iou: float = 1.0, score: float = 10.0, area: int = 1) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), iou, score, area)


def start(policy: Samite, features: Features = NOTHING_SEEN, logits: torch.Tensor | None = None) -> None:
    policy.look(0, features)
    logits = torch.zeros(4, 4) if logits is None else logits
    policy.begin(Start(record(0), None, np.zeros(0), np.zeros(0), None, None, logits))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Row:
    """A scripted prediction: its second candidate is the best. Boxes are [x, 0, x + 10, 10] for each candidate's x."""

    iou: float = 0.9
    score: float = 5.0
    overlap: float = 0.0
    likeness: Sequence[float] = ()
    boxes: Sequence[float] = (0, 100, 200)

    @property
    def prediction(self) -> Prediction:
        ious = np.array([0.1, self.iou, 0.1], dtype=np.float32)
        boxes = np.array([[x, 0, x + 10, 10] for x in self.boxes], dtype=np.float32)
        measured = np.array([[self.overlap, *self.likeness]] * 3, dtype=np.float32).flatten()
        return Prediction(ious, ious, self.score, boxes, lambda: np.zeros(0), measured=measured)


def play(policy: Samite, t: int, *rows: Row) -> Choice:
    """One frame, without a network."""
    policy.look(t, NOTHING_SEEN)
    policy.select(t)
    predictions = [row.prediction for row in rows]
    policy.measure(t, nothing_predicted(predictions))
    (choice,) = policy.choose(t, predictions)
    chosen = predictions[choice.hypothesis]
    policy.store(t, [record(t, float(chosen.ious[choice.candidate]), chosen.object_score)])
    return choice


def attended(policy: Samite, t: int) -> list[int]:
    plain, prompted = policy.select(t)
    assert plain.bank == prompted.bank
    assert plain.prompt is None
    assert prompted.prompt is not None
    return [r.frame for r, _ in plain.memories]


# --------------------------------------------------------------------------------------------------- which prediction


@pytest.mark.parametrize(
    ("plain", "prompted", "winner"),
    [(0.8, 0.9, 1), (0.9, 0.8, 0), (0.8, 0.8, 1), (0.2, 0.69, 0), (0.2, 0.7, 1)],
)
def test_the_prediction_that_agrees_with_the_memories_wins(plain: float, prompted: float, winner: int) -> None:
    policy = Samite(beta=0.7)
    start(policy)
    choice = play(policy, 1, Row(overlap=plain, likeness=[1]), Row(overlap=prompted, likeness=[1], score=-0.5))
    assert choice == Choice(1, True, winner)
    assert play(policy, 2, Row(), Row(overlap=1, score=-1.5)) == Choice(1, False, 1)


class Followed:
    """Stands for the filter, and remembers the boxes that it is told."""

    seen: list[float]

    def __init__(self, box: np.ndarray):
        self.seen.append(box[0])

    def predict(self) -> np.ndarray:
        return np.array([0, 0, 10, 10])

    def update(self, box: np.ndarray) -> None:
        self.seen.append(box[0])


def test_the_filter_follows_the_winner_and_later_the_first_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2rl_tracker.policies.samurai.BoxFilter", Followed)
    Followed.seen = []
    policy = Samite(stable_frames=3)
    start(policy)
    for t in range(1, 6):
        assert play(policy, t, Row(), Row(overlap=1, boxes=(7, 8, 9))).hypothesis == 1
    assert Followed.seen == [8, 8, 8, 100, 100]


# ---------------------------------------------------------------------------------------------------- which memories


def test_it_attends_to_the_newest_good_frame_and_those_most_alike() -> None:
    to_first = {2: 0.1, 3: 0.9, 4: 0.2, 5: 0.8, 6: 0.3, 7: 0.7, 8: 0.4, 9: 0.6, 10: 0.5}
    for alpha, others in [(0, [3, 5, 7, 9, 8]), (1, [2, 3, 4, 5, 6])]:
        policy = Samite(alpha=alpha)
        start(policy)
        for t in range(1, 11):
            known = range(t - 1, 1, -1)
            to_known = [-0.1 * frame for frame in known]  # the older, the more alike
            row = Row(likeness=[to_first.get(t, 1), *to_known])
            play(policy, t, row, row)
        play(policy, 11, Row(iou=0.4), Row(iou=0.4))  # a bad frame is not attended to, not even as the newest
        assert attended(policy, 12) == [0, *sorted(others), 10]


def test_few_are_all_attended_to_but_frame_1() -> None:
    policy = Samite()
    start(policy)
    assert attended(policy, 1) == [0]
    for t in range(1, 8):
        assert attended(policy, t) == [0, *range(2, t)]
        play(policy, t, Row(), Row())


def test_what_it_keeps_is_bounded() -> None:
    policy = Samite(candidates=8)
    start(policy)
    sizes = []
    for t in range(1, 40):
        likeness = [0.0] * (1 + min(max(t - 2, 0), 8))
        play(policy, t, Row(likeness=likeness), Row(likeness=likeness))
        sizes.append(len(policy.reachable()))
    assert max(sizes) == sizes[-1] == 1 + 15  # the pointers' frames hold the eight
    assert len(policy._remembered) == 8


# -------------------------------------------------------------------------------------------------- what is measured


def drawn(*places: tuple[int, int]) -> torch.Tensor:
    """Logits [4h, 4w] that are above 0 on squares of 2 x 2 places, each at a row and a column."""
    logits = torch.full((SIDE, SIDE), -8.0)
    for row, column in places:
        logits[row : row + 2, column : column + 2] = 8.0
    return logits.repeat_interleave(4, 0).repeat_interleave(4, 1)


def features(*places: tuple[int, int]) -> Features:
    """An image with objects that look alike."""
    inside = drawn(*places)[::4, ::4, None] > 0
    maps = torch.where(inside, OBJECT, GROUND).permute(2, 0, 1)[None]
    return Features(maps, torch.zeros(1, SIDE**2, 4), torch.zeros(0), (), (SIDE * 16, SIDE * 16))


def test_the_prompt_is_where_the_image_looks_like_the_object_and_near_to_where_it_was() -> None:
    policy = Samite()
    start(policy, features((1, 1), (5, 5)), drawn((1, 1)))
    policy.look(1, features((2, 1), (5, 5)))  # it moved; its look-alike stands
    _, prompted = policy.select(1)
    assert prompted.prompt is not None
    assert prompted.prompt.mask is not None
    assert prompted.prompt.mask.shape == (4 * SIDE, 4 * SIDE)
    at = prompted.prompt.mask[2::4, 2::4]  # the places' middles
    assert at[2:4, 1:3].min() > 0
    assert at[5:7, 5:7].max() < at[2:4, 1:3].min() - 5
    assert at[0, 7] == pytest.approx(-10)


def test_a_mask_agrees_with_the_memories_when_its_features_find_their_masks() -> None:
    image = features((1, 1), (5, 5))
    policy = Samite()
    start(policy, image, drawn((1, 1)))
    policy.look(1, image)
    policy.select(1)
    other, absent = drawn((4, 0)), -1.5
    logits = torch.stack([torch.stack([drawn((1, 1)), drawn((5, 5)), other])] * 2)
    ious, scores = torch.zeros(2, 3), torch.tensor([5.0, absent])
    candidates = Candidates(logits, ious, torch.zeros(2, 3, 1), scores, image.map.expand(2, -1, -1, -1))
    overlap, likeness = policy.measure(1, candidates).view(2, 3, 2).unbind(-1)
    # The true one finds it; the look-alike, which is elsewhere, finds itself; the ground finds no object.
    assert overlap.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert likeness[0].tolist() == pytest.approx([1, 1, 0])


def test_a_corrected_frame_is_remembered_as_the_user_showed_it() -> None:
    image = features((1, 1), (5, 5))
    policy = Samite()
    start(policy, image, drawn((1, 1)))
    policy.look(2, image)
    for t in (1, 2):
        policy._remember(record(t), policy._first, np.ones(t))
    shown, box = record(2, area=9), np.array([80, 80, 110, 110.0])
    policy.correct(2, Correction(shown, record(2), np.zeros(0), box, drawn((5, 5)), overlap=0.9))
    assert [one.record.frame for one in policy._remembered] == [2, 1]
    policy.correct(2, Correction(shown, record(2), np.zeros(0), box, drawn((5, 5)), overlap=0.1))  # it was lost
    (one,) = policy._remembered
    assert one.record is shown
    assert one.likeness == pytest.approx([1])
    assert one.sight.inside.view(SIDE, SIDE).nonzero().tolist() == [[5, 5], [5, 6], [6, 5], [6, 6]]
    policy.correct(2, Correction(record(2, area=0), shown, np.zeros(0), np.zeros(4), drawn(), overlap=0))
    assert policy._remembered == []


# ------------------------------------------------------------------------------------------------------ in a tracker


def two_masks(video: Video) -> np.ndarray:
    return np.stack([video.truth[0], np.roll(video.truth[0], 40, axis=1)])


def test_objects_do_not_disturb_each_other(reference_model: Model) -> None:
    video = load_video()
    alone, together = (Tracker(reference_model, "samite", exact=True) for _ in range(2))
    alone.initialize(video.images[0], video.truth[:1])
    together.initialize(video.images[0], two_masks(video))
    for image in video.images[1:10]:
        assert np.array_equal(together.track(image)[0], alone.track(image)[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batched_it_tracks_alike(reference_model: Model, dtype: str) -> None:
    """With objects that measure different numbers of likenesses."""
    video = load_video()
    exact, batched = Tracker(reference_model, "samite", exact=True), Tracker(reference_model, "samite", dtype=dtype)
    for tracker in (exact, batched):
        tracker.initialize(video.images[0], two_masks(video)[1:])
    common = either = 0
    for t, image in enumerate(video.images[1:12], start=1):
        a, b = exact.track(image), batched.track(image)
        common, either = common + int((a & b).sum()), either + int((a | b).sum())
        if t == 5:
            for tracker in (exact, batched):
                tracker.add(video.truth[5:6])
    assert common / either > (0.999 if dtype == "float32" else 0.8)


class Waits(TorchDispatchMode):
    """Counts what would make the host wait for the device, were there one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        super().__init__()
        self.count = 0
        for name in ("cpu", "tolist"):
            monkeypatch.setattr(torch.Tensor, name, self._counting(getattr(torch.Tensor, name)))

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return method(*args, **kwargs)

        return counting

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aten = torch.ops.aten
        self.count += func.overloadpacket in (aten._local_scalar_dense, aten.nonzero, aten.masked_select)
        return func(*args, **kwargs or {})


def test_it_fetches_nothing_by_itself(reference_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    video = load_video()
    counts = []
    for policy in ("recency", "samite"):
        tracker = Tracker(reference_model, policy)
        tracker.initialize(video.images[0], video.truth[:1])
        with monkeypatch.context() as patched, Waits(patched) as waits:
            for image in video.images[1:12]:
                tracker.track(image)
        counts.append(waits.count)
    assert len(tracker._objects[0].policy.reachable()) > 7  # it ranked some
    assert 0 < counts[1] <= counts[0]


@pytest.mark.parametrize("parameters", [{"candidates": 0}, {"alpha": 1.1}, {"stable_frames": 0}])
def test_bad_parameters_are_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Samite(**parameters)  # type: ignore[arg-type]
