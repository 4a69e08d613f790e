"""What the memory's actions are worth: the same rollout goes on once with each, and the next frames are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY, DISCARD, OLDEST
from sam2rl_tracker.control.decide import Decision, decide
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import Observation, View
from sam2rl_tracker.control.state import State
from sam2rl_tracker.engine.types import Rows
from sam2rl_tracker.learning.rollouts import Rollouts


@dataclass(frozen=True, eq=False)
class Forks(Rows):
    """Moments, and what came of each of A actions there.

    Attributes:
        candidates, looks, past, frame, memories, pairs, held: See `Observation`, [n, ...] in half precision.
        actions: int64 [n, A].
        returns: [n, A] mean quality of the frames that followed.
    """

    candidates: Tensor
    looks: Tensor
    past: Tensor
    frame: Tensor
    memories: Tensor
    pairs: Tensor
    held: Tensor
    actions: Tensor
    returns: Tensor

    @property
    def seen(self) -> Observation:
        names = Observation.__dataclass_fields__
        return Observation(**{n: getattr(self, n) if n == "held" else getattr(self, n).float() for n in names})


def gather_forks(
    rollouts: Rollouts, network: ControlNetwork, moments: Sequence[int], horizon: int, chance: torch.Generator
) -> Forks:
    """Track by a network, and at some frames try the memory's actions: discard, the oldest's place, another's.

    Args:
        rollouts: At their beginning.
        moments: Frames, ascending.
        horizon: Frames after which returns end, or earlier at the video's end.
    """

    def follow(seen: View, state: State) -> Decision:
        return decide(network(seen.observation), seen)

    parts = []
    with torch.inference_mode():
        while not rollouts.done:
            decision = follow(rollouts.predict(), rollouts.state)
            if rollouts.t in moments and not rollouts.done:
                parts.append(compare(rollouts, decision, _some_actions(decision, chance), follow, horizon))
            rollouts.decide(decision)
    return Forks.join(parts)


def _some_actions(decision: Decision, chance: torch.Generator) -> Tensor:
    """Discard, the oldest's place, and that of another, drawn: int64 [rows, 3]."""
    other = torch.randint(2, CAPACITY + 1, (len(decision.action),), generator=chance).to(decision.action.device)
    return torch.stack([torch.full_like(other, DISCARD), torch.full_like(other, OLDEST), other], dim=1)


def compare(
    rollouts: Rollouts,
    decision: Decision,
    actions: Tensor,
    follow: Callable[[View, State], Decision],
    horizon: int,
) -> Forks:
    """What actions on the memory give: each row goes on apart with each of its own. The rollouts stay where they are.

    Args:
        rollouts: After `predict`, and not on the last frame.
        decision: On this frame, but for the memory.
        actions: int64 [rows, A].
        follow: Decides on the frames after it.
        horizon: So many, or fewer at the video's end.
    """
    rows, count = actions.shape
    apart = rollouts.copy([row for row in range(rows) for _ in range(count)])
    repeated = decision.take([row for row in range(rows) for _ in range(count)])
    apart.decide(replace(repeated, action=actions.flatten()))
    rewards: list[Tensor] = []
    while not apart.done and len(rewards) < horizon:
        rewards.append(apart.step(follow).reward)
    seen = {n: v if n == "held" else v.half() for n, v in vars(rollouts.view.observation).items()}
    returns = torch.stack(rewards).nanmean(dim=0).nan_to_num(0.0)
    return Forks(**seen, actions=actions, returns=returns.view(rows, count))


def advantage_loss(network: ControlNetwork, forks: Forks) -> Tensor:
    """What a policy over the tried actions is expected to lose beside the best of them, in units of their spread."""
    judged = network(forks.seen)
    tried = judged.memory.gather(1, forks.actions)
    # While the bank is not full all insertions are one action: the others' logits are masked, and so is the loss.
    policy = tried.softmax(dim=1)
    gain = forks.returns - forks.returns.mean(dim=1, keepdim=True)
    return -(policy * gain).sum(dim=1).mean() / forks.returns.std(dim=1).mean().clamp(min=1e-4)
