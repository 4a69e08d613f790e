"""The agent's network: of a frame's observation, how good each candidate is, whether the object is there, and what to
remember. The order of candidates does not matter, nor that of memories beyond what their ages say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.observation import CANDIDATE, FRAME, MEMORY, PAIR, Observation
from sam2rl_tracker.engine.types import Rows

_HIDDEN = 1e30  # a spread beside which nothing can be seen; a file holds no infinite ones
_SCORE = FRAME.index("object_score")


@dataclass(frozen=True, eq=False)
class Judgement(Rows):
    """What the network says of a frame. All are logits but the last.

    Attributes:
        quality: [rows, K] whose sigmoid is the expected IoU of a candidate, if the object is there.
        presence: [rows] whether the object is there.
        memory: [rows, 1 + CAPACITY] the actions: discard, or put the frame in the k-th oldest's place.
        value: [rows] what is expected of the frames to come, relative to other decisions.
    """

    quality: Tensor
    presence: Tensor
    memory: Tensor
    value: Tensor


class Scale(nn.Module):
    """Standardises what is seen, by mean and spread of the training's data; clips what is far out."""

    def __init__(self, size: int):
        super().__init__()
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    def fit(self, values: Tensor) -> None:
        """Take mean and spread of [n, size]."""
        self.mean.copy_(values.mean(dim=0))
        self.spread.copy_(values.std(dim=0).clamp(min=1e-3))

    def hide(self, places: Sequence[int] | slice) -> None:
        """Make some of what is seen look the same, whatever it is."""
        self.spread[places] = _HIDDEN

    def forward(self, values: Tensor) -> Tensor:
        return ((values - self.mean) / self.spread).clamp(-8, 8)


class ControlNetwork(nn.Module):
    """See the module.

    Args:
        look: L, the length of a look.
        width: Of the hidden layers.
        dropout: While training, of hidden units.
        narrow: Of what looks are compared by; narrow, or it learns the training's videos by heart.
    """

    def __init__(self, look: int, width: int = 96, dropout: float = 0.1, narrow: int = 24):
        super().__init__()
        self.look, self.width = look, width
        self.sees_absence: Tensor  # False: presence could not be learned, and SAM 2's is taken
        self.register_buffer("sees_absence", torch.tensor(True))
        half = width // 2
        self.scale_candidate, self.scale_look = Scale(len(CANDIDATE)), Scale(look)
        self.scale_frame, self.scale_memory = Scale(len(FRAME)), Scale(len(MEMORY))
        self.scale_pair = Scale(len(PAIR))  # leaves cosines as they are
        self.embed = nn.Linear(look, narrow)
        self.compare = nn.Sequential(nn.Linear(7 * narrow, width), nn.Dropout(dropout))
        self.memory = nn.Sequential(nn.Linear(len(MEMORY) + len(PAIR), half), nn.GELU(), nn.Linear(half, half))
        given = len(CANDIDATE) + width + len(FRAME) + 2 * half
        self.candidate = _layers(given, width, dropout)
        self.among = _layers(3 * width, width, dropout)
        self.quality = nn.Linear(width, 1)
        self.presence = nn.Sequential(_layers(2 * width, width, dropout), nn.Linear(width, 1))
        known = width + len(FRAME) + 2
        self.replace = nn.Sequential(nn.Linear(half + known, half), nn.GELU(), nn.Linear(half, 1))
        self.discard = nn.Sequential(nn.Linear(2 * half + known, half), nn.GELU(), nn.Linear(half, 1))
        self.value = nn.Sequential(nn.Linear(2 * half + known, half), nn.GELU(), nn.Linear(half, 1))

    def forward(self, seen: Observation) -> Judgement:
        frame = self.scale_frame(seen.frame)  # [rows, F]
        memories = self._memories(seen)  # [rows, K, M, half]
        pooled = _pool(memories, seen.held[:, None])  # [rows, K, 2 * half]
        rows, count = seen.candidates.shape[:2]
        per_candidate = torch.cat(
            [
                self.scale_candidate(seen.candidates),
                self._compare(seen),
                frame[:, None].expand(-1, count, -1),
                pooled,
            ],
            dim=-1,
        )
        hidden = self.candidate(per_candidate)
        among = torch.cat([hidden.mean(dim=1), hidden.amax(dim=1)], dim=-1)
        hidden = hidden + self.among(torch.cat([hidden, among[:, None].expand(-1, count, -1)], dim=-1))
        quality = self.quality(hidden)[..., 0]
        best = quality.argmax(dim=1)
        index = torch.arange(rows, device=best.device)
        mine = hidden[index, best]
        presence = self.presence(torch.cat([mine, hidden.amax(dim=1)], dim=-1))[:, 0]
        presence = torch.where(self.sees_absence, presence, 10 * seen.frame[:, _SCORE])
        judged = torch.stack([quality[index, best].sigmoid(), presence.sigmoid()], dim=1).detach()
        known = torch.cat([mine.detach(), frame, judged], dim=-1)  # memory must not disturb what has labels
        stored = memories[index, best, 1:]  # [rows, CAPACITY, half]
        summary = torch.cat([pooled[index, best], known], dim=-1)
        each = self.replace(torch.cat([stored, known[:, None].expand(-1, CAPACITY, -1)], dim=-1))[..., 0]
        # While the bank is not full every insertion is the same: the first place stands for all.
        open_place = torch.arange(CAPACITY, device=best.device) >= seen.held[:, 1:].sum(dim=1, keepdim=True).clamp(
            min=1
        )
        each = each.masked_fill(open_place, -1e4)
        memory = torch.cat([self.discard(summary), each], dim=1)
        return Judgement(quality, presence, memory, self.value(summary)[:, 0])

    def _compare(self, seen: Observation) -> Tensor:
        """[rows, K, width] of the candidates' looks beside those of the past."""
        mine = self.embed(self.scale_look(seen.looks))  # [rows, K, width]
        past = self.embed(self.scale_look(seen.past))[:, :, None]  # [rows, 3, 1, width]
        near, alike = (mine[:, None] - past).abs(), mine[:, None] * past  # [rows, 3, K, width]
        return self.compare(torch.cat([mine, *near.unbind(dim=1), *alike.unbind(dim=1)], dim=-1))

    def _memories(self, seen: Observation) -> Tensor:
        facts = self.scale_memory(seen.memories)[:, None].expand(-1, seen.pairs.shape[1], -1, -1)
        return self.memory(torch.cat([facts, self.scale_pair(seen.pairs)], dim=-1))


def _layers(given: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(given, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout))


def _pool(memories: Tensor, held: Tensor) -> Tensor:
    """Mean and maximum over the memories that there are: [rows, K, M, c], bool [rows, 1, M] -> [rows, K, 2 c]."""
    there = held[..., None]
    mean = (memories * there).sum(dim=2) / there.sum(dim=2).clamp(min=1)
    return torch.cat([mean, memories.masked_fill(~there, -1e4).amax(dim=2)], dim=-1)
