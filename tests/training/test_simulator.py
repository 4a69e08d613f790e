"""The simulator: what it gives is what the tracker gives, whatever else it computes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from reference import load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.agents import Agent
from sam2rl_tracker.agents.action import Space
from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.training.simulator import Simulator

FRAMES = 12
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip() -> Clip:
    video = load_video("scene-930014")
    part = slice(FRAMES)
    known = np.ones(FRAMES, dtype=bool)
    known[4] = False
    return Clip(video.images[part], video.truth[part], known)


def simulator(model: Model, clip: Clip, **settings: object) -> Simulator:
    return Simulator(Engine(model), clip, rows=8, **settings)  # type: ignore[arg-type]


def random_actions(seed: int, rollouts: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 7, (rollouts, FRAMES - 2))


@dataclass
class Scripted(BankPolicy):
    actions: Sequence[int] = ()

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return int(self.actions[t - 1]) if t <= len(self.actions) else 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_tracker_gives_the_same_masks(nano: Model, clip: Clip, seed: int) -> None:
    (actions,) = random_actions(seed)
    simulated = simulator(nano, clip)
    states = simulated.rollout(actions)
    tracker = Tracker(nano, lambda: Scripted(actions=actions), num_frames=FRAMES)
    tracker.initialize(clip.images[0], clip.masks[:1])
    for t in range(1, FRAMES):
        (mask,) = tracker.track(clip.images[t])
        (line,) = tracker.trace()
        assert tuple(frame for frame, slot in line["memories"] if slot != 6) == simulated.bank(states[t - 1])
        # A batch of one and one of eight rows may differ in last bits, which may flip a pixel on an edge.
        assert np.count_nonzero(mask != simulated.output(states[t - 1])) <= 2


KINDS = [("memory", "recent"), ("output", "recent"), ("both", "stored"), ("both", "recent")]


@pytest.mark.parametrize(("control", "pointers"), KINDS)
def test_the_tracker_plays_an_agent_decision_for_decision(nano: Model, clip: Clip, control: str, pointers: str) -> None:
    """Whatever it decides: memories, pointers, candidate and presence are the simulator's."""
    simulated = simulator(nano, clip, pointers=pointers, control=control)
    actions = np.random.default_rng(4).integers(0, simulated.space.size, FRAMES - 2)
    states = simulated.rollout(actions)
    agent = Agent("", FRAMES, 6, {"actions": actions}, control=control, pointers=pointers)
    tracker = Tracker(nano, lambda: Sam2Rl(agent=agent), num_frames=FRAMES)
    tracker.initialize(clip.images[0], clip.masks[:1])
    chosen = {simulated.space.decision(action).output for action in actions}
    assert len(chosen) == 4 or not simulated.space.decides_output, "not all outputs are played"
    for t in range(1, FRAMES):
        (mask,) = tracker.track(clip.images[t])
        (line,) = tracker.trace()
        stored = simulated.bank(states[t - 1])
        assert tuple(frame for frame, slot in line["memories"] if slot != 6) == stored
        newest_first = range(t - 1, 0, -1) if pointers == "recent" else stored[::-1]
        assert [frame for frame, _ in line["pointers"]] == [0, *newest_first]
        # A batch of one and one of eight rows may differ in last bits, which may flip a pixel on an edge.
        assert np.count_nonzero(mask != simulated.output(states[t - 1])) <= 2


def test_sam2s_own_rule_is_among_the_actions(nano: Model) -> None:
    """With the pointers of the last frames: equal to the pixel, beyond the frame on which a pointer leaves."""
    video = load_video("scene-930014")
    agent = Agent("", 24, 6, {"actions": np.full(22, Space("both").sam2)}, control="both", pointers="recent")
    assert agent.plays_sam2()
    ours = Tracker(nano, lambda: Sam2Rl(agent=agent))
    sam2 = Tracker(nano, "recency", exact=True)
    for tracker in (ours, sam2):
        tracker.initialize(video.images[0], video.truth[:1])
    for image in video.images[1:20]:
        assert np.array_equal(ours.track(image), sam2.track(image))
        told = [{key: tracker.trace()[0][key] for key in ("memories", "pointers")} for tracker in (ours, sam2)]
        assert told[0] == told[1]
    assert len(told[0]["pointers"]) == 16


def test_the_outputs_of_a_frame_are_one_prediction(nano: Model, clip: Clip) -> None:
    simulated = simulator(nano, clip, control="both")
    start = simulated.start()
    states = simulated.step([start] * 4, [4, 5, 6, 7])
    assert simulated.counters.evaluated == 2  # frame 1, and frame 2 with frame 1 stored
    assert len(set(states)) == 4
    masks = [simulated.output(state) for state in states]
    said = [bool(mask.any()) for mask in masks]
    assert said == [True, False, True, True]  # SAM 2's own, absent, the two other candidates
    assert len({mask.tobytes() for mask in masks}) == 4
    scored = len(clip) - 2
    assert [simulated.reward(state) * scored for state in states] == pytest.approx(
        frame_overlaps(np.stack(masks), np.stack([clip.masks[2]] * 4)), abs=1e-6
    )
    # What is remembered, and so what comes next, is the output that was chosen.
    after = simulated.step(states, [4] * 4)
    assert len({state // 4 for state in after}) == 4
    assert len({state // 4 for state in simulated.step(states, [0] * 4)}) == 1  # forgotten: nothing depends on it


@pytest.mark.parametrize("pointers", ["stored", "recent"])
def test_dropped_states_of_any_kind_come_again(nano: Model, clip: Clip, pointers: str) -> None:
    part = Clip(clip.images[:8], clip.masks[:8], np.ones(8, bool))
    actions = np.random.default_rng(0).integers(0, 28, (30, 6))
    plain, small = (simulator(nano, part, control="both", pointers=pointers, store_mb=store) for store in (64, 1.25))
    assert returns(small, actions, trim=True) == returns(plain, actions)
    assert small.counters.recomputed > 0, "nothing was dropped: the store is not small enough for this test"


def test_pointers_of_the_last_frames_tell_states_apart(nano: Model, clip: Clip) -> None:
    """Discarding twice or once, the bank is empty both times; where pointers are recent, that is another state."""
    for pointers, expected in (("stored", 1), ("recent", 2)):
        simulated = simulator(nano, clip, pointers=pointers, control="both")
        states = simulated.step([simulated.start()] * 2, [0, 1])  # two outputs of one prediction, not remembered
        assert len(set(simulated.step(states, [0, 0]))) == expected


def test_rewards_sum_to_the_quality(nano: Model, clip: Clip) -> None:
    simulated = simulator(nano, clip)
    states = simulated.rollout(random_actions(5)[0])
    masks = np.stack([clip.masks[0], *(simulated.output(state) for state in states)])
    expected = quality(frame_overlaps(masks, clip.masks, clip.known))
    assert simulated.quality(states) == pytest.approx(expected, abs=1e-6)
    assert simulated.reward(states[3]) == 0  # frame 4, whose truth is unknown


def returns(simulated: Simulator, actions: np.ndarray, trim: bool = False) -> list[list[float]]:
    """Rewards of rollouts in lockstep."""
    states = [simulated.start()] * len(actions)
    rewards = [[simulated.reward(state)] for state in states]
    for column in actions.T:
        if trim:
            simulated.trim()
        states = simulated.step(states, column.tolist())
        for row, state in zip(rewards, states, strict=True):
            row.append(simulated.reward(state))
    return rewards


@pytest.mark.slow
def test_results_depend_neither_on_the_store_nor_on_the_order(nano: Model, clip: Clip) -> None:
    actions = random_actions(1, rollouts=20)
    plain = returns(simulator(nano, clip), actions)
    small = simulator(nano, clip, store_mb=0.3)
    assert returns(small, actions, trim=True) == plain
    assert small.counters.recomputed > 0, "nothing was dropped: the store is not small enough for this test"
    assert returns(simulator(nano, clip), actions[::-1]) == plain[::-1]
    alone = [returns(simulator(nano, clip), row[None])[0] for row in actions[:3]]
    assert alone == plain[:3]


def test_frames_without_the_object(nano: Model, clip: Clip) -> None:
    """Worth 1 when nothing is said, 0 when something is; unknown ones are worth nothing."""
    masks, known = clip.masks.copy(), np.ones(len(clip), dtype=bool)
    masks[2] = masks[3] = False
    known[4] = False
    simulated = simulator(nano, Clip(clip.images, masks, known))
    states = simulated.rollout([1] * simulated.decisions)
    assert simulated.reward(states[3]) == 0
    wrong = [bool(simulated.output(state).any()) for state in states[1:3]]
    scored = len(masks) - 2  # without the first frame, and the unknown one
    assert [simulated.reward(state) * scored for state in states[1:3]] == pytest.approx([1 - said for said in wrong])


@pytest.mark.slow
def test_the_store_is_bounded_within_a_rollout(nano: Model, clip: Clip) -> None:
    simulated = simulator(nano, clip, store_mb=0.3)
    rng = np.random.default_rng(0)
    states = [simulated.start()] * 48
    for _ in range(simulated.decisions):
        states = simulated.step(states, rng.integers(0, 7, 48).tolist())
        live = sum(node.kept is not None for node in simulated._nodes)
        assert live <= 2 * simulated._store + 48 * (simulated.capacity + 1)
    assert len(simulated._nodes) > 2 * simulated._store, "all fitted: this test shows nothing"


def test_a_state_is_evaluated_once(nano: Model, clip: Clip) -> None:
    simulated = simulator(nano, clip)
    actions = random_actions(2, rollouts=6)
    first = returns(simulated, actions)
    evaluated = simulated.counters.evaluated
    assert returns(simulated, actions) == first
    assert simulated.counters.evaluated == evaluated
    assert simulated.counters.steps == 2 * actions.size
    assert simulated.counters.reuse >= 0.5
    # Until the bank is full, all insertions are one: 1 and 6 lead to the same state.
    start = simulated.start()
    assert simulated.step([start], [1]) == simulated.step([start], [6])
    # A memory that was computed under another bank is another memory.
    assert simulated.rollout([0, 0, 1])[-1] != simulated.rollout([0, 1, 0])[-1]
    (kept,) = simulated.step(simulated.step([start], [1]), [0])
    assert simulated.bank(kept) == (1,)


def test_misuse_is_an_error(nano: Model, clip: Clip) -> None:
    simulated = simulator(nano, clip)
    start = simulated.start()
    with pytest.raises(ValueError, match="actions are 0 to 6"):
        simulated.step([start], [7])
    last = simulated.rollout([0] * (FRAMES - 2))[-1]
    with pytest.raises(ValueError, match="not at the last one"):
        simulated.step([last], [0])
    with pytest.raises(ValueError, match="the same frame"):
        simulated.step([start, last], [0, 0])


def test_what_cannot_be_simulated(nano: Model, clip: Clip) -> None:
    with pytest.raises(Sam2rlError, match=r"A store of 0\.01 MB is too small for one batch of 8"):
        simulator(nano, clip, store_mb=0.01)
    with pytest.raises(Sam2rlError, match="Control 'masks' with pointers True cannot be simulated: give one of memory"):
        simulator(nano, clip, control="masks")
    with pytest.raises(Sam2rlError, match="holds 1 to 6 memories"):
        simulator(nano, clip, capacity=7)
    with pytest.raises(Sam2rlError, match="6 rows would make states depend on their batches"):
        Simulator(Engine(nano), clip, rows=6)


def test_other_pointers_encode_no_image_again(nano: Model, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = simulator(nano, clip)
    expected = simulator(nano, clip, pointers="recent")
    monkeypatch.setattr(Engine, "encode_image", None)
    other = simulated.with_pointers("recent")
    actions = [1] * other.decisions
    assert other.pointers == "recent"
    assert other.quality(other.rollout(actions)) == expected.quality(expected.rollout(actions))
