"""Train stable-baselines3's PPO on the memory control problem, without this project's own training.

python examples/train_ppo.py W scene-00000               # W: made by `sam2rl workspace generate W --count 1`
"""

import argparse

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import sam2rl_tracker.training  # noqa: F401  (registers the environment)
from sam2rl_tracker.training.environment import MemoryVecEnv, RelativeRewards

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("workspace")
parser.add_argument("sequence")
parser.add_argument("--rollouts", type=int, default=8, help="in one iteration")
parser.add_argument("--iterations", type=int, default=10)
parser.add_argument("--device", help="of SAM 2: cpu, cuda or mps; by default the best there is")
options = parser.parse_args()

# One episode at a time, as gymnasium has it: here for the simulator inside, and for evaluation.
env = gymnasium.make(
    "sam2rl/MemoryControl-v0", workspace=options.workspace, sequence=options.sequence, device=options.device
)
simulator = env.unwrapped.simulator
# Several rollouts in lockstep. `RelativeRewards` rewards a rollout with how much better than the others it does.
rollouts = VecMonitor(RelativeRewards(MemoryVecEnv(simulator, options.rollouts)))
model = PPO("MlpPolicy", rollouts, n_steps=simulator.decisions, batch_size=simulator.decisions, gamma=1.0, device="cpu")


def evaluate() -> float:
    """The video's quality under the policy's likeliest actions."""
    observation, _ = env.reset()
    done = False
    while not done:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, done, _, info = env.step(action)
    return info["quality"]


print(f"before training: quality {evaluate():.3f}")
for iteration in range(1, options.iterations + 1):
    model.learn(simulator.decisions * options.rollouts, reset_num_timesteps=False)
    print(f"iteration {iteration}: quality {evaluate():.3f}, {simulator.counters.reuse:.0%} of the steps were known")
