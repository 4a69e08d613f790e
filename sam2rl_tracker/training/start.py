"""What a training begins with: the best rollout of a few beam searches, under whichever pointers they found more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.folder import write_json
from sam2rl_tracker.training.search import first_rollout
from sam2rl_tracker.training.simulator import Simulator

START = "start.json"
"""File of a training's folder that holds its start."""


@dataclass(frozen=True)
class Start:
    """The rollout that a training explores around first.

    Attributes:
        pointers: Under which it was found: one of `agents.action.POINTERS`.
        actions: Those after frames 1 to T - 2.
        quality: Of the video, as simulated.
        steps: Transitions of all the searches, those under other pointers too.
        evaluated: States predicted for them.
        seconds: Of simulation.
    """

    pointers: str
    actions: tuple[int, ...]
    quality: float
    steps: int
    evaluated: int
    seconds: float


def find_start(simulators: Iterable[Simulator], widest: int) -> Start:
    """Search under each kind of pointers, and keep the better rollout; of equal ones, the first.

    Args:
        simulators: Of one clip, each with other pointers. One is in memory at a time where they are made as they are
            asked for.
        widest: The widest beam.
    """
    starts = []
    for simulator in simulators:
        before, began = simulator.counters.evaluated, simulator.counters.seconds
        found = first_rollout(simulator, widest)
        evaluated, seconds = simulator.counters.evaluated - before, simulator.counters.seconds - began
        starts.append(Start(simulator.pointers, found.actions, found.quality, found.steps, evaluated, seconds))
    best = max(starts, key=lambda start: start.quality)
    spent = {name: sum(getattr(start, name) for start in starts) for name in ("steps", "evaluated", "seconds")}
    return Start(best.pointers, best.actions, best.quality, **spent)


def read_start(folder: Path) -> Start | None:
    """What a folder's training was begun with; None where it was begun when there was no choice of pointers.

    Raises:
        Sam2rlError: The file is damaged.
    """
    path = folder / START
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        return Start(**{**content, "actions": tuple(content["actions"])})
    except (ValueError, TypeError, KeyError) as error:
        raise Sam2rlError(f"{path} is damaged: delete {folder} to train from the start.") from error


def write_start(folder: Path, start: Start) -> None:
    """Raises: Sam2rlError: The file cannot be written."""
    write_json(folder / START, asdict(start))
