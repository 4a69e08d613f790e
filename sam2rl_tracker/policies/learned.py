"""An agent that was learned from many videos: it decides the output and the memory on any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from sam2rl_tracker.control.agent import ControlAgent
from sam2rl_tracker.control.decide import Control, advance, decide
from sam2rl_tracker.control.looks import look_at
from sam2rl_tracker.control.observation import view
from sam2rl_tracker.control.state import REMEMBERED, Seen, State, begin, only, output, see
from sam2rl_tracker.engine.types import Candidates, Features
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.bank import BankPolicy
from sam2rl_tracker.policies.base import Choice, Correction, Prediction, Said, Start


@dataclass
class Learned(BankPolicy):
    """An agent learned from other videos decides the output, whether the object is there, and the memory.

    It sees numbers about each candidate, each stored memory and the past, and no truth: see docs/environment.md.

    Attributes:
        agent: File that `sam2rl learn` made; empty = the one that is shipped for the model.
        control: What the agent decides: memory, output or both; empty = what it was learned for. Without memory every
            frame replaces the oldest; without output SAM 2's candidate and presence are taken.
    """

    agent: str = ""
    control: str = ""

    about: ClassVar[About] = About(
        title="SAM2RL-G",
        basis=Basis.OWN,
        attends="The prompted frame and the stored ones, seven in all; pointers of the same frames.",
        remembers="After every frame a network drops it or puts it in the place of a stored one, by what it sees of "
        "the candidates, the stored frames and the past.",
        chooses="The candidate of the highest IoU as the network expects it.",
        visible="Its mask's expected quality is above that of an empty one.",
        corrected="The frame joins the prompted one as a conditioning frame. What was seen of the object begins anew "
        "there; where the object was lost, the stored frames are forgotten.",
    )
    needs_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.control and self.control not in {one.value for one in Control}:
            raise ValueError(f"control is {self.control!r}: give memory, output or both.")

    @property
    def control_source(self) -> str | None:
        return self.agent

    def look(self, t: int, features: Features) -> None:
        self._features = features

    def begin(self, start: Start) -> None:
        assert isinstance(start.control, ControlAgent), "The tracker finds it by `control_source`."
        assert start.logits is not None
        self._model = start.model
        self._network = start.control.on(start.model)
        self._control = Control(self.control or start.control.learned_for)
        self._said: Said | None = None
        self._before: State | None = None
        self._state = begin(self._see(start.logits, start.record.pointer))
        super().begin(start)

    @torch.inference_mode()
    def measure(self, t: int, candidates: Candidates) -> Tensor:
        """Decide, on the device: [1, 6], the decision's parts, and SAM 2's own candidate."""
        pointers = self._model.network.obj_ptr_proj(candidates.tokens).float()
        seen = view(self._features, candidates, pointers, self._state)
        decision = decide(self._network(seen.observation), seen, self._control)
        self._before, self._state = self._state, advance(self._state, seen, decision)
        own = seen.ious.argmax(dim=1)
        parts = [decision.picks, decision.visible, decision.action, decision.presence, decision.quality, own]
        return torch.stack([part.float() for part in parts], dim=1)

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        (prediction,) = predictions
        assert prediction.measured is not None
        candidate, visible, self._action, own = (int(prediction.measured[k]) for k in (0, 1, 2, 5))
        presence, quality = (round(float(value), 4) for value in prediction.measured[3:5])
        changed = candidate != own or bool(visible) != (prediction.object_score > 0)
        self._said = Said(candidate, bool(visible), changed, presence, quality)
        return [Choice(candidate, bool(visible))]

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return self._action

    @property
    def said(self) -> Said | None:
        return self._said

    @torch.inference_mode()
    def correct(self, t: int, correction: Correction) -> None:
        seen, there = self._see(correction.logits, correction.record.pointer), correction.record.area > 0
        if correction.was_lost:
            self._bank = ()
            self._state = replace(self._state, count=torch.zeros_like(self._state.count))
        if there and (correction.was_lost or self._before is None):
            self._state, self._before = begin(seen), None
        elif self._before is not None:  # as if this had been the frame's output; its memory is the tracker's matter
            after, sure = self._state, torch.full_like(self._state.t, float(there))
            corrected = output(self._before, seen, sure > 0, sure, sure)
            remembered = {name: getattr(after, name) for name in REMEMBERED}
            self._state = replace(corrected, **remembered)

    def _see(self, logits: Tensor, pointer: Tensor) -> Seen:
        """What a mask that was given, [4h, 4w], shows of the current image."""
        given = logits[None, None]
        looks = look_at(self._features, given, pointer[None, None], self._features.map)
        return only(see(looks, given))
