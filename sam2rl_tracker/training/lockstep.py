"""What vectorised environments whose rollouts share one batch answer to stable-baselines3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv


class LockstepVecEnv(VecEnv):
    """Rollouts that are stepped together: there is no environment behind each that could be asked for itself.

    All episodes have the same length, so all end together; finished ones begin again within the step.
    """

    render_mode = None

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **keywords: Any) -> list[Any]:
        raise NotImplementedError("the rollouts share one batch: there is no environment of their own to call")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

    def _ended(self, done: bool, last: Callable[[int], Any]) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """`dones` and `infos` of a step.

        Args:
            last: Gives the last observation of a rollout, whose place the first of a new episode takes.
        """
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done:
            for row, info in enumerate(infos):
                info.update({"terminal_observation": last(row), "TimeLimit.truncated": False})
        return np.full(self.num_envs, done), infos
