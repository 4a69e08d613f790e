"""What decides a training: settings, presets, and how they are read from text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sam2rl_tracker.errors import Sam2rlError


@dataclass(frozen=True)
class Settings:
    """What decides a training."""

    iterations: int = 18
    samples: int = 4096  # transitions an iteration, rounded up to whole episodes
    epochs: int = 2
    hidden: int = 1024
    gamma: float = 1.0
    learning_rate: float = 3e-4
    batch: int = 512
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    seed: int = 0
    patience: int = 0  # stop after as many iterations without a better policy; 0 = never
    imitation: float = 0.95  # likelihood that the policy gives the best rollout's actions after an iteration; 0 = off
    relative: bool = False  # rewards less the mean of all rollouts at the same frame, scaled: see `MemoryVecEnv`
    beam: int = 16  # width of the beam search that gives the first rollout to imitate; 1 = greedy search

    def __post_init__(self) -> None:
        for name, least in {"iterations": 1, "samples": 1, "epochs": 1, "hidden": 1, "batch": 2, "beam": 1}.items():
            if getattr(self, name) < least:
                raise Sam2rlError(f"{name} must be at least {least}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise Sam2rlError(f"{name} must be between 0 and 1")
        if self.imitation and not 0.5 < self.imitation < 1:  # below, the likeliest actions are not the best rollout's
            raise Sam2rlError("imitation must be 0, or above 0.5 and below 1")
        if not 0 < self.learning_rate <= 1 or not 0 < self.clip <= 1:
            raise Sam2rlError("learning_rate and clip must be above 0 and at most 1")
        if not 0 <= self.entropy <= 1:
            raise Sam2rlError("entropy must be between 0 and 1")
        if not 0 <= self.seed < 2**32 or self.patience < 0:
            raise Sam2rlError("seed must be between 0 and 4294967295, and patience at least 0")


PRESETS = {"default": Settings(), "paper": Settings(iterations=150, samples=16384, imitation=0.0, relative=True)}

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def parse_settings(preset: str, changes: Sequence[str] = ()) -> Settings:
    """A preset with changes such as `learning_rate=1e-3`.

    Raises:
        Sam2rlError: unknown preset or setting, or a value of another type.
    """
    if preset not in PRESETS:
        raise Sam2rlError(f"preset {preset!r} is unknown: give one of {', '.join(PRESETS)}")
    defaults = asdict(PRESETS[preset])
    values: dict[str, Any] = {}
    for change in changes:
        key, _, text = change.partition("=")
        if key not in defaults:
            known = ", ".join(f"{name}={value}" for name, value in defaults.items())
            raise Sam2rlError(f"{change!r} sets nothing: give KEY=VALUE with one of {known}")
        kind = type(defaults[key])
        try:
            values[key] = _TRUTH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise Sam2rlError(f"{change!r}: {text!r} is no {kind.__name__}") from None
    return replace(PRESETS[preset], **values)
