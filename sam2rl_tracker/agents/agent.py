"""An agent as data: what it is, the action it takes, and the fingerprint of what it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, KEEP, OLDEST, Decision, Space, act
from sam2rl_tracker.errors import Sam2rlError

FALLBACK = "fallback"
"""In an agent's record and kind: it plays SAM 2's own rule, since training found no better decisions."""


@dataclass(frozen=True, eq=False)
class Agent:
    """A trained agent: a network of one hidden layer, or a list of actions found by search.

    Attributes:
        fingerprint: Of the first image, the initial mask and the model that it belongs to.
        frames: T, the length of its video.
        capacity: Memories in its bank.
        tensors: `hidden.weight` [units, T], `hidden.bias`, `output.weight` [n, units], `output.bias`, where n is the
            sum of the parts' sizes, capacity + 1 for `control="memory"`; or `actions` [T - 2], those after frames 1 to
            T - 2.
        record: What is known of its making: sequence, object, qualities, seed, settings, versions.
        control: What it decides: one of `action.CONTROLS`.
        pointers: Whose object pointers its frames attend to: one of `action.POINTERS`.
    """

    fingerprint: str
    frames: int
    capacity: int
    tensors: dict[str, np.ndarray]
    record: dict[str, Any] = field(default_factory=dict)
    control: str = "memory"
    pointers: str = "stored"

    @property
    def space(self) -> Space:
        """Its actions."""
        return Space(self.control, self.capacity)

    @property
    def fell_back(self) -> bool:
        """Whether it plays SAM 2's own rule, since no better decisions were found."""
        return self.record.get(FALLBACK) is True

    @property
    def kind(self) -> str:
        """What it decides, and "fallback" behind that where it fell back: as results of a tracker tell."""
        return f"{self.control} {FALLBACK}" if self.fell_back else self.control

    def plays_sam2(self) -> bool:
        """Whether its decisions are SAM 2's own rule, all of them."""
        if self.pointers != "recent" or self.capacity != CAPACITY:
            return False
        bank: tuple[int, ...] = ()
        for t in range(1, self.frames - 1):
            decision = self.space.decision(self.action(t, bank))
            oldest = decision.memory == OLDEST or (len(bank) < CAPACITY and decision.memory != DISCARD)
            if not oldest or decision.output != KEEP:
                return False
            bank = act(bank, t, OLDEST)
        return True

    def action(self, t: int, bank: Sequence[int]) -> int:
        """The greedy action after frame t, as `space` numbers it.

        Args:
            bank: Indices of the stored frames, without the prompted one.

        Raises:
            Sam2rlError: Frame t lies beyond the video that the agent was trained on.
        """
        if not 1 <= t <= self.frames - 1:
            raise Sam2rlError(
                f"The agent was trained on a video of {self.frames} frames, but this one has more: "
                "train one on this video with `sam2rl train`."
            )
        if t == self.frames - 1:
            return self.space.action(Decision(DISCARD, KEEP))  # nothing follows the last frame
        if "actions" in self.tensors:
            return int(self.tensors["actions"][t - 1])
        seen = np.zeros(self.frames, dtype=np.float32)
        seen[[0, *bank, t]] = 1
        hidden = np.tanh(self.tensors["hidden.weight"] @ seen + self.tensors["hidden.bias"])
        values = self.tensors["output.weight"] @ hidden + self.tensors["output.bias"]
        parts = np.split(values, np.cumsum(self.space.sizes)[:-1])
        return int(self.space.join(np.array([part.argmax() for part in parts]).squeeze()))


def fingerprint(image: np.ndarray, mask: np.ndarray, model_hash: str) -> str:
    """The key of an agent: 16 hex digits of a first image, uint8 [h, w, 3], its mask, bool [h, w], and a model."""
    digest = hashlib.sha256(f"{model_hash} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()[:16]
