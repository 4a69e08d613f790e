"""Searching for good decisions without learning: what an agent must beat at the same number of simulated steps.

A step is a transition asked of the simulator, whether or not it already knew the state that the transition leads to.
Only distinct successors are asked for: while the bank is not full, all inserting actions lead to the same state.

A state names all memories that went into it, and by these the actions that led there. So paths that take distinct
successors never meet: they form a tree, and there is nothing else to merge. The exception is an output that was not
remembered, where pointers are those of the stored frames: nothing later depends on it, and the best one is followed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sam2rl_tracker.agents.action import DISCARD, Space
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.training.simulator import Rollout, Simulator, State

CEILING = "ceiling"

_LADDER = 4  # between the widths of successive beams: the widest gets about three quarters of the budget
_CHUNK = 1024  # transitions between two looks at the size of the store
_NEIGHBOURS = 32  # that local search compares at a time; more leave some better one waiting, fewer fill batches less


@dataclass(frozen=True)
class Found:
    """The best rollout that a search came upon.

    Attributes:
        name: The search's.
        quality: Of the video, exactly what the simulator gives for the actions.
        actions: Those after frames 1 to T - 2.
        steps: Asked for in all.
        curve: (steps, best quality so far) at every improvement, and at the end.
    """

    name: str
    quality: float
    actions: tuple[int, ...]
    steps: int
    curve: tuple[tuple[int, float], ...]


# ------------------------------------------------------------------------------------------------------------ random


def random_search(simulator: Simulator, budget: int, seed: int, batch: int = 64) -> Found:
    """The best of as many random rollouts as the budget allows, each step drawn from the distinct successors.

    Args:
        budget: In steps.
        batch: Rollouts in lockstep; it changes nothing but the speed.

    Raises:
        Sam2rlError: The budget is less than one rollout.
    """
    length = simulator.decisions
    if budget < length:
        raise Sam2rlError(f"A budget of {budget} steps is less than one rollout: give {length} or more.")
    count = budget // length
    rng = np.random.default_rng(seed)
    start = simulator.start()
    best, actions = -1.0, [DISCARD] * length
    curve: list[tuple[int, float]] = []
    for done in range(0, count, batch):
        draws = rng.random((min(batch, count - done), length))
        paths = [[start] for _ in draws]
        taken: list[list[int]] = [[] for _ in draws]
        for column in draws.T:
            states = [path[-1] for path in paths]
            for state, draw, row in zip(states, column, taken, strict=True):
                choices = simulator.successors(state)
                row.append(choices[int(draw * len(choices))])
            for path, state in zip(paths, simulator.step(states, [row[-1] for row in taken]), strict=True):
                path.append(state)
        for i, (path, row) in enumerate(zip(paths, taken, strict=True), start=done + 1):
            if (quality := simulator.quality(path)) > best:
                best, actions = quality, row
                curve.append((i * length, best))
        simulator.trim()
    return Found("random", best, tuple(actions), count * length, _ended(curve, count * length))


# -------------------------------------------------------------------------------------------------------------- beam


def greedy(simulator: Simulator) -> Found:
    """Always the successor with the best next frame; of equal ones the first, discarding before inserting."""
    return beam(simulator, 1, "greedy")


def beam(simulator: Simulator, width: int, name: str = "beam", start: State | None = None) -> Found:
    """Follow the states of highest return so far.

    States with the same stored frames differ only in what else was stored meanwhile and mostly behave alike, so they
    would crowd out what pays later. Of each set of stored frames the best state comes first; the others come after the
    best of all other sets. Of equal returns, which are common, the one with the better parent and then with the lower
    action comes first: nothing depends on what the simulator was asked before.

    Args:
        width: States that are kept of each frame.
        start: To go on from, instead of frame 1; quality and actions are then those from there on.
    """
    if width < 1:
        raise ValueError(f"a beam is at least 1 wide, not {width}")
    before = simulator.counters.steps
    start = simulator.start() if start is None else start
    origin: dict[State, tuple[State, int]] = {}  # of the kept states: where each came from, and by which action
    returns = {start: simulator.reward(start)}  # of the current frame, best first
    for _ in range(simulator.frame(start) - 1, simulator.decisions):
        pairs = [(state, action) for state in returns for action in simulator.successors(state)]
        reached = _step(simulator, pairs)
        came: dict[State, tuple[State, int]] = {}
        for state, pair in zip(reached, pairs, strict=True):
            came.setdefault(state, pair)  # pairs are in the order of returns: the first is the best way there
        totals = {state: returns[came[state][0]] + simulator.reward(state) for state in came}
        kept = _ranked(simulator, totals)[:width]
        returns = {state: totals[state] for state in kept}
        origin.update((state, came[state]) for state in kept)
    path, actions = [next(iter(returns))], []
    while path[-1] != start:
        state, action = origin[path[-1]]
        path.append(state)
        actions.append(action)
    quality, steps = simulator.quality(path[::-1]), simulator.counters.steps - before
    return Found(name, quality, tuple(actions[::-1]), steps, ((steps, quality),))


def follow(simulator: Simulator, action: int, name: str) -> Found:
    """Always the same action."""
    actions = (action,) * simulator.decisions
    quality = simulator.quality(simulator.rollout(actions))
    return Found(name, quality, actions, len(actions), ((len(actions), quality),))


def beam_for_budget(simulator: Simulator, budget: int) -> Found:
    """The best of a ladder of beams, the widest of which is the largest that is sure to stay in the budget.

    Raises:
        Sam2rlError: The budget may not suffice for a beam of width 1.
    """

    widest = bisect_right(range(1, budget + 1), budget, key=lambda width: _most(simulator, width))
    if not widest:
        raise Sam2rlError(f"A budget of {budget} steps is too small for a beam: give {_most(simulator, 1)} or more.")
    return beam_ladder(simulator, widest)


def _most(simulator: Simulator, widest: int) -> int:
    """Steps that a ladder of beams can take at most."""
    return sum(most_steps(simulator.decisions, simulator.space, width) for width in _ladder(widest))


def beam_ladder(simulator: Simulator, widest: int) -> Found:
    """The best of beams 1, ..., W/16, W/4 and W wide.

    The narrow ones cost little, give a curve, and make sure that a wider one never does worse than greedy search.
    """
    best, *wider = (beam(simulator, width) for width in _ladder(widest))
    steps, curve = best.steps, [*best.curve]
    for found in wider:
        steps += found.steps
        if found.quality > best.quality:
            best = found
            curve.append((steps, best.quality))
    return Found("beam", best.quality, best.actions, steps, _ended(curve, steps))


def first_rollout(simulator: Simulator, widest: int) -> Found:
    """The best of a ladder of beams, and of SAM 2's rule where actions can express it."""
    found = beam_ladder(simulator, widest)
    if not simulator.has_sam2:
        return found
    rule = follow(simulator, simulator.space.sam2, "SAM 2")
    steps = found.steps + rule.steps
    best = max(found, rule, key=lambda one: one.quality)
    return Found(best.name, best.quality, best.actions, steps, _ended([*found.curve], steps))


def most_steps(decisions: int, space: Space, width: int) -> int:
    """Steps that a beam can take at most: all banks fill as early as they can."""
    steps, states = 0, 1
    outputs = space.size // (space.capacity + 1)  # for each action on the memory, if it is decided
    for stored in range(decisions):
        free = space.control != "output" and stored < space.capacity
        states *= 2 * outputs if free else space.size
        steps += states
        states = min(states, width)
    return steps


def _ladder(widest: int) -> list[int]:
    """Widths from 1 to the widest, each `_LADDER` times the one before, rounded down."""
    return [1] if widest == 1 else [*_ladder(max(1, widest // _LADDER)), widest]


def _step(simulator: Simulator, pairs: Sequence[tuple[State, int]]) -> list[State]:
    reached = []
    for start in range(0, len(pairs), _CHUNK):
        states, actions = zip(*pairs[start : start + _CHUNK], strict=True)
        reached += simulator.step(states, actions)
        simulator.trim()  # a wide beam meets more states than fit into memory
    return reached


def _ranked(simulator: Simulator, totals: dict[State, float]) -> list[State]:
    """States in the order in which a beam keeps them: see there."""
    seen: set[tuple[int, ...]] = set()
    first: list[State] = []
    copies: list[State] = []
    for state in sorted(totals, key=lambda state: -totals[state]):  # stable: equal ones stay as they came
        stored = simulator.bank(state)
        (copies if stored in seen else first).append(state)
        seen.add(stored)
    return first + copies


# ------------------------------------------------------------------------------------------------------------- local


@dataclass(frozen=True)
class Climbed:
    """What a local search came to.

    Attributes:
        found: The best rollout, with the steps of this search.
        tried: How many of its neighbours are known to be no better, in the order in which they are drawn.
    """

    found: Found
    tried: int


def local_search(simulator: Simulator, actions: Sequence[int], budget: int, seed: int, tried: int = 0) -> Climbed:
    """Hill climbing: change one decision of a rollout, go on as it planned, and keep what is better.

    All changes of one decision are tried in a random order, which the seed and the rollout decide, so a search can go
    on where another one ended. It ends when none is better, or when the budget does not suffice for another one.

    Args:
        actions: The rollout's.
        budget: In steps, those of the rollout itself, which are known in most cases, included.
        tried: Neighbours of the rollout to pass over: `Climbed.tried` of the search that ended with it.
    """
    before = simulator.counters.steps
    best = Rollout(simulator.rollout(actions), list(actions))
    quality = simulator.quality(best.states)
    curve = [(simulator.counters.steps - before, quality)]
    while True:
        left = budget - (simulator.counters.steps - before)
        some = _affordable(simulator, _neighbours(simulator, best, seed)[tried:], left)
        if not some:
            break
        changed = _change(simulator, best, some)
        qualities = [simulator.quality(rollout.states) for rollout in changed]
        tried += len(some)
        if max(qualities) > quality:
            quality = max(qualities)
            best, tried = changed[qualities.index(quality)], 0
            curve.append((simulator.counters.steps - before, quality))
        simulator.trim()
    steps = simulator.counters.steps - before
    return Climbed(Found("local", quality, tuple(best.actions), steps, _ended(curve, steps)), tried)


def _neighbours(simulator: Simulator, rollout: Rollout, seed: int) -> list[tuple[int, int]]:
    """(decision, other action) of all that differ from a rollout in one decision, shuffled."""
    found = []
    for number, (state, action) in enumerate(zip(rollout.states, rollout.actions, strict=False)):
        taken = simulator.distinct(state, action)
        found += [(number, other) for other in simulator.successors(state) if other != taken]
    order = np.random.default_rng([seed, *rollout.actions]).permutation(len(found))
    return [found[index] for index in order]


def _affordable(simulator: Simulator, neighbours: Sequence[tuple[int, int]], budget: int) -> list[tuple[int, int]]:
    """The next neighbours to try, of which each costs the decisions from its own on."""
    some: list[tuple[int, int]] = []
    for number, action in neighbours[:_NEIGHBOURS]:
        budget -= simulator.decisions - number
        if budget < 0:
            break
        some.append((number, action))
    return some


def _change(simulator: Simulator, rollout: Rollout, changes: Sequence[tuple[int, int]]) -> list[Rollout]:
    """Rollouts with one other decision each. From there on the same frames are stored, in the place of the same ones.

    Ranks in the bank would name other frames after the change.
    """
    leaving = [set(simulator.bank(a)) - set(simulator.bank(b)) for a, b in pairwise(rollout.states)]
    changed = [Rollout(rollout.states[: number + 1], rollout.actions[:number]) for number, _ in changes]
    for number in range(min(number for number, _ in changes), simulator.decisions):
        live = []
        for (own, other), each in zip(changes, changed, strict=True):
            if own > number:
                continue
            live.append(each)
            state = each.states[-1]
            planned = _as_planned(simulator, state, rollout.actions[number], leaving[number])
            each.actions.append(other if own == number else planned)
        after = simulator.step([each.states[-1] for each in live], [each.actions[-1] for each in live])
        for each, state in zip(live, after, strict=True):
            each.states.append(state)
    return changed


def _as_planned(simulator: Simulator, state: State, action: int, leaving: set[int]) -> int:
    """An action that was planned under another bank: the frame that it puts out is the same, if that is stored.

    Args:
        leaving: The frame that it put out there, or none.
    """
    decision, bank = simulator.space.decision(action), simulator.bank(state)
    if decision.memory != DISCARD:
        places = [1 + bank.index(frame) for frame in leaving if frame in bank]
        action = simulator.space.action(replace(decision, memory=places[0] if places else decision.memory))
    return simulator.distinct(state, action)


def local_for_budget(simulator: Simulator, budget: int, seed: int) -> Found:
    """Local search from the better of greedy search and a narrow beam, within the budget.

    Raises:
        Sam2rlError: The budget may not suffice for greedy search.
    """
    first = beam_for_budget(simulator, min(budget, _most(simulator, _LADDER)))
    if budget - first.steps < simulator.decisions:
        return replace(first, name="local")
    climbed = local_search(simulator, first.actions, budget - first.steps, seed).found
    steps = first.steps + climbed.steps
    later = [(first.steps + more, quality) for more, quality in climbed.curve]
    curve = [*first.curve, *[(more, quality) for more, quality in later if quality > first.quality]]
    return Found("local", climbed.quality, climbed.actions, steps, _ended(curve, steps))


# --------------------------------------------------------------------------------------------------------- all of it


def compare(simulator: Simulator, budget: int, seed: int, width: int | None = None) -> list[Found]:
    """Random, greedy, beam and local search within the budget; and the ceiling, for which a beam of `width` runs too.

    Args:
        width: None = no ceiling.

    Raises:
        Sam2rlError: The budget is too small for one of them.
    """
    limited = [
        random_search(simulator, budget, seed),
        greedy(simulator),
        beam_for_budget(simulator, budget),
        local_for_budget(simulator, budget, seed),
    ]
    return limited if width is None else [*limited, ceiling([*limited, beam(simulator, width)])]


def ceiling(founds: Sequence[Found]) -> Found:
    """The best of several searches: what memory control can reach at least. It counts the steps of all."""
    best = max(founds, key=lambda found: found.quality)
    steps = sum(found.steps for found in founds)
    return Found(CEILING, best.quality, best.actions, steps, ((steps, best.quality),))


def _ended(curve: list[tuple[int, float]], steps: int) -> tuple[tuple[int, float], ...]:
    """A curve that goes on to the last step."""
    return tuple(curve) if curve[-1][0] == steps else (*curve, (steps, curve[-1][1]))
