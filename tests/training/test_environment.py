"""The environments: what gymnasium and stable-baselines3 demand, and the paper's observation and reward."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from reference import load_video
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.vec_env import VecMonitor

from sam2rl_tracker.engine import Engine, Model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training import ENV_ID
from sam2rl_tracker.training.environment import MemoryVecEnv, RelativeRewards
from sam2rl_tracker.training.simulator import Simulator, State

FRAMES = 7
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def simulated(nano: Model) -> Simulator:
    video = load_video()
    return Simulator(Engine(nano), Clip(video.images[:FRAMES], video.truth[:FRAMES], np.ones(FRAMES, bool)), rows=4)


def test_checkers_pass(simulated: Simulator) -> None:
    env = gymnasium.make(ENV_ID, simulator=simulated)
    check_env(env.unwrapped)
    check_env_sb3(env.unwrapped)


def test_observation_and_reward(simulated: Simulator) -> None:
    env = gymnasium.make(ENV_ID, simulator=simulated)
    seen, _ = env.reset(seed=0)
    assert seen.tolist() == [1, 1, 0, 0, 0, 0, 0]  # the prompted frame, and the current one
    rewards = []
    for action, expected in [(1, [0, 1, 2]), (0, [0, 1, 3]), (3, [0, 1, 3, 4]), (2, [0, 1, 3, 4, 5])]:
        seen, reward, done, truncated, info = env.step(action)
        assert np.flatnonzero(seen).tolist() == expected
        rewards.append(reward)
        assert not done
    seen, reward, done, truncated, info = env.step(0)
    assert (done, truncated) == (True, False)
    path = simulated.rollout([1, 0, 3, 2, 0])
    assert sum(rewards) + reward == pytest.approx(simulated.quality(path))
    assert info["quality"] == pytest.approx(simulated.quality(path))
    assert rewards[0] == pytest.approx(simulated.reward(path[0]) + simulated.reward(path[1]))


@pytest.mark.parametrize("control", ["output", "both"])
def test_actions_that_decide_the_output(nano: Model, control: str) -> None:
    """An action has as many parts as there is to decide, and the reward is that of the output."""
    video = load_video()
    clip = Clip(video.images[:5], video.truth[:5], np.ones(5, bool))
    simulated = Simulator(Engine(nano), clip, rows=4, control=control, pointers="recent")
    env = gymnasium.make(ENV_ID, simulator=simulated)
    check_env(env.unwrapped)
    check_env_sb3(env.unwrapped)
    vector = MemoryVecEnv(simulated, 2)
    vector.reset()
    actions = {"output": [[1, 0], [0, 3], [2, 1]], "both": [[[1, 1], [1, 0]], [[0, 0], [1, 3]], [[3, 2], [0, 1]]]}
    totals = np.zeros(2)
    for row in actions[control]:
        _, rewards, _, _ = vector.step(np.array(row))
        totals += rewards
    for index, rollout in enumerate(vector.rollouts):
        decisions = [simulated.space.decision(action) for action in rollout.actions]
        given = [row[index] for row in actions[control]]
        assert [one.output for one in decisions] == (given if control == "output" else [one[1] for one in given])
        assert totals[index] == pytest.approx(simulated.quality(rollout.states), abs=1e-6)
    assert totals[0] != totals[1]


def test_another_reward(simulated: Simulator) -> None:
    """As a research question would have it: what keeps the bank small?"""

    def emptiness(simulator: Simulator, before: State, after: State) -> float:
        return -float(len(simulator.bank(after)))

    env = gymnasium.make(ENV_ID, simulator=simulated, reward=emptiness)
    env.reset(seed=0)
    rewards = [env.step(action) for action in (1, 1, 0, 0, 1)]
    assert [reward for _, reward, *_ in rewards] == [-1, -2, -2, -2, -3]
    path = simulated.rollout([1, 1, 0, 0, 1])
    assert rewards[-1][4]["quality"] == pytest.approx(simulated.quality(path))
    vector = MemoryVecEnv(simulated, 2, reward=emptiness)
    vector.reset()
    assert vector.step(np.array([0, 1]))[1].tolist() == [0, -1]


def test_relative_rewards_differ_as_the_qualities_do(simulated: Simulator) -> None:
    env = MemoryVecEnv(simulated, 3)
    relative = RelativeRewards(env)
    relative.reset()
    actions = np.array([[0, 1, 1], [0, 1, 0], [0, 1, 1], [0, 1, 0], [0, 1, 2]])
    rewards = np.array([relative.step(row)[1] for row in actions])
    assert rewards.sum(axis=1) == pytest.approx(np.zeros(FRAMES - 2), abs=1e-5)
    qualities = np.array([simulated.quality(rollout.states) for rollout in env.rollouts])
    assert len(set(qualities)) == 3
    assert rewards.sum(axis=0) == pytest.approx(FRAMES * (qualities - qualities.mean()), abs=1e-5)
    other = MemoryVecEnv(simulated, 3, relative=True)
    other.reset()
    assert np.array_equal(rewards, np.array([other.step(row)[1] for row in actions]))


def test_rollouts_in_lockstep(simulated: Simulator) -> None:
    env = MemoryVecEnv(simulated, 3)
    monitored = VecMonitor(env)  # as in training
    seen = monitored.reset()
    assert seen.shape == (3, FRAMES)
    actions = np.random.default_rng(0).integers(0, 7, (FRAMES - 2, 3))
    total = np.zeros(3)
    for t, row in enumerate(actions):
        seen, rewards, dones, infos = monitored.step(row)
        total += rewards
        assert dones.all() == (t == FRAMES - 3)
    # Ended episodes begin again within the step; the last observation is in `info`.
    assert seen.tolist() == [[1, 1, 0, 0, 0, 0, 0]] * 3
    for index in range(3):
        path = simulated.rollout(actions[:, index])
        rollout = env.rollouts[index]
        assert rollout.states == path
        assert simulated.rollout(rollout.actions) == path
        assert rollout.actions == [min(action, 1) for action in actions[:, index]]  # the bank never fills
        assert total[index] == pytest.approx(simulated.quality(path), abs=1e-6)
        assert infos[index]["terminal_observation"][-1] == 1
        assert infos[index]["episode"]["r"] == pytest.approx(total[index], abs=1e-6)
