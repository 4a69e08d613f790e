"""Behaviour cloning: a policy learns a rollout's actions from the observations under which they were taken."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

_LEARNING_RATE = 1e-3
_MAX_STEPS = 500


def clone(policy: ActorCriticPolicy, observations: np.ndarray, actions: np.ndarray, probability: float) -> None:
    """Raise the likelihood of actions until the policy gives each of them a probability, or for 500 steps.

    Not more than that probability: where the policy deviates is where it explores.

    Args:
        observations: int8 [decisions, T].
        actions: Taken under each of them, int [decisions], or [decisions, parts] where an action has several.
        probability: That each action is to have at least. Actions that have it are left alone.
    """
    seen = torch.from_numpy(observations).float()
    wanted = torch.as_tensor(actions)
    optimizer = torch.optim.Adam(policy.parameters(), lr=_LEARNING_RATE)
    for _ in range(_MAX_STEPS):
        _, log_probability, _ = policy.evaluate_actions(seen, wanted)  # [decisions]
        short = log_probability.exp() < probability
        if not short.any():
            break
        optimizer.zero_grad()
        (-log_probability[short]).mean().backward()
        optimizer.step()
