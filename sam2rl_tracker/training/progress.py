"""How far a training has come: as a record, and as a training's folder tells it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from sam2rl_tracker.runs.folder import PROGRESS, RunFolder


@dataclass
class TrainingProgress:
    """Where a training stands, after an iteration.

    Attributes:
        iteration: How many have ended.
        iterations: How many there will be.
        mean: Quality of the iteration's rollouts.
        best: Quality of the best rollout so far.
        greedy: Quality of the greedy policy.
        best_greedy: Quality of the best greedy policy so far.
        sam2: Quality of SAM 2's own rule; nan where it is not known.
        entropy: Of the policy at the iteration's rollouts, in nats: log 7 = 1.95 at most.
        stale: Iterations since the greedy policy was last better.
        steps: Transitions so far.
        evaluated: States predicted so far.
        simulating: Seconds.
        learning: Seconds.
    """

    iteration: int = 0
    iterations: int = 0
    mean: float = 0.0
    best: float = float("-inf")
    greedy: float = 0.0
    best_greedy: float = float("-inf")
    sam2: float = float("nan")
    entropy: float = float("nan")
    stale: int = 0
    steps: int = 0
    evaluated: int = 0
    simulating: float = 0.0
    learning: float = 0.0

    @property
    def reuse(self) -> float:
        """Share of the steps that needed no prediction."""
        return 1 - self.evaluated / self.steps if self.steps else 0.0

    @property
    def speed(self) -> float:
        """Simulated frames per second."""
        return self.steps / self.simulating if self.simulating else 0.0


def run_folder(folder: Path) -> RunFolder:
    """The folder of a training, whose progress table has a line per iteration."""
    return RunFolder(folder, counter="iteration")


def read_training(folder: Path) -> TrainingProgress | None:
    """Where the training of a folder stands; None before its first iteration has ended, or if nobody can tell."""
    table = run_folder(folder).progress()
    try:
        return TrainingProgress(
            **{name: type(value)(table.columns[name][-1]) for name, value in asdict(TrainingProgress()).items()},
        )
    except (KeyError, ValueError):
        return None


def read_curve(folder: Path) -> list[tuple[int, float]]:
    """(simulated steps, quality of the best policy so far) after every iteration of a folder's training.

    Where there was a second attempt, in a folder within, its steps come after those of the first.
    """
    curve: list[tuple[int, float]] = []
    for own in (folder, *sorted(path.parent for path in folder.glob(f"*/{PROGRESS}"))):
        columns = run_folder(own).progress().columns
        if {"steps", "best_greedy"} <= columns.keys():
            steps, best = curve[-1] if curve else (0, float("-inf"))
            curve += [
                (steps + int(more), max(best, value))
                for more, value in zip(columns["steps"], columns["best_greedy"].tolist(), strict=True)
            ]
    return curve
