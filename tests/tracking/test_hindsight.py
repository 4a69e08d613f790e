"""The past of a video, told again in the light of its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.policies import Choice, Prediction
from sam2rl_tracker.policies.recency import Recency


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


@dataclass
class Undecided(Recency):
    """Two choices a frame, the best candidate and the worst; in hindsight the first or the second was right."""

    second: bool = False

    @property
    def revises(self) -> bool:
        return True

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        (best,) = super().choose(t, predictions)
        return [best, Choice(int(predictions[0].ious.argmin()), best.visible)]

    def store(self, t: int, records: Sequence) -> None:
        self.seen = t
        super().store(t, records[:1])

    def revise(self) -> list[int]:
        return [int(self.second)] * self.seen


def test_hindsight_that_changes_nothing_is_what_was_returned(nano: Model, video: Video) -> None:
    """Masks and traces, with overlaps, with objects that come and go and on frames without any."""
    tracker = Tracker(nano, Undecided, non_overlap=True)
    close = np.stack([video.truth[0], np.roll(video.truth[0], 4, axis=1)])
    for _ in range(2):  # a new video begins a new past
        tracker.initialize(video.images[0])
        returned = []
        for t in range(1, 12):
            returned.append((tracker.track(video.images[t]), tracker.trace()))
            if t == 1:
                tracker.add(close)
            if t == 4:
                tracker.add(np.roll(video.truth[:1], 40, axis=2), ids=[9])
            if t == 8:
                tracker.remove(1)
        for _ in range(2):  # it can be told again
            revised = list(tracker.revise())
            assert len(revised) == len(returned)
            for (masks, lines), (old_masks, old_lines) in zip(revised, returned, strict=True):
                assert np.array_equal(masks, old_masks)
                assert lines == old_lines


def test_hindsight_separates_the_objects_as_tracking_does(nano: Model, video: Video) -> None:
    """The second choice of frame 1, whose selection is the first's: the same logits, so the same winners."""

    @dataclass
    class Worst(Recency):
        def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
            return [Choice(int(p.ious.argmin()), p.object_score > 0) for p in predictions]

    close = np.stack([video.truth[0], np.roll(video.truth[0], 4, axis=1)])
    expected, overlapping, hindsight = (
        Tracker(nano, Worst, non_overlap=True, exact=True),
        Tracker(nano, Worst, exact=True),
        Tracker(nano, lambda: Undecided(second=True), non_overlap=True, exact=True),
    )
    first, plain, live = (
        (tracker.initialize(video.images[0], close), tracker.track(video.images[1]))[1]
        for tracker in (expected, overlapping, hindsight)
    )
    ((revised, lines),) = hindsight.revise()
    assert (plain.sum(axis=0) > 1).any(), "the masks no longer overlap: this test shows nothing"
    assert not np.array_equal(revised, live)
    assert np.array_equal(revised, first)
    assert lines[0]["predicted_iou"] == expected.trace()[0]["predicted_iou"]
