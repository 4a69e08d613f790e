"""What decides a benchmark, and the file in its folder that says what it was begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2rl_tracker.agents.action import Space
from sam2rl_tracker.engine import PLAIN, Arithmetic
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import AGENTS, TRACKERS
from sam2rl_tracker.runs.folder import write_json
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.training.search import most_steps
from sam2rl_tracker.training.settings import PRESETS, Settings

SEED = 960_000  # of the first video: no training of the model and no study of settings has used these
GROWING = ("count", "searched", "trackers")  # what may change from one run to the next
MADE_ON = "made_on"  # in a plan's file and the document: the machines, with the number of jobs


@dataclass(frozen=True)
class Plan:
    """All that decides a benchmark.

    Another `count` or `searched`, or more `trackers`, change nothing that a benchmark has done already: it may go on
    with more.

    Attributes:
        count: Videos. Higher values narrow the intervals.
        frames: Of each.
        seed: Of the first video; the others count up.
        preset: How hard the scenes are; see `synthetic.presets`.
        model: Which SAM 2, as `load_model` takes it.
        settings: Of the agents' training.
        seeds: How many agents are trained on each of the first videos, each with another seed. Higher values show
            better how much the seed decides, and take longer.
        subset: How many these videos are. Higher values show it on more videos, and take longer.
        searched: On how many of the first videos searches run; None = all. Higher values narrow the intervals of what
            is said of searches, which take most of the time.
        control_steps: Simulated steps of random, beam and local search; None = as many as the agent of the video took.
        arithmetic: What trainings and searches are simulated in. Trackers and baselines compute in float32, uncompiled:
            agents run in exact mode, and what they are compared with must differ in its decisions alone.
        trackers: That the VOT toolkit evaluates, SAM2 among them; see `as_begun` for none. Without SAM2RL no agent
            is trained, and nothing is searched or replayed on changed videos.
    """

    count: int = 32
    frames: int = 80
    seed: int = SEED
    preset: str = "default"
    model: str = "nano"
    settings: Settings = field(default_factory=Settings)
    seeds: int = 3
    subset: int = 4
    searched: int | None = 8
    control_steps: int | None = None
    trackers: tuple[str, ...] = ()
    arithmetic: Arithmetic = PLAIN

    def check(self) -> None:
        """Find what would otherwise come to light after hours.

        Raises:
            Sam2rlError: The plan cannot be carried out.
        """
        find_preset(self.preset)
        if self.searched is not None and self.searched < 1:
            raise Sam2rlError("Searches must run on one video at least: give --searched 1 or more.")
        if self.frames < 5:
            raise Sam2rlError(
                f"Videos of {self.frames} frames are too short: every second frame must be 3, give 5 at least."
            )
        least = most_steps(self.frames - 2, Space(self.settings.control), 1)
        steps = self.settings.samples if self.control_steps is None else self.control_steps
        if steps < least:
            raise Sam2rlError(
                f"{steps} simulated steps are too few for a beam on {self.frames} frames: give "
                f"{'--set samples=' if self.control_steps is None else '--control-steps '}{least} at least."
            )

    @property
    def with_agents(self) -> bool:
        """Whether agents are trained."""
        return AGENTS in self.trackers

    def as_json(self) -> dict[str, Any]:
        """As `plan.json` and the document's `settings` hold it."""
        content = {**asdict(self), **asdict(self.arithmetic), "settings": self.settings.as_json()}
        del content["arithmetic"]
        return content


DEFAULT = Plan()
PAPER = Plan(count=64, searched=None, settings=PRESETS["paper"])


def as_begun(path: Path, plan: Plan, every: tuple[str, ...] = TRACKERS) -> Plan:
    """The plan with what a folder has settled.

    The trackers that it has already come before the plan's own; if there are neither, it gets all. A benchmark that was
    begun before there was local search goes on without.

    Args:
        path: `plan.json`, which need not be there.
        every: All that there are.

    Raises:
        Sam2rlError: The file is damaged.
    """
    begun = _read(path) if path.is_file() else {}
    trackers = tuple(dict.fromkeys([*begun.get("trackers", ()), *plan.trackers]))
    settings = plan.settings
    if begun and "local" not in begun.get("settings", {}):
        settings = replace(settings, local=0)
    return replace(plan, trackers=trackers or every, settings=settings)


def keep_plan(path: Path, plan: Plan, found: Mapping[str, str], machine: str) -> list[str]:
    """Write the plan down, or compare it with the one that the folder was begun with.

    Args:
        path: `plan.json`.
        found: What the plan came upon: the model's hash, the kind of device, versions.
        machine: Where the work goes on.

    Returns:
        All machines on which it has gone on so far.

    Raises:
        Sam2rlError: The folder was begun with another plan, or its file is damaged.
    """
    wanted = {**json.loads(json.dumps(plan.as_json())), **found}
    machines = [machine]
    if path.is_file():
        begun = _read(path)
        _compare(path.parent.parent, begun, wanted)
        machines = list(dict.fromkeys([*begun.get(MADE_ON, []), machine]))
    write_json(path, {**wanted, MADE_ON: machines})
    return machines


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: give another folder.") from error


def _compare(folder: Path, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assumed = {f"--set {key}": value for key, value in Settings.from_json(wanted["settings"]).assumed.items()}
    before, now = {**asdict(PLAIN), **assumed, **_flat(begun)}, _flat(wanted)
    other = [
        f"{key}={before.get(key)}, not {value}"
        for key, value in now.items()
        if before.get(key) != value and key not in GROWING
    ]
    if other:
        raise Sam2rlError(f"{folder} was begun with {'; '.join(other)}: give the same to continue, or another folder.")
    if wanted["count"] < begun.get("count", 0):
        raise Sam2rlError(f"{folder} was begun with {begun['count']} videos: give --count {begun['count']} or more.")


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan with the settings of the agents beside its own."""
    settings = plan.get("settings")
    ours = settings if isinstance(settings, dict) else {}  # a damaged file's may be anything
    return {**plan, **{f"--set {key}": value for key, value in ours.items()}, "settings": None}
