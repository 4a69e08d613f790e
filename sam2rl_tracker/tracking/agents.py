"""The agents that decide for the policies of one tracker."""

from __future__ import annotations

import os

import numpy as np

from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.store import find_agent
from sam2rl_tracker.control.agent import ControlAgent, load_control_agent, packaged_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.policies import Policy
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE


class Agents:
    """Finds the agents of new objects.

    Args:
        model: That the agents must belong to.
        source: Where agents of one video are, if the policy does not say: a folder or a file; None takes the
            environment's SAM2RL_AGENTS.
        num_frames: Length of the video, if known.
    """

    def __init__(self, model: Model, source: StrPath | None, num_frames: int | None) -> None:
        self._model = model
        self._source = source
        self._num_frames = num_frames
        self._control: ControlAgent | None = None

    def of_video(self, policy: Policy, image: np.ndarray, mask: np.ndarray) -> Agent | None:
        """The agent for this object of this video, if the policy is run by one; what the policy names comes first.

        Args:
            image: uint8 [height, width, 3], of the frame on which the object is given.
            mask: bool [height, width], the object's.
        """
        if policy.agent_source is None:
            return None
        source = policy.agent_source or self._source or os.environ.get(AGENTS_VARIABLE, "")
        return find_agent(source, image, mask, self._model, self._num_frames)

    def of_any_video(self, policy: Policy) -> ControlAgent | None:
        """The agent for any video, if the policy is run by one; read once."""
        if policy.control_source is None:
            return None
        if self._control is None:
            self._control = load_control_agent(policy.control_source or packaged_agent(self._model))
        return self._control
