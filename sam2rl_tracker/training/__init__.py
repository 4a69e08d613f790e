"""Learning to control the memory: an exact simulator, environments, PPO, search, and the agents they give.

Importing this registers the environment `sam2rl/MemoryControl-v0` with gymnasium.
"""

import gymnasium

ENV_ID = "sam2rl/MemoryControl-v0"

if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, entry_point="sam2rl_tracker.training.environment:MemoryControlEnv")
