"""What decides a training: settings, presets, and how they are read from text and from files.

Settings carry stable-baselines3's names. Users and files may give those that came before: see `OLD_NAMES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sam2rl_tracker.agents.action import CONTROLS, POINTERS
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.parameters import parse_parameters

OLD_NAMES = {"epochs": "n_epochs", "batch": "batch_size", "clip": "clip_range", "entropy": "ent_coef"}
"""{name that a setting had first: its name}. `--set` takes both.

Files (`settings.json`, agents' records, a benchmark's plan and document) hold the first names, as they always have: so
folders and documents of any version can be compared, continued and read by any other.
"""

AUTO = "auto"
"""Pointers: try what is worth it and keep the better."""


@dataclass(frozen=True)
class Settings:
    """What decides a training.

    Attributes:
        iterations: Of rollouts and learning, each on `samples` transitions. Higher values train longer.
        samples: Transitions in an iteration, rounded up to whole episodes. Higher values make each step of learning
            less noisy, and each iteration longer.
        n_epochs: How often PPO goes through an iteration's transitions. Higher values learn more from them, and move
            the policy further from the one that they were sampled with.
        hidden: Units of the one hidden layer, of the policy and of the value each. Higher values can tell more banks
            apart, and learn more slowly.
        gamma: Discount; at 1, the return is the video's quality. Lower values favour the next frames.
        learning_rate: Of PPO's Adam optimiser. Higher values learn faster and less stably.
        batch_size: Transitions in a minibatch, changed a little so that all minibatches are of one size. Lower values
            take more and noisier steps.
        gae_lambda: Of generalised advantage estimation. Higher values trust the value network less and the rollouts'
            own returns more.
        clip_range: How far the ratio of new to old probability of an action may be from 1 before PPO stops moving it.
            Higher values let the policy change faster.
        ent_coef: Weight of the policy's entropy in the loss. Higher values keep it exploring.
        seed: Of the networks' first weights and of all sampling.
        patience: Stop after as many iterations without a better policy; 0 never does. Higher values wait longer.
        imitation: Behaviour cloning: after each iteration, the probability that the policy is taught to give each
            action of the best rollout so far; 0 is PPO alone. Higher values explore closer to that rollout.
        relative: Whether rewards are relative to the mean of all rollouts: see `RelativeRewards`.
        beam: Width of the widest of the beam searches that give the first rollout to clone; 1 is greedy search. Higher
            values begin with a better rollout, and take more steps to find it.
        local: Steps of local search around the best rollout so far, after each iteration's rollouts; 0 = none. It needs
            `imitation`. Higher values find better rollouts, and take longer.
        control: What the agent decides: "memory", as in the paper, "output" or "both". See `agents.action.Space`.
        pointers: Whose object pointers a frame attends to: "stored", those of the stored frames, as in the paper;
            "recent", those of the last fifteen, as in SAM 2. "auto" takes those under which the beam searches found
            more, and falls back to SAM 2's own rule where the agent is below that. For `control="output"`, "auto" is
            "recent"; without `imitation`, there is no beam search and it is "stored".
    """

    iterations: int = 8
    samples: int = 4096
    n_epochs: int = 2
    hidden: int = 1024
    gamma: float = 1.0
    learning_rate: float = 3e-4
    batch_size: int = 512
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.01
    seed: int = 0
    patience: int = 0
    imitation: float = 0.95
    relative: bool = False
    beam: int = 16
    local: int = 4096
    control: str = "memory"
    pointers: str = "auto"

    def __post_init__(self) -> None:
        least = {"iterations": 1, "samples": 1, "n_epochs": 1, "hidden": 1, "batch_size": 2, "beam": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is too small: give {bound} or more.")
        for name in ("gamma", "gae_lambda", "ent_coef"):
            if not 0 <= getattr(self, name) <= 1:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is out of range: give 0 to 1.")
        for name in ("learning_rate", "clip_range"):
            if not 0 < getattr(self, name) <= 1:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is out of range: give more than 0, at most 1.")
        if self.imitation and not 0.5 < self.imitation < 1:  # below, the likeliest actions are not the best rollout's
            raise Sam2rlError(
                f"Setting imitation={self.imitation} is out of range: give 0, or more than 0.5 and less than 1."
            )
        if not 0 <= self.seed < 2**32:
            raise Sam2rlError(f"Setting seed={self.seed} is out of range: give 0 to {2**32 - 1}.")
        for name in ("patience", "local"):
            if getattr(self, name) < 0:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is too small: give 0 or more.")
        for name, choices in {"control": CONTROLS, "pointers": (AUTO, *POINTERS)}.items():
            if getattr(self, name) not in choices:
                raise Sam2rlError(f"Setting {name}={getattr(self, name)} is unknown: give one of {', '.join(choices)}.")

    @property
    def pointer_choices(self) -> tuple[str, ...]:
        """The pointers that a training chooses among."""
        if self.pointers != AUTO:
            return (self.pointers,)
        if self.control == "output":
            return ("recent",)
        return POINTERS if self.imitation else POINTERS[:1]

    @property
    def assumed(self) -> dict[str, bool | int | str]:
        """What trainings did before there were these settings, as JSON: a folder that lacks them has these."""
        first = self.pointers if self.pointer_choices[0] == "stored" else "stored"  # as "auto" once was
        return {"relative": False, "local": 0, "control": "memory", "pointers": first}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Settings:
        """Those that `as_json` gave."""
        return cls(**{OLD_NAMES.get(name, name): value for name, value in content.items()})

    def as_json(self) -> dict[str, Any]:
        """As files hold them: under the names of `OLD_NAMES`."""
        first = {new: old for old, new in OLD_NAMES.items()}
        return {first.get(name, name): value for name, value in asdict(self).items()}


PRESETS = {
    "default": Settings(),
    "paper": Settings(iterations=150, samples=16384, imitation=0.0, relative=True, local=0, pointers="stored"),
}


def parse_settings(preset: str, changes: Sequence[str] = ()) -> Settings:
    """A preset with changes such as `learning_rate=1e-3`; of two changes of one setting the later one counts.

    Raises:
        Sam2rlError: Unknown preset or setting, or a value of another type or out of range.
    """
    if preset not in PRESETS:
        raise Sam2rlError(f"Preset {preset!r} is unknown: give one of {', '.join(PRESETS)}.")
    texts = [OLD_NAMES.get(key, key) + equals + text for key, equals, text in (c.partition("=") for c in changes)]
    return replace(PRESETS[preset], **parse_parameters(PRESETS[preset], texts, f"Preset {preset!r}"))
