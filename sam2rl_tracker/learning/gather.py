"""Gathering what to learn from: rollouts of many videos, each controlled in a way of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from sam2rl_tracker.control.agent import load_control_agent
from sam2rl_tracker.control.decide import Control, decide
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.engine import PLAIN, Arithmetic, Engine, Model, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.learning.behaviour import Mixture
from sam2rl_tracker.learning.forks import gather_forks
from sam2rl_tracker.learning.rollouts import Rollouts
from sam2rl_tracker.learning.samples import samples_of, write_rows
from sam2rl_tracker.learning.settings import LearnSettings
from sam2rl_tracker.learning.sources import Source, draw
from sam2rl_tracker.learning.videos import Video, encode

PART = 16
"""Videos that are tracked together."""

_STRIDES = torch.tensor([2, 2, 3, 3, 3, 4, 5, 6, 0])
_APART = 12  # frames between the moments at which the memory's actions are compared


@dataclass(frozen=True)
class Part:
    """A share of the gathering.

    Attributes:
        model: Which SAM 2, as `load_model` takes it.
        device: Where it runs; None = the best there is.
        sources: Of videos.
        first: Number of the first video; `PART` of them.
        settings: Of the learning.
        agent: File of the agent that takes part; None = rules alone.
        out: File to write.
        arithmetic: What the network computes in.
    """

    model: str
    device: str | None
    sources: tuple[Source, ...]
    first: int
    settings: LearnSettings
    agent: Path | None
    out: Path
    arithmetic: Arithmetic = PLAIN

    def engine(self) -> Engine:
        return _engine(self.model, self.device, self.arithmetic)

    def clips(self) -> list[Clip]:
        return draw(self.sources, range(self.first, self.first + PART), self.settings.frames)

    def on(self, device: str) -> Part:
        """The same part, on a device."""
        return replace(self, device=device)

    def chance(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.first * 1009 + self.settings.seed)


@lru_cache(1)
def _engine(model: str, device: str | None, arithmetic: Arithmetic) -> Engine:
    return arithmetic.engine(load_model(model, device))


def network_of(agent: Path | None, model: Model) -> ControlNetwork | None:
    return None if agent is None else load_control_agent(agent).on(model)


def encode_each(engine: Engine, clips: Sequence[Clip]) -> list[Video]:
    return [encode(engine, [clip])[0] for clip in clips]


@one_thread()
def gather_part(part: Part) -> Path:
    """Track videos by rules and by the agent, with chance, and write what was seen."""
    if part.out.exists():
        return part.out
    engine, settings, chance = part.engine(), part.settings, part.chance()
    videos = encode_each(engine, part.clips())
    rows = len(videos) * settings.rows
    network = network_of(part.agent, engine.model)

    def some(share: float, highest: float) -> torch.Tensor:
        values = torch.rand(rows, generator=chance) * highest
        return torch.where(torch.rand(rows, generator=chance) < share, values, 0.0)

    mixture = Mixture(
        network,
        asked=(torch.rand(rows, generator=chance) < (0.75 if network is not None else 0.0)).to(engine.device),
        stride=_STRIDES[torch.randint(len(_STRIDES), (rows,), generator=chance)].to(engine.device),
        gate=some(0.8, 0.8).to(engine.device),
        noise=some(0.5, 0.1).to(engine.device),
        chance=chance,
    )
    rollouts = Rollouts(engine, [video for video in videos for _ in range(settings.rows)])
    steps = []
    while not rollouts.done:
        steps.append(rollouts.step(mixture))
    write_rows(samples_of(steps), part.out)
    return part.out


@one_thread()
def fork_part(part: Part) -> Path:
    """Track videos by the agent, and write what the memory's actions gave at some frames."""
    if part.out.exists():
        return part.out
    engine = part.engine()
    network = network_of(part.agent, engine.model)
    assert network is not None
    rollouts = Rollouts(engine, encode_each(engine, part.clips()))
    first = max(min(_APART, rollouts.frames - 3), 1)  # so that a short video has a moment, too
    offset = int(torch.randint(first, (1,), generator=part.chance()))
    moments = range(2 + offset, rollouts.frames, _APART)
    write_rows(gather_forks(rollouts, network, moments, part.settings.horizon, part.chance()), part.out)
    return part.out


@dataclass(frozen=True)
class Trial:
    """An agent on a part of the validation.

    Attributes:
        part: Its videos and agent; nothing is written.
        control: What the agent decides.
    """

    part: Part
    control: str

    def on(self, device: str) -> Trial:
        """The same trial, on a device."""
        return replace(self, part=self.part.on(device))


@one_thread()
def try_part(trial: Trial) -> list[float]:
    """The mean quality of each video's frames under the agent."""
    part = trial.part
    engine = part.engine()
    network = network_of(part.agent, engine.model)
    assert network is not None
    return qualities_under(engine, encode_each(engine, part.clips()), network, Control(trial.control))


def qualities_under(engine: Engine, videos: Sequence[Video], network: ControlNetwork, control: Control) -> list[float]:
    """The mean quality of each video's frames under a network."""
    rollouts, rewards = Rollouts(engine, videos), []
    while not rollouts.done:
        rewards.append(rollouts.step(lambda seen, state: decide(network(seen.observation), seen, control)).reward)
    return [float(value) for value in torch.stack(rewards).nanmean(dim=0)]
