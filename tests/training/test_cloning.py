"""Behaviour cloning."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from sam2rl_tracker.training.cloning import clone

DECISIONS = 12


def test_actions_get_the_probability_that_is_wanted_and_hardly_more() -> None:
    torch.manual_seed(0)
    space = gymnasium.spaces.MultiBinary(DECISIONS)
    policy = ActorCriticPolicy(space, gymnasium.spaces.Discrete(7), lambda _: 3e-4, net_arch=[32])
    seen = np.eye(DECISIONS, dtype=np.int8)
    actions = np.random.default_rng(0).integers(0, 7, DECISIONS)
    clone(policy, seen, actions, 0.9)
    _, log_probability, _ = policy.evaluate_actions(torch.from_numpy(seen).float(), torch.from_numpy(actions))
    probability = log_probability.exp()
    assert probability.min() >= 0.9
    assert probability.max() < 0.96
    before = [parameter.clone() for parameter in policy.parameters()]
    clone(policy, seen, actions, 0.9)  # nothing is left to learn
    assert all(map(torch.equal, before, policy.parameters()))
