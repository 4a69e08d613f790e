"""What each rule makes of a corrected frame, on scripted predictions: no network is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2rl_tracker.engine import FrameRecord
from sam2rl_tracker.policies import Correction, Outcome, Policy, Prediction, Start
from sam2rl_tracker.policies.d4sm import D4Sm
from sam2rl_tracker.policies.dam4sam import Dam4Sam
from sam2rl_tracker.policies.him2sam import HiM2Sam
from sam2rl_tracker.policies.mosam import MoSam
from sam2rl_tracker.policies.sam2long import Sam2Long
from sam2rl_tracker.policies.sam3 import Sam3
from sam2rl_tracker.policies.samurai import Samurai
from sam2rl_tracker.tracking.conditioning import Conditioning

SIZE = 32  # of the logits and of the video; the model's input is 128


def record(frame: int, area: int = 100) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), 0.9, 5.0, area)


def square(x: int, side: int = 10) -> torch.Tensor:
    """Logits of a square whose left edge is at x."""
    logits = torch.full((SIZE, SIZE), -10.0)
    logits[10 : 10 + side, x : x + side] = 10.0
    return logits


def box(x: int, side: int = 10) -> np.ndarray:
    """Of that square, at the model's input size."""
    return 4.0 * np.array([x, 10, x + side, 10 + side])


class Played:
    """A policy and the tracker's layer around it, played on squares."""

    def __init__(self, policy: Policy):
        self.policy = policy
        first = record(0)
        policy.begin(Start(first, None, np.zeros(0), np.zeros(0), None))  # type: ignore[arg-type]
        self.conditioning = Conditioning(first)
        self.t = 0

    def frame(self, *places: int, ious: tuple[float, ...] = (0.9, 0.1, 0.1), distractor: int | None = None) -> int:
        """Play the next frame, whose candidates are squares at these places; the candidate that was chosen."""
        self.t += 1
        places = (*places, *[places[0]] * (3 - len(places)))
        seen = np.stack([(square(x) > 0).numpy() for x in places])
        if distractor is not None:
            seen[1] |= (square(distractor) > 0).numpy()
        boxes, areas = np.stack([box(x) for x in places]), np.count_nonzero(seen, axis=(1, 2))
        prediction = Prediction(np.array(ious), np.full(3, 10.0), 5.0, boxes, lambda: seen, None, areas, lambda: seen)
        rows = len(self.policy.select(self.t))
        choices = self.policy.choose(self.t, [prediction] * rows)
        outcomes = [
            Outcome(prediction, c, seen[c.candidate], int(seen[c.candidate].sum()), square(places[c.candidate]))
            for c in choices
        ]
        self.policy.observe(self.t, outcomes)
        self.stored = [
            replace(record(self.t, o.area), predicted_iou=float(prediction.ious[o.choice.candidate])) for o in outcomes
        ]
        self.policy.store(self.t, self.stored)
        return choices[0].candidate

    def correct(self, x: int, side: int = 10, overlap: float = 0.9) -> None:
        mask = (square(x, side) > 0).numpy()
        made = record(self.t, int(mask.sum()))
        around = box(x, side) if side else np.zeros(4)
        self.policy.correct(self.t, Correction(made, self.stored[0], mask, around, square(x, side), overlap))
        self.conditioning.add(made)

    def memories(self) -> list[list[tuple[int, int]]]:
        """(frame, slot) of what the next frame attends to, for each hypothesis."""
        selections = self.policy.select(self.t + 1)
        return [[(r.frame, slot) for r, slot in self.conditioning.apply(s, self.t + 1).memories] for s in selections]


RULES = [Samurai, Dam4Sam, Sam2Long, Sam3, D4Sm, HiM2Sam, MoSam]


@pytest.mark.parametrize("rule", RULES)
def test_a_lost_object_is_forgotten_with_what_was_remembered(rule: type[Policy]) -> None:
    touched, lost = Played(rule()), Played(rule())
    for played, overlap in ((touched, 0.5), (lost, 0.49)):
        for x in range(8):
            played.frame(x)
        played.correct(12, overlap=overlap)
    assert [[frame for frame, _ in each] for each in lost.memories()] == [[0, 8]]
    (kept,) = touched.memories()
    assert kept[:2] == [(0, 6), (8, 6)]
    assert len(kept) > 2
    assert all(frame < 8 for frame, _ in kept[2:])


@pytest.mark.parametrize("rule", RULES)
def test_an_object_that_is_not_there_is_remembered_as_such(rule: type[Policy]) -> None:
    """Points off it took all of the mask away; the rule goes on."""
    played = Played(rule())
    for x in range(4):
        played.frame(x)
    played.correct(0, side=0, overlap=0.0)
    for x in range(4):
        played.frame(x)
    (memories,) = played.memories()
    assert (4, 6) in memories


@pytest.mark.parametrize("rule", RULES)
def test_what_was_replaced_is_not_reachable_for_long(rule: type[Policy]) -> None:
    """Of a corrected frame no later selection names a record twice, and in the end nobody holds the replaced one."""
    played = Played(rule())
    for x in (0, 1, 2):
        played.frame(x)
    replaced = played.stored[0]
    played.correct(3)
    for x in range(4, 22):
        for each in played.memories():
            assert len({frame for frame, _ in each}) == len(each)
        played.frame(x)
    assert replaced not in played.policy.reachable()


def test_samurai_trusts_no_motion_from_before() -> None:
    """Two candidates, the better by IoU off the way: motion decides until the correction, and not right after it."""
    played = Played(Samurai(kalman_weight=0.5, stable_frames=3))
    for x in range(6):
        played.frame(x)
    unsure = {"ious": (0.8, 0.75, 0.1)}
    assert played.frame(20, 6, **unsure) == 1  # type: ignore[arg-type]
    played.correct(7)
    assert played.frame(20, 8, **unsure) == 0  # type: ignore[arg-type]
    for x in (8, 9, 10):
        played.frame(x)
    assert played.frame(20, 11, **unsure) == 1  # type: ignore[arg-type]


def test_dam4sam_takes_a_corrected_frame_for_an_addition() -> None:
    """It stays in the DRM, the next addition waits, and the corrected area counts in the median."""
    corrected, plain = Played(Dam4Sam(min_gap=2)), Played(Dam4Sam(min_gap=2))
    for played in (corrected, plain):
        for _ in range(3):
            played.frame(4)
    corrected.correct(4)
    for played in (corrected, plain):
        played.frame(4, distractor=20)  # too soon after an addition
        played.frame(4)
        played.frame(4)
    assert [frame for frame, slot in plain.memories()[0] if slot == 6] == [0, 4]
    assert [frame for frame, slot in corrected.memories()[0] if slot == 6] == [0, 3]
    for _ in range(2):
        corrected.frame(4, distractor=20)
        corrected.frame(4)
        corrected.frame(4)
    assert [frame for frame, slot in corrected.memories()[0] if slot == 6] == [0, 3, 7, 10]

    small = Played(Dam4Sam(min_gap=0))
    small.frame(4)
    small.correct(4, side=2)
    small.frame(4, distractor=20)  # 100 pixels, of which the median of 4 and 100 is half
    small.frame(4)
    small.frame(4)
    assert [frame for frame, slot in small.memories()[0] if slot == 6] == [0, 1]


def test_sam2long_goes_on_with_the_pathway_that_the_user_saw() -> None:
    played = Played(Sam2Long(uncertainty=1000, output="final"))
    for _ in range(3):
        played.frame(4, 5, 20, ious=(0.9, 0.6, 0.3))
    assert len(played.memories()) == 3
    seen = played.memories()[0]
    played.correct(6)
    (after,) = played.memories()
    assert after == [(0, 6), (3, 6), *seen[1:-1]]
    played.frame(4, 5, 20, ious=(0.9, 0.6, 0.3))
    assert len(played.memories()) == 3  # it branches again
    assert len(played.policy.revise()) == 4


def test_mosam_measures_the_motion_from_the_corrected_mask() -> None:
    played = Played(MoSam())
    for x in (0, 2, 4):
        played.frame(x)
    (selection,) = played.policy.select(4)
    assert selection.prompt is not None
    played.correct(12)
    (selection,) = played.policy.select(4)
    assert selection.prompt is None
    played.frame(15)
    (selection,) = played.policy.select(5)
    assert selection.prompt is not None
    assert selection.prompt.points is not None
    place = int(square(15).argmax()) % SIZE
    assert selection.prompt.points[0, 0] == (place + 3) * 4 + 1.5  # 3 pixels a frame, from the corrected mask on
