"""From what the network says of a frame to what is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from sam2rl_tracker.control.network import Judgement
from sam2rl_tracker.control.observation import View
from sam2rl_tracker.control.state import State, output, remember
from sam2rl_tracker.engine.types import Rows


class Control(Enum):
    """What an agent decides; the rest follows SAM 2."""

    MEMORY = "memory"
    OUTPUT = "output"
    BOTH = "both"


@dataclass(frozen=True, eq=False)
class Decision(Rows):
    """What is done with a frame, per row.

    Attributes:
        picks: int64 [rows] the candidate that is put out.
        visible: bool [rows] whether the object is said to be there.
        presence: [rows] how sure that is, 0 to 1.
        quality: [rows] expected IoU of the pick, 0 to 1.
        action: int64 [rows] on the memory: 0 discards, k puts the frame in the k-th oldest's place.
    """

    picks: Tensor
    visible: Tensor
    presence: Tensor
    quality: Tensor
    action: Tensor


def decide(judged: Judgement, seen: View, control: Control = Control.BOTH) -> Decision:
    """The decision that is worth most by what the network expects."""
    rows = torch.arange(len(judged.presence), device=judged.presence.device)
    presence, quality = judged.presence.sigmoid(), judged.quality.sigmoid()
    if control is Control.MEMORY:
        picks, visible = seen.ious.argmax(dim=1), seen.object_scores > 0
    else:
        picks = quality.argmax(dim=1)
        visible = worth_showing(presence, quality[rows, picks])
    action = torch.ones_like(picks) if control is Control.OUTPUT else judged.memory.argmax(dim=1)
    return Decision(picks, visible, presence, quality[rows, picks], action)


def worth_showing(presence: Tensor, quality: Tensor) -> Tensor:
    """Whether a mask's expected quality is above that of an empty one, which is right where the object is absent."""
    return presence * quality > 1 - presence


def advance(state: State, seen: View, decision: Decision) -> State:
    """The state before the next frame."""
    mine = seen.chosen(decision.picks)
    facts = seen.facts(state, decision.picks, decision.presence, decision.quality)
    after = output(state, mine, decision.visible, decision.presence, decision.quality)
    return remember(after, mine, decision.action, facts)
