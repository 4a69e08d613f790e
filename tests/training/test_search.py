"""Searches: what they find, what they spend, and that nothing else decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from reference import load_video

from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training.search import (
    Found,
    _change,
    _neighbours,
    beam,
    beam_for_budget,
    compare,
    first_rollout,
    follow,
    greedy,
    local_search,
    most_steps,
    random_search,
)
from sam2rl_tracker.training.simulator import Rollout, Simulator

FIRST = 32  # the object is hard to keep from here on: it takes foresight
BUDGET = 200
Make = Callable[..., Simulator]


@pytest.fixture
def make(nano: Model, one_thread: None) -> Make:
    """Simulators of a part of a video in which the object is hard to keep."""
    video = load_video()

    def simulator(
        frames: int = 10,
        capacity: int = 2,
        store_mb: float = 64,
        control: str = "memory",
        pointers: str = "stored",
        absent: Sequence[int] = (),
    ) -> Simulator:
        part = slice(FIRST, FIRST + frames)
        truth = video.truth[part].copy()
        truth[list(absent)] = False
        clip = Clip(video.images[part], truth, np.ones(frames, dtype=bool))
        return Simulator(Engine(nano), clip, capacity, pointers, 8, store_mb, control=control)

    return simulator


def enumerate_all(simulator: Simulator) -> dict[tuple[int, ...], list[int]]:
    """{actions: states} of every path that takes distinct successors."""
    paths: dict[tuple[int, ...], list[int]] = {(): [simulator.start()]}
    for _ in range(simulator.decisions):
        longer = [(taken, action) for taken, states in paths.items() for action in simulator.successors(states[-1])]
        after = simulator.step([paths[taken][-1] for taken, _ in longer], [action for _, action in longer])
        paths = {(*taken, action): [*paths[taken], s] for (taken, action), s in zip(longer, after, strict=True)}
    return paths


def test_wide_beam_finds_the_best_of_all(make: Make) -> None:
    simulator = make(frames=7)
    paths = enumerate_all(simulator)
    qualities = {actions: simulator.quality(states) for actions, states in paths.items()}
    found = beam(simulator, len(paths))
    assert found.quality == pytest.approx(max(qualities.values()), abs=1e-12)
    assert found.quality == qualities[found.actions] > greedy(simulator).quality
    assert (
        simulator.counters.evaluated == 1 + found.steps < most_steps(simulator.decisions, simulator.space, len(paths))
    ), "all states, each once"


def test_a_beam_over_outputs_finds_the_best_of_all(make: Make) -> None:
    """Where ways meet, as after an output that was not remembered, the better one is followed."""
    simulator = make(frames=5, control="both", absent=[2])
    qualities = {actions: simulator.quality(states) for actions, states in enumerate_all(simulator).items()}
    found = beam(simulator, len(qualities))
    assert found.quality == pytest.approx(max(qualities.values()), abs=1e-12)
    assert found.quality == qualities[found.actions]
    kept = {actions: quality for actions, quality in qualities.items() if all(action % 4 == 0 for action in actions)}
    assert found.quality > max(kept.values()), "SAM 2's own outputs are the best ones here: this test shows nothing"


def test_what_a_training_begins_with_is_never_below_sam2s_rule(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = make(frames=10, capacity=6, pointers="recent")
    rule = follow(simulator, simulator.space.sam2, "SAM 2")
    worst = Found("beam", 0.0, (0,) * simulator.decisions, 5, ((5, 0.0),))
    monkeypatch.setattr("sam2rl_tracker.training.search.beam_ladder", lambda simulator, widest: worst)
    found = first_rollout(simulator, 1)
    assert (found.quality, found.actions, found.steps) == (rule.quality, (1,) * simulator.decisions, 5 + rule.steps)
    assert first_rollout(make(), 1) == worst, "with the pointers of stored frames there is no such rule"


def test_distinct_successors_are_all_states(make: Make) -> None:
    """Any actions lead to a state that distinct successors lead to as well, and these never meet."""
    simulator = make(frames=6)
    last = [states[-1] for states in enumerate_all(simulator).values()]
    assert len(set(last)) == len(last)
    every = [simulator.rollout(actions)[-1] for actions in np.ndindex(*[simulator.capacity + 1] * simulator.decisions)]
    assert set(every) == set(last)
    assert len(last) < len(every)


def test_all_inserts_into_a_free_place_are_one_state(make: Make) -> None:
    simulator = make(capacity=4)
    start = simulator.start()
    assert simulator.successors(start) == [0, 1]
    assert len(set(simulator.step([start] * 4, [1, 2, 3, 4]))) == 1
    full = simulator.rollout([1] * 4)[-1]
    assert simulator.successors(full) == [0, 1, 2, 3, 4]
    assert len(set(simulator.step([full] * 5, range(5)))) == 5


def test_local_search_ends_where_no_single_change_is_better(make: Make) -> None:
    simulator = make(frames=7)
    start = [0] * simulator.decisions
    climbed = local_search(simulator, start, 10**6, seed=0)
    found = climbed.found
    qualities = {actions: simulator.quality(states) for actions, states in enumerate_all(simulator).items()}
    assert qualities[tuple(start)] < found.quality == qualities[found.actions]
    best = Rollout(simulator.rollout(found.actions), list(found.actions))
    neighbours = _neighbours(simulator, best, seed=1)
    assert climbed.tried == len(neighbours) == sum(len(simulator.successors(s)) - 1 for s in best.states[:-1])
    changed = _change(simulator, best, neighbours)
    assert max(simulator.quality(rollout.states) for rollout in changed) <= found.quality


def test_local_search_goes_on_where_it_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2rl_tracker.training.search._NEIGHBOURS", 3)  # so that their order matters
    whole = local_search(make(frames=9), [0] * 7, 10**6, seed=3)
    simulator, parts = make(frames=9), [local_search(make(frames=9), [0] * 7, 60, seed=3)]
    while parts[-1].found.steps > simulator.decisions:  # more than the rollout that it began with
        parts.append(local_search(simulator, parts[-1].found.actions, 60, 3, parts[-1].tried))
        assert parts[-1].found.steps <= 60
    assert len(parts) > 2
    assert (parts[-1].found.actions, parts[-1].tried) == (whole.found.actions, whole.tried)
    other = local_search(make(frames=9), [0] * 7, 10**6, seed=4)
    assert other.found.curve != whole.found.curve


def test_a_changed_rollout_keeps_its_plan(make: Make) -> None:
    """The frame that was to leave leaves, though its rank is another; a frame that is not there leaves its rank's."""
    simulator = make(frames=10)
    plan = Rollout(simulator.rollout([1, 1, 1, 2, 2, 0, 1, 1]), [1, 1, 1, 2, 2, 0, 1, 1])
    (changed,) = _change(simulator, plan, [(3, 0)])
    banks = [simulator.bank(state) for state in changed.states]
    before = [simulator.bank(state) for state in plan.states]
    assert banks[:4] == before[:4]
    assert banks[4] == before[3] != before[4]
    gone = [set(a) - set(b) for a, b in pairwise(before)]
    for (old, new), planned in list(zip(pairwise(banks), gone, strict=True))[4:]:
        if planned & set(old):
            assert set(old) - set(new) == planned
    assert simulator.rollout(changed.actions) == changed.states


@pytest.mark.slow
def test_founds(make: Make) -> None:
    simulator, other = make(), make()
    founds = compare(simulator, BUDGET, seed=0, width=60)
    assert [found.name for found in founds] == ["random", "greedy", "beam", "local", "ceiling"]
    for found in founds:
        assert other.quality(other.rollout(found.actions)) == found.quality, "a replay gives exactly this"
        assert len(found.actions) == simulator.decisions
        assert found.curve[-1] == (found.steps, found.quality)
        assert list(found.curve) == sorted(found.curve), "quality so far never falls"
    random, narrow, limited, local, best = founds
    assert max(random.steps, narrow.steps, limited.steps, local.steps) <= BUDGET
    assert narrow.quality <= min(limited.quality, local.quality) <= best.quality
    assert best.steps > random.steps + narrow.steps + limited.steps + local.steps


@pytest.mark.slow
def test_steps_are_those_of_the_simulator(make: Make) -> None:
    simulator = make()
    for search in (
        lambda: greedy(simulator),
        lambda: beam(simulator, 5),
        lambda: beam_for_budget(simulator, BUDGET),
        lambda: random_search(simulator, BUDGET, seed=0),
        lambda: random_search(simulator, BUDGET, seed=0),  # states that are known count as well
    ):
        before = simulator.counters.steps
        assert search().steps == simulator.counters.steps - before > 0


@pytest.mark.slow
@pytest.mark.parametrize("budget", [25, 70, 150, 500])
def test_beam_keeps_to_the_budget_and_uses_it(make: Make, budget: int) -> None:
    assert 0.75 * budget < beam_for_budget(make(), budget).steps <= budget


@pytest.mark.slow
def test_more_budget_is_never_worse(make: Make) -> None:
    simulator = make()
    few, more, many = (random_search(simulator, rollouts * simulator.decisions, seed=3) for rollouts in (1, 4, 40))
    assert few.quality <= more.quality <= many.quality
    assert few.quality < many.quality
    assert set(few.curve) < set(many.curve) | {few.curve[-1]}


@pytest.mark.slow
def test_deterministic(make: Make) -> None:
    """Nothing depends on what else the simulator was asked, nor on how many rollouts go side by side."""
    simulator = make()
    first = compare(simulator, BUDGET, seed=1, width=9)
    assert compare(simulator, BUDGET, seed=1, width=9) == first
    random, narrow, limited, *_ = first
    other = make()
    assert greedy(other) == narrow
    assert random_search(other, BUDGET, seed=1, batch=3) == random
    assert beam_for_budget(other, BUDGET) == limited
    assert random_search(other, BUDGET, seed=2) != random


@pytest.mark.slow
def test_a_small_store_changes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = beam(make(), 12)
    monkeypatch.setattr("sam2rl_tracker.training.search._CHUNK", 5)
    simulator = make(store_mb=0.3)
    assert beam(simulator, 12) == expected
    assert simulator.counters.recomputed > 0


def test_beam_keeps_what_differs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beam spreads over the sets of stored frames instead of over near copies of one."""
    simulator = make(frames=8)
    step, beams = simulator.step, []

    def watched(states: list[int], actions: list[int]) -> list[int]:
        beams.append(set(states))
        return step(states, actions)

    monkeypatch.setattr(simulator, "step", watched)
    found = beam(simulator, 6)
    assert len(found.actions) == len(beams)
    assert max(map(len, beams)) == 6
    for states in beams:
        assert len({simulator.bank(state) for state in states}) == len(states)


def test_bad_budgets(make: Make) -> None:
    simulator = make()
    with pytest.raises(Sam2rlError, match="budget of 7 steps is less than one rollout: give 8 or more"):
        random_search(simulator, 7, seed=0)
    least = most_steps(simulator.decisions, simulator.space, 1)
    with pytest.raises(Sam2rlError, match=f"give {least} or more"):
        beam_for_budget(simulator, least - 1)
    beam_for_budget(simulator, least)
    with pytest.raises(ValueError, match="at least 1 wide"):
        beam(simulator, 0)
