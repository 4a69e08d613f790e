"""How rows behave while data is gathered: rules and agents, and chance, so that many states are seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.decide import Decision, worth_showing
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import View
from sam2rl_tracker.control.state import State


@dataclass(frozen=True, eq=False)
class Mixture:
    """Rows of different behaviour, as `Decide`.

    Attributes:
        network: The agent; None = SAM 2's output everywhere.
        asked: bool [rows] whose output is the agent's; that of the others is SAM 2's.
        stride: int64 [rows] every n-th frame replaces the oldest; 0 = any action by chance.
        gate: [rows] least presence x quality of a frame that is remembered.
        noise: [rows] share of the frames on which chance picks candidate or presence.
        chance: Its source.
    """

    network: ControlNetwork | None
    asked: Tensor
    stride: Tensor
    gate: Tensor
    noise: Tensor
    chance: torch.Generator

    def __call__(self, seen: View, state: State) -> Decision:
        rows = len(self.asked)
        index = torch.arange(rows, device=seen.ious.device)
        picks, visible = seen.ious.argmax(dim=1), seen.object_scores > 0
        presence, quality = seen.object_scores.sigmoid(), seen.ious
        if self.network is not None:
            judged = self.network(seen.observation)
            presence, quality = judged.presence.sigmoid(), judged.quality.sigmoid()
            picks = torch.where(self.asked, quality.argmax(dim=1), picks)
            visible = torch.where(self.asked, worth_showing(presence, quality.amax(dim=1)), visible)
        device = picks.device  # chance is the same on all of them
        moved = torch.rand(rows, generator=self.chance).to(device) < self.noise
        others = torch.randint(seen.ious.shape[1], (rows,), generator=self.chance).to(device)
        picks = torch.where(moved, others, picks)
        visible = visible ^ (torch.rand(rows, generator=self.chance).to(device) < self.noise / 2)
        quality = quality[index, picks]
        good = presence * quality >= self.gate
        due = torch.where(self.stride > 0, state.since_stored + 1 >= self.stride, True)
        random = torch.randint(CAPACITY + 1, (rows,), generator=self.chance).to(device)
        action = torch.where(self.stride > 0, (due & good & visible).long(), random)
        return Decision(picks, visible, presence, quality, action)
