"""SAM2RL: the bank is controlled by an agent that was trained on the very video it is used on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sam2rl_tracker.agents.action import KEEP, output_of
from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.engine.types import MAX_POINTERS
from sam2rl_tracker.parameters import INTERNAL
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.base import Choice, Prediction, Start


@dataclass
class Sam2Rl(BankPolicy):
    """An agent trained on this very video, and so on the ground truth that it is scored on, controls the bank.

    Source: Adamyan et al., "SAM2RL: Towards Reinforcement Learning Memory Control in Segment Anything Model 2"
    (arXiv:2507.08548).

    The observation holds no image: the greedy agent is an open-loop
    list of decisions.

    An agent may decide more than the paper's: which candidate is the output, and whether the object is there
    (`control="output"` or `"both"`), and it may attend to the pointers of the last frames.

    Attributes:
        agents: Folder of agent files, or one file; empty = where the tracker was told to look.
        agent: Instead, an agent in memory, whatever it was trained on. No parameter of `--policy`.
        stride: Frames of the agent's own video from one frame of this one to the next: 2 where every second frame was
            left out. No parameter of `--policy`.
    """

    agents: str = ""
    agent: Agent | None = field(default=None, metadata=INTERNAL)
    stride: int = field(default=1, metadata=INTERNAL)

    about: ClassVar[About] = About(
        title="SAM2RL (trained on its test videos)",
        basis=Basis.PAPER,
        compared="equal to the simulator, decision for decision; there was no code to compare with",
        paper="Adamyan et al., arXiv:2507.08548",
        attends="The prompted frame and the stored ones, seven in all; pointers of the same frames.",
        remembers="After every frame the agent drops it or puts it in the place of a stored one. It knows the indices "
        "of these frames, and no image.",
        corrected="Refused: the agent was trained on decisions without one.",
    )
    exact: ClassVar[bool] = True
    takes_corrections: ClassVar[bool] = False

    @property
    def agent_source(self) -> str | None:
        return self.agents if self.agent is None else None

    @property
    def agent_in_use(self) -> Agent | None:
        return self._agent

    def begin(self, start: Start) -> None:
        agent = self.agent or start.agent
        assert agent is not None, "Start.agent is missing: the tracker finds it by `agent_source`."
        self._agent = agent
        self.capacity, self.recent_pointers = agent.capacity, agent.pointers == "recent"
        self._output = KEEP  # of the next frame
        super().begin(start)
        self.pointer_span = min(agent.frames, MAX_POINTERS)  # a stream does not say its length, the agent does

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        (prediction,) = predictions
        return [Choice(*output_of(prediction.ious, prediction.object_score, self._output))]

    def decide(self, t: int, bank: Sequence[int]) -> int:
        agent, stride, stored = self._agent, self.stride, [self.stride * frame for frame in bank]
        # The output is decided on the frame before it, which may have been left out of this video.
        before = min(stride * (t + 1) - 1, agent.frames - 1)
        if agent.space.decides_output:
            self._output = agent.space.decision(agent.action(before, stored)).output
        return agent.space.decision(agent.action(stride * t, stored)).memory
