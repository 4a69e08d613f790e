"""Teachers of the memory, who know a video's future: its own published agent, or else a beam on its truth.

DAgger-style, the agent leads at first, and the teacher takes over in the state that the agent itself has come to. Much
of what a teacher does is luck that no agent can foresee. So its actions are not just imitated: for each it is known what
one deviation costs, that is, what comes where the agent's action is taken instead and the teacher then goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.store import agents_folder, find_agent
from sam2rl_tracker.control.decide import Control, decide
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import Observation
from sam2rl_tracker.engine import Model, one_thread
from sam2rl_tracker.errors import NoAgent
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning.forks import Forks
from sam2rl_tracker.learning.gather import Part, encode_each, network_of
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.samples import write_rows
from sam2rl_tracker.learning.sources import Source
from sam2rl_tracker.training.search import beam
from sam2rl_tracker.training.simulator import Simulator, State

WIDTH = 4
"""Of the beams."""


@one_thread()
def teach_part(part: Part) -> Path:
    """Track videos by the agent and then by their teachers, and write what these did and what else would have come."""
    if part.out.exists():
        return part.out
    engine, clips, settings = part.engine(), part.clips(), part.settings
    network = network_of(part.agent, engine.model)
    assert network is not None
    pupils = [Pupil(Simulator(engine, clip, rows=8), published_agent(part.sources, clip, engine.model)) for clip in clips]
    rollouts = Rollouts(engine, encode_each(engine, clips))
    latest = max(rollouts.frames // 2, 1)
    led = int(torch.randint(latest, (1,), generator=part.chance()))
    write_rows(gather_lessons(rollouts, network, pupils, led, settings.horizon), part.out)
    return part.out


def published_agent(sources: Sequence[Source], clip: Clip, model: Model) -> Agent | None:
    """The agent of a clip's object in one of the workspaces, if its decisions mean the same in `Rollouts`.

    Those that also decide the output, or attend to other pointers than those of stored frames, do not count.

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


class Pupil:
    """A video in the simulator: where the agent led, and where its teacher takes it from there.

    Args:
        simulator: Of the video.
        agent: Its teacher; None = a beam that begins where the teacher takes over.
    """

    def __init__(self, simulator: Simulator, agent: Agent | None):
        self._simulator, self._agent = simulator, agent
        self._states = [simulator.start()]
        self._plan: dict[int, int] = {}  # of a beam: {frame: action after it}

    def lead(self, action: int) -> int:
        """Take the agent's action; the one that stands for it."""
        return self._go(self._states[-1], action)

    def teach(self) -> int:
        """Take the teacher's action; the one that stands for it."""
        state = self._states[-1]
        if self._agent is None and not self._plan:
            actions = beam(self._simulator, WIDTH, start=state).actions
            self._plan = dict(enumerate(actions, start=self._simulator.frame(state)))
        return self._go(state, self._advice(state))

    def compare(self, own: Sequence[int], horizon: int) -> np.ndarray:
        """What followed the teacher's actions, and what the agent's last ones would have led to: [len(own), 2].

        Each is the sum of the rewards of the next frames, at most `horizon` of them. After the agent's action, the
        teacher goes on.

        Args:
            own: The agent's actions in the last states but the final one.
        """
        way = self._states[-len(own) - 1 :]
        returns = np.zeros((len(own), 2))
        apart: dict[int, State] = {}  # {number of the action: where the other way has come to}
        for number, (state, after) in enumerate(zip(way[:-1], way[1:], strict=True)):
            actions = [self._advice(other) for other in apart.values()]
            apart[number] = state
            ended = self._simulator.step(list(apart.values()), [*actions, own[number]])
            apart = dict(zip(apart, ended, strict=True))
            for before, other in apart.items():
                returns[before] += self._simulator.reward(after), self._simulator.reward(other)
            apart.pop(number - horizon + 1, None)
        return returns

    def _advice(self, state: State) -> int:
        t = self._simulator.frame(state)
        return self._plan[t] if self._agent is None else self._agent.action(t, self._simulator.bank(state))

    def _go(self, state: State, action: int) -> int:
        distinct = self._simulator.distinct(state, action)
        self._states += self._simulator.step([state], [distinct])
        return distinct


def gather_lessons(
    rollouts: Rollouts, network: ControlNetwork, pupils: Sequence[Pupil], led: int, horizon: int
) -> Forks:
    """Track by an agent and then by teachers, with SAM 2's output as these know it.

    Args:
        rollouts: At their beginning, of the pupils' videos.
        network: The agent's.
        pupils: One per row.
        led: Frames after which the agent decides; after the later ones the teachers do.
        horizon: See `Pupil.compare`.

    Returns:
        The frames on which the teachers decided, with A = 2 actions: the teacher's and the agent's.
    """
    seen, actions = [], []
    with torch.inference_mode():
        while rollouts.t < rollouts.frames - 2:  # what is decided on the last frame changes nothing
            view = rollouts.predict()
            decision = decide(network(view.observation), view, Control.MEMORY)
            own = decision.action
            if rollouts.t <= led:
                taken = [pupil.lead(action) for pupil, action in zip(pupils, own.tolist(), strict=True)]
            else:
                taken = [pupil.teach() for pupil in pupils]
                seen.append(view.observation)
                actions.append(torch.stack([own.new_tensor(taken), own], dim=1))
            rollouts.decide(replace(decision, action=own.new_tensor(taken)))
    tried = torch.stack(actions)  # [frames, rows, 2]
    returns = [pupil.compare(tried[:, row, 1].tolist(), horizon) for row, pupil in enumerate(pupils)]
    found = torch.from_numpy(np.stack(returns, axis=1)).to(tried.device, torch.float32)  # as `tried`
    return Forks(**_halved(Observation.join(seen)), actions=tried.flatten(0, 1), returns=found.flatten(0, 1))


def _halved(seen: Observation) -> dict[str, Tensor]:
    return {name: value if name == "held" else value.half() for name, value in vars(seen).items()}
