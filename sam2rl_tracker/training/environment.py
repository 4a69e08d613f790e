"""The memory control problem as reinforcement learning environments, on one simulator.

Source: SAM2RL (Adamyan et al., arXiv:2507.08548). An episode is one object in one video of T frames with T - 2
decisions. The observation holds no image: it is the set of stored frames and the current one. Rewards sum,
undiscounted, to the video's VOTS quality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sam2rl_tracker.agents.action import CAPACITY, Space
from sam2rl_tracker.engine import Engine, load_model
from sam2rl_tracker.training.lockstep import LockstepVecEnv
from sam2rl_tracker.training.simulator import Rollout, Simulator, State
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace


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


def action_space(space: Space) -> spaces.Space[Any]:
    """The actions as gymnasium has them: two parts stay two, so that a policy learns each for itself."""
    return spaces.Discrete(space.size) if len(space.sizes) == 1 else spaces.MultiDiscrete([*space.sizes])


class MemoryControlEnv(gymnasium.Env[np.ndarray, Any]):
    """One object in one video: `gymnasium.make("sam2rl/MemoryControl-v0", workspace=W, sequence=S)`.

    Observation: MultiBinary(T). Action: Discrete(capacity + 1): 0 = discard the newest frame, k = put it in place of
    the k-th oldest stored one. With `control="output"` it is Discrete(4), the output of the next frame (see
    `agents.action`), with `control="both"` MultiDiscrete([capacity + 1, 4]). `info["quality"]` of the last step is the
    video's quality.

    Args:
        workspace: Folder of the VOT workspace; or give a `simulator`.
        sequence: Which video of it.
        object_id: Which object.
        model: Which SAM 2, as `load_model` takes it.
        device: Where it runs; None = the best there is.
        capacity: Memories beside the prompted frame, 1 to 6.
        pointers: Whose object pointers take part: see `Simulator`.
        reward: Another one than the paper's.
        simulator: One of your own, in place of all others but the reward.
        control: What actions decide: "memory", as in the paper, "output" or "both".
    """

    def __init__(
        self,
        workspace: str | None = None,
        sequence: str | None = None,
        object_id: int = 1,
        model: str = "nano",
        device: str | None = None,
        capacity: int = CAPACITY,
        pointers: str | bool = True,
        reward: Reward = step_reward,
        simulator: Simulator | None = None,
        control: str = "memory",
    ):
        if simulator is None:
            if workspace is None or sequence is None:
                raise ValueError("give a workspace and a sequence, or a simulator")
            clip = load_clip(open_workspace(workspace), sequence, object_id)
            engine = Engine(load_model(model, device))
            simulator = Simulator(engine, clip, capacity, pointers, rows=1, store_mb=128, control=control)
        self.simulator = simulator
        self.observation_space = spaces.MultiBinary(len(simulator.clip))
        self.action_space = action_space(simulator.space)
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

    def step(self, action: np.int64 | np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        (after,) = self.simulator.step([self._state], [int(self.simulator.space.join(np.asarray(action)))])
        reward = self._reward(self.simulator, self._state, after)
        self._quality += step_reward(self.simulator, self._state, after)
        self._state = after
        done = self.simulator.frame(after) == len(self.simulator.clip) - 1
        return observe(self.simulator, after), reward, done, False, {"quality": self._quality} if done else {}


class MemoryVecEnv(LockstepVecEnv):
    """Many rollouts of one simulator in lockstep: one batched call serves all of them at the same frame.

    See `LockstepVecEnv`. `rollouts` holds the episodes that ended last, in the order of the environments.

    Args:
        simulator: Of the clip.
        num_envs: Rollouts in lockstep.
        reward: Another one than the paper's.
        relative: The same as `RelativeRewards(MemoryVecEnv(...))`.
    """

    def __init__(self, simulator: Simulator, num_envs: int, reward: Reward = step_reward, relative: bool = False):
        self.simulator = simulator
        self.rollouts: list[Rollout] = []
        self._reward = reward
        self._relative = relative
        self._running: list[Rollout] = []
        self._actions: Sequence[int] = []
        super().__init__(num_envs, spaces.MultiBinary(len(simulator.clip)), action_space(simulator.space))

    def reset(self) -> np.ndarray:
        start = self.simulator.start()
        self._running = [Rollout([start], []) for _ in range(self.num_envs)]
        self._reset_seeds()
        return self._observations()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = self.simulator.space.join(actions).tolist()

    def step_wait(self) -> VecEnvStepReturn:
        before = [rollout.states[-1] for rollout in self._running]
        after = self.simulator.step(before, self._actions)
        steps = list(zip(before, self._actions, after, strict=True))
        rewards = np.array([self._reward(self.simulator, old, new) for old, _, new in steps], dtype=np.float32)
        if self._relative:
            rewards = relative_rewards(rewards, len(self.simulator.clip))
        for rollout, (old, action, new) in zip(self._running, steps, strict=True):
            rollout.actions.append(self.simulator.distinct(old, action))
            rollout.states.append(new)
        observations = self._observations()
        done = self.simulator.frame(after[0]) == len(self.simulator.clip) - 1
        dones, infos = self._ended(done, observations.__getitem__)
        if done:
            self.rollouts = self._running
            observations = self.reset()
        return observations, rewards, dones, infos

    def _observations(self) -> np.ndarray:
        return np.stack([observe(self.simulator, rollout.states[-1]) for rollout in self._running])


class RelativeRewards(VecEnvWrapper):
    """Rewards relative to what all rollouts get on the same frame: how much more than their mean, times T.

    What is taken off depends on the frame only, so that the same decisions are best. But decisions differ by little
    beside what is left of the video, and an estimate of the value need not learn the latter. It wraps a `MemoryVecEnv`
    of two rollouts or more.
    """

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(self.observation_space, spaces.MultiBinary)
        return observations, relative_rewards(rewards, int(self.observation_space.shape[0])), dones, infos


def relative_rewards(rewards: np.ndarray, frames: int) -> np.ndarray:
    """Rewards of the rollouts on one frame, float32 [num_envs], less their mean and times the number of frames."""
    return frames * (rewards - rewards.mean())
