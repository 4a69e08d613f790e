"""SAM2Long's rule on scripted predictions, and its output in hindsight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from reference import load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import CONDITIONING_SLOT, FrameRecord, MemorySelection, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Choice, Prediction, Start, make_policy
from sam2rl_tracker.policies.sam2long import Sam2Long, _Past, survivors

Script = Callable[[int, int], tuple[Sequence[float], float]]
"""(frame, hypothesis) -> predicted IoUs of the candidates, object score."""


def record(frame: int, iou: float = 1.0, score: float = 10.0) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), iou, score, area=1)


@dataclass(frozen=True)
class Step:
    """What a policy was asked and answered on one frame."""

    selections: list[MemorySelection]
    predictions: list[Prediction]
    choices: list[Choice]
    records: list[FrameRecord]


def start(policy: Sam2Long) -> Sam2Long:
    policy.begin(Start(record(0), None, np.zeros(0), np.zeros(0), None))  # type: ignore[arg-type]
    return policy


def play(policy: Sam2Long, script: Script, frames: int) -> list[Step]:
    """Run a policy on frames 1, 2, ... as the tracker does, without a network."""
    start(policy)
    steps = []
    for t in range(1, frames + 1):
        selections = policy.select(t)
        answers = [script(t, hypothesis) for hypothesis in range(len(selections))]
        predictions = [
            Prediction(np.array(ious, np.float32), np.ones(3), score, None, lambda: np.zeros(0))
            for ious, score in answers
        ]
        choices = policy.choose(t, predictions)
        picked = [predictions[choice.hypothesis] for choice in choices]
        records = [record(t, float(p.ious[c.candidate]), p.object_score) for p, c in zip(picked, choices, strict=True)]
        policy.store(t, records)
        steps.append(Step(selections, predictions, choices, records))
    return steps


def random_script(seed: int) -> Script:
    rng = np.random.default_rng(seed)
    return lambda t, hypothesis: (rng.uniform(0, 1, 3).tolist(), float(rng.normal(0, 2)))


# ------------------------------------------------------------------------------------------------- who lives on


A, B = [0.9, 0.5, 0.3], [0.8, 0.4, 0.2]

SURVIVORS = {
    # predicted IoUs [pathways, K] (scores are theirs), object scores, (pathway, candidate) of those that live on
    "certain: the best": ([A, B, A], [5, 0, 0], [(0, 0), (2, 0), (1, 0)]),
    "certain: copies of one pathway stay": ([A, A, A], [5, 5, 5], [(0, 0), (1, 0), (2, 0)]),
    "certainly absent is certain": ([A, A, A], [-5, 0, 0], [(0, 0), (1, 0), (2, 0)]),
    "uncertain: they must differ": ([A, A, A], [1, 1, 1], [(0, 0), (0, 1), (0, 2)]),
    "uncertain: to two decimals": ([[0.9, 0.7, 0.6], [0.896, 0.5, 0.4], A], [1, 1, 1], [(0, 0), (0, 1), (0, 2)]),
    "uncertain: seen differs from unseen": ([A, A, A], [1, -1, 1], [(0, 0), (1, 0), (0, 1)]),
    "uncertain: pathways without any fill up": ([[0.9] * 3, [0.9] * 3, [0.9] * 3], [1] * 3, [(0, 0), (1, 0), (2, 0)]),
    "uncertain: in their order": ([[0.1, 0.5, 0.5], [0.5] * 3, [0.1] * 3], [1] * 3, [(0, 1), (0, 0), (1, 0)]),
    "exactly as far as the limit is uncertain": ([A, A, A], [2, 2, 2], [(0, 0), (0, 1), (0, 2)]),
}


@pytest.mark.parametrize("case", SURVIVORS)
def test_who_lives_on(case: str) -> None:
    ious, scores, expected = SURVIVORS[case]
    found = np.array(ious)
    assert survivors(np.log(found), found, np.array(scores), 2.0) == expected


def test_scores_add_up_along_a_path() -> None:
    """A candidate that is worse now lives on by what its pathway was worth before."""
    ious = {1: [0.5, 0.5, 0.5], 2: [0.9, 0.6, 0.1], 3: [0.5, 0.4, 0.1]}
    policy = Sam2Long(uncertainty=100)
    steps = play(policy, lambda t, h: (ious[t], 1.0) if t < 3 or h == 0 else ([0.7, 0.2, 0.1], 1.0), 3)
    assert [len(step.selections) for step in steps] == [1, 1, 3]
    assert [(c.hypothesis, c.candidate) for c in steps[1].choices] == [(0, 0), (0, 1), (0, 2)]
    # .9 * .5 = .45, .6 * .7 = .42, .9 * .4 = .36: the first frame does not count
    assert [(c.hypothesis, c.candidate) for c in steps[2].choices] == [(0, 0), (1, 0), (0, 1)]


# ---------------------------------------------------------------------------------------------- what is attended to


def test_keys_are_scaled_by_how_sure_the_object_was_seen() -> None:
    scores = {1: 4.0, 2: 12.0, 3: 3.0, 4: 5.0}
    policy = Sam2Long()
    steps = play(policy, lambda t, h: ([0.9, 0.1, 0.1], scores[t]), 4)
    (first,), (second,) = steps[0].selections, steps[1].selections
    assert first.memory_scales is first.pointer_scales is None  # a single memory
    assert second.memory_scales == pytest.approx((1.05, 0.95))  # frame 0, which counts as 10, and frame 1
    assert second.pointer_scales == (0.94921875,)

    (selection,) = policy.select(5)
    assert [(r.frame, slot) for r, slot in selection.memories] == [
        (0, CONDITIONING_SLOT),
        (1, 3),
        (2, 2),
        (3, 1),
        (4, 0),
    ]
    assert selection.memory_scales == pytest.approx((1.025, 0.975, 1.05, 0.95, 1.0))
    # Distances are places in the list, and its oldest frame has no pointer.
    assert [(r.frame, distance) for r, distance in selection.pointers] == [(0, 5), (4, 1), (3, 2), (2, 3)]
    assert selection.pointer_scales == pytest.approx((0.95 + 0.1 * 2 / 3, 0.95 + 0.1 / 3, 0.95, 1.05))


def test_good_frames_and_the_one_before_are_remembered() -> None:
    """Frames 2 and 3 are no good, but frame 3 is the one before."""
    policy = Sam2Long(memory_iou=0.5)
    play(policy, lambda t, h: ([0.4 if t == 2 else 0.9, 0.1, 0.1], -3.0 if t == 3 else 3.0), 3)
    (selection,) = policy.select(4)
    assert [r.frame for r, _ in selection.memories] == [0, 1, 3]
    assert [(r.frame, distance) for r, distance in selection.pointers] == [(0, 4), (3, 1)]


def test_fifteen_good_frames_and_the_one_before_make_sixteen_pointers() -> None:
    policy = Sam2Long()
    play(policy, lambda t, h: ([0.9, 0.1, 0.1], -3.0 if t == 30 else 3.0), 30)
    (selection,) = policy.select(31)
    frames = [(0, 31), *((31 - place, place) for place in range(1, 16))]
    assert [(r.frame, distance) for r, distance in selection.pointers] == frames
    play(policy, lambda t, h: ([0.9, 0.1, 0.1], 3.0), 30)
    (selection,) = policy.select(31)
    assert [(r.frame, distance) for r, distance in selection.pointers] == frames[:-1]


@pytest.mark.parametrize("seed", range(3))
def test_what_can_be_reached_is_bounded(seed: int) -> None:
    policy = Sam2Long()
    script = random_script(seed)
    start(policy)
    for frames in (20, 60):
        play(policy, script, frames)
        reachable = set(policy.reachable())
        assert len(reachable) <= 1 + 3 * 16
        for selection in policy.select(frames + 1):
            assert {r for r, _ in selection.memories} | {r for r, _ in selection.pointers} <= reachable
    assert all(pathway.past is None for pathway in policy._pathways)  # a stream does not keep its choices


def test_pathways_that_are_one_are_predicted_once() -> None:
    assert {len(step.selections) for step in play(Sam2Long(), lambda t, h: (A, 5.0), 20)} == {1}
    steps = play(Sam2Long(), lambda t, h: (A, 5.0 if t < 10 or t > 30 else 1.0), 60)
    assert [len(step.selections) for step in steps[:12]] == [1] * 10 + [3, 3]
    assert all(len(step.selections) == len(set(map(id, step.selections))) <= 3 for step in steps)


def test_one_pathway_is_a_single_hypothesis() -> None:
    steps = play(Sam2Long(pathways=1, output="0"), random_script(0), 30)
    assert all(len(step.selections) == len(step.choices) == 1 for step in steps)


# -------------------------------------------------------------------------------------------------------- hindsight


@pytest.mark.parametrize("seed", range(5))
def test_the_final_output_is_the_path_of_the_highest_score(seed: int) -> None:
    policy = Sam2Long(output="final", uncertainty=100)
    steps = play(policy, random_script(seed), 40)
    path = policy.revise()
    assert len(path) == 40
    followed = [step.records[choice] for step, choice in zip(steps, path, strict=True)]
    for step, choice, before in zip(steps[1:], path[1:], followed, strict=False):
        attended = step.selections[step.choices[choice].hypothesis]
        assert before in [r for r, _ in attended.memories]  # the frame before is always remembered: this is its child
    score = sum(np.log(r.predicted_iou + 1e-5) for r in followed[1:])
    assert score == pytest.approx(max(pathway.score for pathway in policy._pathways))


def test_ranks_are_the_pathways_of_the_end() -> None:
    paths = []
    for output in ("final", "0", "1", "2"):
        policy = Sam2Long(output=output, uncertainty=100)
        play(policy, random_script(1), 40)
        paths.append(policy.revise())
    assert paths[0] == paths[1]
    assert len({tuple(path) for path in paths}) == 3


@pytest.mark.slow
def test_the_past_of_a_long_video_can_be_forgotten() -> None:
    """A chain of choices is as long as the video: it must not be freed by recursion."""
    past = None
    for _ in range(500_000):
        past = _Past(0, past)
    assert past is not None
    del past


def test_causal_and_final_outputs(nano: Model) -> None:
    video = load_video("scene-930014")
    spec = "sam2long:uncertainty=1000"
    causal, final = Tracker(nano, spec, exact=True), Tracker(nano, f"{spec},output=2", exact=True)
    assert (causal.revises, final.revises) == (False, True)
    for tracker in (causal, final):
        tracker.initialize(video.images[0], video.truth[:1])
    live = []
    for image in video.images[1:12]:
        live.append(causal.track(image))
        assert np.array_equal(final.track(image), live[-1])  # until the end it is the same
    with pytest.raises(Sam2rlError, match="does not look back"):
        causal.revise()
    revised = list(final.revise())
    assert len(revised) == len(live)
    assert any(not np.array_equal(mask, then) for (mask, _), then in zip(revised, live, strict=True))
    for t, (masks, (line,)) in enumerate(revised, start=1):
        assert (line["frame"], line["object"], line["area"]) == (t, 1, masks.sum())
    assert final.trace()[0]["memories"] == causal.trace()[0]["memories"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("pathways=0", "pathways must be at least 1"),
        ("output=best", "output must be one of causal, final, 0, 1, 2, but is 'best'"),
        ("output=3", "output must be one of"),
        ("pathways=2,output=2", "output must be one of causal, final, 0, 1, but"),
        ("memory_iou=high", "memory_iou=high is no finite float"),
        ("uncertainty=nan", "uncertainty=nan is no finite float"),
    ],
)
def test_bad_parameters_are_explained(parameters: str, message: str) -> None:
    with pytest.raises(Sam2rlError, match=message):
        make_policy(f"sam2long:{parameters}")
