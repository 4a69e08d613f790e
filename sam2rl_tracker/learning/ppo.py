"""PPO on the memory's actions across videos, by stable-baselines3, from the network that was fitted."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.learning.environment import MemoryOfManyVideos, as_tensors


class _Judge(BaseFeaturesExtractor):
    """The network as stable-baselines3's features: the memory's logits, and the value."""

    def __init__(self, space: spaces.Dict, network: ControlNetwork):
        super().__init__(space, features_dim=CAPACITY + 2)
        self.network = network

    def forward(self, seen: dict[str, Tensor]) -> Tensor:
        judged = self.network(as_tensors(seen))
        return torch.cat([judged.memory, judged.value[:, None]], dim=1)


class _Part(nn.Module):
    def __init__(self, start: int, end: int):
        super().__init__()
        self.start, self.end = start, end

    def forward(self, features: Tensor) -> Tensor:
        return features[:, self.start : self.end]


class _ControlPolicy(ActorCriticPolicy):
    """Actor and critic are the network's own heads; nothing is put on top of them."""

    def __init__(self, *arguments: Any, network: ControlNetwork, **keywords: Any):
        chosen: dict[str, Any] = {"net_arch": [], "ortho_init": False, "features_extractor_class": _Judge}
        chosen["features_extractor_kwargs"] = {"network": network}
        super().__init__(*arguments, **{**keywords, **chosen})
        self.action_net = _Part(0, CAPACITY + 1)
        self.value_net = _Part(CAPACITY + 1, CAPACITY + 2)  # type: ignore[assignment]
        heads = [network.replace, network.discard, network.value]
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        parameters = [parameter.requires_grad_(True) for head in heads for parameter in head.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=arguments[2](1), eps=1e-5)


class _Quality(BaseCallback):
    """Tells TensorBoard how good the rollouts are: the rewards are relative, and their mean is 0."""

    def __init__(self, environment: MemoryOfManyVideos):
        super().__init__()
        self._environment = environment

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self._environment.quality:
            self.logger.record("rollout/quality", self._environment.quality[-1])


def improve_memory(
    environment: MemoryOfManyVideos,
    network: ControlNetwork,
    iterations: int,
    steps: int,
    seed: int,
    tensorboard: str | None = None,
) -> None:
    """Improve the memory's heads of a network, in place.

    Args:
        iterations: Of rollouts and learning.
        steps: Decisions of an episode.
        tensorboard: Folder for its events; None = none.
    """
    learner = PPO(
        _ControlPolicy,
        environment,
        learning_rate=3e-4,
        n_steps=steps,
        batch_size=4 * steps,  # divides n_steps x num_envs
        n_epochs=3,
        gamma=0.97,  # a memory tells within tens of frames; beyond, chance does
        gae_lambda=0.95,
        ent_coef=0.0,
        seed=seed,
        device=next(network.parameters()).device,
        tensorboard_log=tensorboard,
        policy_kwargs={"network": network},
    )
    learner.learn(iterations * steps * environment.num_envs, callback=_Quality(environment))
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    network.eval()
