"""Teachers of the memory, who know a video's future: its own published agent, or else a beam that sees the truth.

DAgger-style, the agent leads at first, and the teacher takes over in the state that the agent itself has come to. Much
of what a teacher does is luck that no agent can foresee, and pays only if the rest of its plan is followed. So its
actions are not just imitated: along its way each is compared with the agent's own, and the agent goes on after both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, OLDEST
from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.store import agents_folder, find_agent
from sam2rl_tracker.control.decide import Control, Decision, decide
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import View
from sam2rl_tracker.control.state import State
from sam2rl_tracker.engine import Engine, Model, one_thread
from sam2rl_tracker.errors import NoAgent
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning.forks import Forks, compare
from sam2rl_tracker.learning.gather import Part, encode_each, network_of
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.samples import write_rows
from sam2rl_tracker.learning.sources import Source
from sam2rl_tracker.training.search import beam
from sam2rl_tracker.training.simulator import Simulator

WIDTH = 4
"""Of the beams: more videos teach more than wider beams do."""

APART = 3
"""Frames from one lesson to the next."""


@one_thread()
def teach_part(part: Part) -> Path:
    """Track videos by the agent and then by their teachers, and write what the actions of both gave."""
    if part.out.exists():
        return part.out
    engine, clips, settings = part.engine(), part.clips(), part.settings
    network = network_of(part.agent, engine.model)
    assert network is not None
    rollouts = Rollouts(engine, encode_each(engine, clips))
    frames = int(torch.randint(max(rollouts.frames // 2, 1), (1,), generator=part.chance()))
    led = lead(rollouts, network, frames)
    teachers = [
        published_agent(part.sources, clip, engine.model) or search(engine, clip, actions)
        for clip, actions in zip(clips, led, strict=True)
    ]
    write_rows(gather_lessons(rollouts, network, teachers, settings.horizon, Control(settings.control)), part.out)
    return part.out


def lead(rollouts: Rollouts, network: ControlNetwork, frames: int) -> list[list[int]]:
    """Track so many frames by an agent's memory, with SAM 2's output as teachers know it; each row's actions."""
    actions: list[list[int]] = [[] for _ in rollouts.videos]
    for _ in range(frames):
        step = rollouts.step(lambda seen, state: decide(network(seen.observation), seen, Control.MEMORY))
        for row, action in zip(actions, step.decision.action.tolist(), strict=True):
            row.append(action)
    return actions


def published_agent(sources: Sequence[Source], clip: Clip, model: Model) -> Agent | None:
    """The agent of a clip's object in one of the workspaces, if its actions mean the same in `Rollouts`.

    One that also decides the output, or attends to other pointers than those of the stored frames, does not count.

    Raises:
        Sam2rlError: The object's agent is damaged.
    """
    for source in sources:
        folder = agents_folder(Path(source.text))
        if source.preset is not None or not folder.is_dir():
            continue
        try:
            agent = find_agent(folder, clip.images[0], clip.masks[0], model, num_frames=None)
        except NoAgent:
            continue
        kind = (agent.control, agent.pointers, agent.capacity)
        if kind == ("memory", "stored", CAPACITY) and agent.frames >= len(clip):
            return agent
    return None


def search(engine: Engine, clip: Clip, led: Sequence[int]) -> Agent:
    """A teacher for want of a published one: the best that a beam finds on the truth, after the agent's first actions.

    Args:
        led: The agent's actions after the first frames.
    """
    simulator = Simulator(engine, clip, rows=8)
    found = beam(simulator, WIDTH, start=simulator.rollout(led)[-1])
    return Agent("", len(clip), CAPACITY, {"actions": np.array([*led, *found.actions])})


def gather_lessons(
    rollouts: Rollouts,
    network: ControlNetwork,
    teachers: Sequence[Agent],
    horizon: int,
    control: Control = Control.BOTH,
) -> Forks:
    """Track by teachers to the end, and at some frames compare their actions with the agent's.

    Args:
        rollouts: Where the teachers take over.
        network: The agent's.
        teachers: One per row; they decide the memory, with SAM 2's output and the pointers of the stored frames.
        horizon: Frames after which returns end, or earlier at the video's end.
        control: What the agent decides where it goes on.

    Returns:
        Moments with A = 2 actions: the teacher's and the agent's.
    """

    def follow(seen: View, state: State) -> Decision:
        return decide(network(seen.observation), seen, control)

    parts, first = [], rollouts.t + 1
    with torch.inference_mode():
        while rollouts.t < rollouts.frames - 2:  # what is decided on the last frame changes nothing
            seen = rollouts.predict()
            judged, taught = network(seen.observation), _taught(teachers, rollouts)
            if (rollouts.t - first) % APART == 0:
                own = decide(judged, seen, control)
                parts.append(compare(rollouts, own, torch.stack([taught, own.action], dim=1), follow, horizon))
            rollouts.decide(replace(decide(judged, seen, Control.MEMORY), action=taught))
    return Forks.join(parts)


def _taught(teachers: Sequence[Agent], rollouts: Rollouts) -> Tensor:
    """The teachers' actions, int64 [rows]. While a bank is not full, `OLDEST` stands for all that insert."""
    actions = []
    for teacher, bank in zip(teachers, rollouts.banks, strict=True):
        action = teacher.action(rollouts.t, [record.frame for record in bank])
        actions.append(action if len(bank) == CAPACITY or action == DISCARD else OLDEST)
    return torch.tensor(actions, device=rollouts.state.t.device)
