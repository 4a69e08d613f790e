"""What decides a learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sam2rl_tracker.control.observation import GROUPS
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.parameters import parse_parameters


@dataclass(frozen=True)
class LearnSettings:
    """What decides a learning.

    Attributes:
        videos: Of each round of gathering. Higher values generalise better, and take longer.
        rounds: Of gathering and fitting: in the first, rules control the tracking, and in the later ones the agent of
            the round before, so that it learns on what it leads to itself (DAgger).
        rows: Rollouts of each video, each controlled in its own way.
        frames: Of a video at most; longer ones give a part of so many.
        epochs: How often fitting goes through all that was gathered.
        batch_size: Frames in a minibatch of fitting.
        learning_rate: Of fitting, highest; it falls to 0 along a cosine.
        weight_decay: Of fitting. Higher values keep weights smaller.
        dropout: Share of hidden units left out while fitting.
        width: Of the network's hidden layers.
        stride: The memory's teacher: a frame is stored from so many frames after the last one on,
        gate: if presence x quality, as the agent judges them, is so high.
        teachers: Videos on which the memory learns from those who know the future: their published agents where a
            workspace has one, and else beams. 0 = none. See `learning.teachers`.
        forks: Moments at which the memory's actions are compared: the same rollout goes on once with each. 0 = none.
        horizon: Frames after which they are compared, and after which a teacher's are.
        iterations: Of PPO on the memory's actions, after that. 0 = none.
        control: What is learned: memory, output or both.
        leave_out: A group of the observation that the agent does not see; "" = none. See `observation.GROUPS`.
        seed: Of everything that is drawn.
    """

    videos: int = 768
    rounds: int = 3
    rows: int = 3
    frames: int = 80
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.1
    dropout: float = 0.3
    width: int = 96
    stride: int = 3
    gate: float = 0.5
    teachers: int = 0
    forks: int = 2048
    horizon: int = 24
    iterations: int = 16
    control: str = "both"
    leave_out: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"videos": 1, "rounds": 1, "rows": 2, "frames": 3, "epochs": 1, "batch_size": 2, "width": 8}
        least |= {"stride": 1, "teachers": 0, "forks": 0, "horizon": 1, "iterations": 0, "seed": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is too small: give {bound} or more.")
        for name in ("weight_decay", "dropout", "gate", "learning_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is out of range: give 0 to less than 1.")
        if self.control not in ("memory", "output", "both"):
            raise Sam2rlError(f"Setting control={self.control} is unknown: give memory, output or both.")
        if self.leave_out and self.leave_out not in GROUPS:
            raise Sam2rlError(f"Setting leave_out={self.leave_out} is unknown: give one of {', '.join(GROUPS)}.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_learn_settings(changes: Sequence[str] = ()) -> LearnSettings:
    """The defaults with changes such as `rounds=2`.

    Raises:
        Sam2rlError: Unknown setting, or a value of another type or out of range.
    """
    return replace(LearnSettings(), **parse_parameters(LearnSettings, changes, "Learning"))
