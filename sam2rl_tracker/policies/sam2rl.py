"""SAM2RL: the bank is controlled by an agent that was trained on the very video it is used on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.engine.types import MAX_POINTERS
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.base import Start

AGENTS_VARIABLE = "SAM2RL_AGENTS"


@dataclass
class Sam2Rl(BankPolicy):
    """An agent trained on this very video, and so on the ground truth that it is scored on, controls the bank.

    Source: SAM2RL. The observation holds no image: the greedy agent is an open-loop list of decisions.

    Attributes:
        agents: folder of agent files, or one file; by default the environment's SAM2RL_AGENTS.
    """

    agents: str = ""

    exact: ClassVar[bool] = True

    def begin(self, start: Start) -> None:
        self._agent = find_agent(self.agents or os.environ.get(AGENTS_VARIABLE, ""), start)
        self.capacity = self._agent.capacity
        super().begin(start)
        self.pointer_span = min(self._agent.frames, MAX_POINTERS)  # a stream does not say its length, the agent does

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return self._agent.action(t, bank)


def find_agent(agents: str, start: Start) -> Agent:
    """The agent of an object.

    Args:
        agents: a folder of agent files, or one file.

    Raises:
        Sam2rlError: there is none, or the file given is another object's.
    """
    if not agents:
        raise Sam2rlError(
            f"the policy sam2rl needs its agents: set {AGENTS_VARIABLE} to their folder (or sam2rl:agents=FOLDER); "
            "`sam2rl train WORKSPACE` makes them"
        )
    if not Path(agents).exists():
        raise Sam2rlError(
            f"the agents {agents!r} do not exist, seen from {Path.cwd()}: give an absolute path (`vot evaluate` starts "
            "trackers in a temporary folder), or make them by `sam2rl train WORKSPACE`"
        )
    key = fingerprint(start.image, start.mask, start.model.hash)
    path = Path(agents) if Path(agents).is_file() else Path(agents) / f"{key}.safetensors"
    if not path.is_file():
        raise Sam2rlError(
            f"{agents} has no agent for this object (first image, mask and model {start.model.name} give {key}): "
            "agents serve the video, the object and the model they were trained on; `sam2rl train WORKSPACE` trains one"
        )
    agent = load_agent(path)
    if agent.fingerprint != key:
        raise Sam2rlError(
            f"{agents} was trained on another video, object or model ({agent.fingerprint}, this one is {key}, "
            f"{start.model.name}): `sam2rl train WORKSPACE` trains one for it"
        )
    if start.num_frames is not None and start.num_frames > agent.frames:
        raise Sam2rlError(
            f"the agent {key} was trained on {agent.frames} frames, but the video has {start.num_frames}: train again"
        )
    return agent
