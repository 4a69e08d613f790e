"""Fitting the network to what was gathered: candidates and presence have labels, the memory has a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2rl_tracker.control.looks import LookParts
from sam2rl_tracker.control.network import ControlNetwork, Judgement
from sam2rl_tracker.control.observation import CANDIDATE, FRAME, GROUPS, MEMORY, PAIR
from sam2rl_tracker.learning.samples import Samples
from sam2rl_tracker.learning.settings import LearnSettings

_SHARP = 16.0  # of the choice among candidates, in the loss of what a choice costs
_WARM_UP = 200  # steps
_SCALED_BY = 20_000  # frames
_SINCE = FRAME.index("since_stored")


@dataclass(frozen=True)
class Losses:
    """Of fitting, each a mean over frames.

    Attributes:
        quality: Cross-entropy of the candidates' expected IoUs with the true ones, where the object is there.
        regret: IoU that the choice among candidates costs, in expectation, where the object is there.
        presence: Cross-entropy.
        memory: Cross-entropy with the teacher's action.
    """

    quality: Tensor
    regret: Tensor
    presence: Tensor
    memory: Tensor

    @property
    def total(self) -> Tensor:
        return self.quality + self.regret + self.presence + self.memory


def new_network(parts: LookParts, samples: Samples, settings: LearnSettings) -> ControlNetwork:
    """A network that scales what it sees by what was gathered."""
    network = ControlNetwork(parts.size, settings.width, settings.dropout)
    some = samples.take(torch.randperm(len(samples))[:_SCALED_BY].tolist()).seen
    network.scale_candidate.fit(some.candidates.flatten(0, 1))
    network.scale_look.fit(some.looks.flatten(0, 1))
    network.scale_frame.fit(some.frame)
    network.scale_memory.fit(some.memories[some.held])
    if settings.leave_out:
        leave_out(network, settings.leave_out, parts)
    return network


def leave_out(network: ControlNetwork, group: str, parts: LookParts) -> None:
    """Make a network blind to a group of the observation: it sees the same there on every frame.

    Args:
        group: A key of `GROUPS`.
        parts: Of the looks.
    """
    hidden = GROUPS[group]
    network.scale_candidate.hide([CANDIDATE.index(name) for name in hidden.candidates])
    network.scale_frame.hide([FRAME.index(name) for name in hidden.frame])
    network.scale_memory.hide([MEMORY.index(name) for name in hidden.memories])
    network.scale_pair.hide([PAIR.index(name) for name in hidden.pairs])
    for name in hidden.looks:
        network.scale_look.hide(getattr(parts, name))


def fit(
    network: ControlNetwork,
    samples: Samples,
    settings: LearnSettings,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, losses: None,
) -> None:
    """Fit a network to samples, in place."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    batch = min(settings.batch_size, len(samples))
    total, step = settings.epochs * (len(samples) // batch), 0
    for epoch in range(settings.epochs):
        sums = dict.fromkeys(Losses.__dataclass_fields__, 0.0)
        order = torch.randperm(len(samples))
        for start in range(0, len(samples) - batch + 1, batch):
            for group in optimiser.param_groups:
                falling = 0.5 + 0.5 * math.cos(math.pi * step / total)
                group["lr"] = settings.learning_rate * min(1.0, step / _WARM_UP) * falling
            losses = losses_of(network, samples.take(order[start : start + batch].tolist()), settings)
            optimiser.zero_grad()
            losses.total.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            step += 1
            for name in sums:
                sums[name] += float(getattr(losses, name).detach())
        on_epoch(epoch, {name: value * batch / (len(samples) // batch * batch) for name, value in sums.items()})
    network.eval()


def losses_of(network: ControlNetwork, samples: Samples, settings: LearnSettings) -> Losses:
    """What a network gets wrong on samples."""
    seen = samples.seen
    judged = network(seen)
    there = samples.present > 0.5
    quality = F.binary_cross_entropy_with_logits(judged.quality, samples.ious, reduction="none").mean(dim=1)
    choice = (_SHARP * judged.quality.sigmoid()).softmax(dim=1)
    regret = (choice * (samples.ious.amax(dim=1, keepdim=True) - samples.ious)).sum(dim=1)
    count = there.sum().clamp(min=1)
    return Losses(
        quality=(quality * there).sum() / count,
        regret=(regret * there).sum() / count,
        presence=F.binary_cross_entropy_with_logits(judged.presence, samples.present),
        memory=F.cross_entropy(judged.memory, teach(judged, seen.frame, settings)),
    )


def teach(judged: Judgement, frame: Tensor, settings: LearnSettings) -> Tensor:
    """The memory's teacher: int64 [rows], 1 = in the place of the oldest, where that is due and the frame is good.

    Args:
        judged: What the agent says of the frames.
        frame: [rows, len(FRAME)].
    """
    since = frame[:, _SINCE].expm1().round() + 1
    good = judged.presence.sigmoid() * judged.quality.sigmoid().amax(dim=1) >= settings.gate
    return ((since >= settings.stride) & good).detach().long()
