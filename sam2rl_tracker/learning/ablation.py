"""What each part of the control and each kind of observation gives: an ablation of a learning. It chooses nothing.

The network is fitted anew to the frames that the rounds gathered, once without each kind of observation. These refits
are compared with one that sees everything, and the learned agent with itself where it decides the memory or the output
alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.control.decide import Control
from sam2rl_tracker.control.observation import GROUPS
from sam2rl_tracker.engine import one_thread
from sam2rl_tracker.evaluation.intervals import FEW, bootstrap_interval
from sam2rl_tracker.learning.gather import Part, encode_each, network_of, qualities_under
from sam2rl_tracker.learning.settings import LearnSettings
from sam2rl_tracker.runs.executors import Executor, result_of
from sam2rl_tracker.runs.folder import write_json

FILE = "ablation.json"
EVERYTHING = "everything"
"""Name of the refit that sees everything: the others are compared with it."""

Refit = Callable[[LearnSettings, Path, str], None]
"""Fits a network to what was gathered and writes the agent: settings, file, name for progress."""


@dataclass(frozen=True)
class Variant:
    """An agent that is compared with another.

    Attributes:
        name: Such as "without motion".
        agent: Its file.
        control: What it decides.
        beside: Name of the one that it is compared with; of that one, its own.
    """

    name: str
    agent: Path
    control: str
    beside: str


@dataclass(frozen=True)
class Compared:
    """What came of a variant.

    Attributes:
        variant: Which one.
        videos: Quality of each video.
        difference: Of the mean quality to the other's.
        interval: Of the difference, 95 %, paired by video; None with too few videos.
    """

    variant: Variant
    videos: tuple[float, ...]
    difference: float
    interval: tuple[float, float] | None

    @property
    def quality(self) -> float:
        return float(np.mean(self.videos))

    @property
    def is_baseline(self) -> bool:
        return self.variant.beside == self.variant.name

    def as_json(self) -> dict[str, Any]:
        about = {**vars(self.variant), "agent": str(self.variant.agent), "quality": self.quality}
        return {**about, "difference": self.difference, "interval": self.interval, "videos": self.videos}


@dataclass(frozen=True)
class Contest:
    """Variants on the same videos.

    Attributes:
        part: Its videos; `out` is the file to write, the agent is none.
        variants: To try.
    """

    part: Part
    variants: tuple[Variant, ...]

    def on(self, device: str) -> Contest:
        """The same contest, on a device."""
        return replace(self, part=self.part.on(device))


def ablate(
    chosen: Path,
    parts: Sequence[Part],
    videos: int,
    refit: Refit,
    executor: Executor,
    report: Callable[[str], None] = lambda text: None,
) -> list[Compared]:
    """Refit and compare, or go on with that; writes `ablation.json` into the run's folder.

    Args:
        chosen: The agent that was learned, in the run's folder.
        parts: Of the validation. Their files lie in a folder within the run's, where the refits are written, too.
        videos: That count; the last part may hold more.
        refit: Makes an agent.
        executor: Where the variants are tried. Networks are fitted here, since each fit holds all that was gathered.
        report: Is called with a line of text per step.
    """
    folder, settings = parts[0].out.parent, parts[0].settings
    refitted = refits(folder, settings.control)
    for one, changed in zip(refitted, blinded(settings), strict=True):
        if not one.agent.exists():
            folder.mkdir(exist_ok=True)
            refit(changed, one.agent, f"ablation, {one.name}")
    variants = [*controls(chosen), *refitted]
    found = compare(variants, parts, videos, executor, report)
    rows = [{**row.as_json(), "agent": str(row.variant.agent.relative_to(folder.parent))} for row in found]
    write_json(folder.with_name(FILE), {"validation": rows})
    return found


def controls(agent: Path) -> list[Variant]:
    """An agent that decides everything, and the memory or the output alone."""
    both = f"control={Control.BOTH.value}"
    kinds = sorted(Control, key=lambda kind: kind is not Control.BOTH)
    return [Variant(f"control={kind.value}", agent, kind.value, both) for kind in kinds]


def refits(folder: Path, control: str = Control.BOTH.value) -> list[Variant]:
    """The agents that are fitted anew, in a folder: with every kind of observation, twice, and without each."""
    names = [EVERYTHING, "another seed", *(f"without {group}" for group in GROUPS)]
    return [Variant(name, folder / f"{name.replace(' ', '-')}.safetensors", control, EVERYTHING) for name in names]


def blinded(settings: LearnSettings) -> list[LearnSettings]:
    """Of the fits that `refits` lists; another seed tells how much chance alone changes."""
    whole = replace(settings, leave_out="")
    seed = replace(whole, seed=settings.seed + 1)
    return [whole, seed, *(replace(whole, leave_out=group) for group in GROUPS)]


def compare(
    variants: Sequence[Variant],
    parts: Sequence[Part],
    videos: int,
    executor: Executor,
    report: Callable[[str], None] = lambda text: None,
) -> list[Compared]:
    """Variants on the same videos; what is in the parts' files is not tried again. Arguments as of `ablate`.

    Raises:
        Sam2rlError: An agent cannot be read, or a process died.
    """
    contests = [Contest(part, tuple(variants)) for part in parts]
    for count, outcome in enumerate(executor.run(hold, contests), start=1):
        result_of(outcome)
        report(f"ablation: comparing, {count} of {len(contests)} parts")
    held = [json.loads(part.out.read_text()) for part in parts]
    found = {one.name: np.array([v for part in held for v in part[one.name]][:videos]) for one in variants}
    rows = []
    for one in variants:
        difference = found[one.name] - found[one.beside]
        interval = bootstrap_interval(difference) if videos >= FEW else None
        rows.append(Compared(one, tuple(found[one.name].tolist()), float(difference.mean()), interval))
    return rows


@one_thread()
def hold(contest: Contest) -> Path:
    """Track a part's videos by each variant that is not in its file, and write the quality of each video."""
    part = contest.part
    found = json.loads(part.out.read_text()) if part.out.exists() else {}
    missing = [one for one in contest.variants if one.name not in found]
    if not missing:
        return part.out
    engine = part.engine()
    videos = encode_each(engine, part.clips())
    for one in missing:
        network = network_of(one.agent, engine.model)
        assert network is not None
        found[one.name] = qualities_under(engine, videos, network, Control(one.control))
    write_json(part.out, found)
    return part.out
