"""The memory control problem as reinforcement learning environments, on one simulator.

Source: SAM2RL. An episode is one object in one video of T frames with T - 2 decisions. The observation holds no image:
it is the set of stored frames and the current one. Rewards sum, undiscounted, to the video's VOTS quality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.engine import Engine, load_model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training.simulator import Simulator, State


def observe(simulator: Simulator, state: State) -> np.ndarray:
    """int8 [T]: 1 at the prompted frame, the stored frames, and the current frame, which is the highest."""
    seen = np.zeros(len(simulator.clip), dtype=np.int8)
    seen[[0, *simulator.bank(state), simulator.frame(state)]] = 1
    return seen


def step_reward(simulator: Simulator, before: State, after: State) -> float:
    """The quality of the frame that an action led to; the first action also gets frame 1's, which no action decides."""
    first = simulator.reward(before) if simulator.frame(before) == 1 else 0.0
    return simulator.reward(after) + first


Reward = Callable[[Simulator, State, State], float]
"""Reward of a step from one state to the next; `step_reward` is the paper's."""


class MemoryControlEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One object in one video: `gymnasium.make("sam2rl/MemoryControl-v0", workspace=W, sequence=S)`.

    Observation: MultiBinary(T). Action: Discrete(capacity + 1): 0 = discard the newest frame, k = put it in place of
    the k-th oldest stored one. `info["quality"]` of the last step is the video's quality.

    Args:
        workspace: folder of a VOT workspace; or give a `simulator`.
        sequence: its name in the workspace.
        object_id: of the object to track.
        model: see `load_model`.
        device: see `load_model`.
        capacity: see `Simulator`.
        pointers: see `Simulator`.
        reward: another one than the paper's.
        simulator: a simulator of your own, in place of all above but `reward`.
    """

    def __init__(
        self,
        workspace: str | None = None,
        sequence: str | None = None,
        object_id: int = 1,
        model: str = "nano",
        device: str | None = None,
        capacity: int = CAPACITY,
        pointers: bool = True,
        reward: Reward = step_reward,
        simulator: Simulator | None = None,
    ):
        if simulator is None:
            if workspace is None or sequence is None:
                raise ValueError("give a workspace and a sequence, or a simulator")
            clip = _load(workspace, sequence, object_id)
            simulator = Simulator(Engine(load_model(model, device)), clip, capacity, pointers, rows=1, store_mb=128)
        self.simulator = simulator
        self.observation_space = spaces.MultiBinary(len(simulator.clip))
        self.action_space = spaces.Discrete(simulator.capacity + 1)
        self._reward = reward
        self._state = simulator.start()
        self._quality = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.simulator.trim()
        self._state = self.simulator.start()
        self._quality = 0.0
        return observe(self.simulator, self._state), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        (after,) = self.simulator.step([self._state], [int(action)])
        reward = self._reward(self.simulator, self._state, after)
        self._quality += step_reward(self.simulator, self._state, after)
        self._state = after
        done = self.simulator.frame(after) == len(self.simulator.clip) - 1
        return observe(self.simulator, after), reward, done, False, {"quality": self._quality} if done else {}


class MemoryVecEnv(VecEnv):
    """Many rollouts of one simulator in lockstep: one batched call serves all of them at the same frame.

    All episodes have the same length, so all end together; finished ones begin again within the step, as stable-
    baselines3 expects (`terminal_observation`). `episodes` holds the states of the episodes that ended last.

    Args:
        relative: reward a rollout with how much more it gets on a frame than all rollouts do on average, times the
            number of frames. What is taken off depends on the frame only, so that the same decisions are best. But
            decisions differ by little beside what is left of the video, and an estimate of the value need not learn
            the latter.
    """

    render_mode = None

    def __init__(self, simulator: Simulator, num_envs: int, reward: Reward = step_reward, relative: bool = False):
        self.simulator = simulator
        self._reward = reward
        self._relative = relative
        self._paths: list[list[State]] = []
        self._actions: Sequence[int] = []
        self.episodes: list[list[State]] = []
        super().__init__(num_envs, spaces.MultiBinary(len(simulator.clip)), spaces.Discrete(simulator.capacity + 1))

    def reset(self) -> np.ndarray:
        start = self.simulator.start()
        self._paths = [[start] for _ in range(self.num_envs)]
        self._reset_seeds()
        return self._observations()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions.tolist()

    def step_wait(self) -> VecEnvStepReturn:
        before = [path[-1] for path in self._paths]
        after = self.simulator.step(before, self._actions)
        pairs = zip(before, after, strict=True)
        rewards = np.array([self._reward(self.simulator, *pair) for pair in pairs], dtype=np.float32)
        if self._relative:
            rewards = len(self.simulator.clip) * (rewards - rewards.mean())
        for path, state in zip(self._paths, after, strict=True):
            path.append(state)
        observations = self._observations()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        done = self.simulator.frame(after[0]) == len(self.simulator.clip) - 1
        if done:
            self.episodes = self._paths
            for info, seen in zip(infos, observations, strict=True):
                info.update({"terminal_observation": seen, "TimeLimit.truncated": False})
            observations = self.reset()
        return observations, rewards, np.full(self.num_envs, done), infos

    def _observations(self) -> np.ndarray:
        return np.stack([observe(self.simulator, path[-1]) for path in self._paths])

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **keywords: Any) -> list[Any]:
        raise NotImplementedError("the rollouts share one simulator: there is no environment of their own to call")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))


def _load(workspace: str, sequence: str, object_id: int) -> Clip:
    from sam2rl_tracker.vot.clips import load_clip
    from sam2rl_tracker.vot.workspace import open_workspace

    return load_clip(open_workspace(workspace), sequence, object_id)
