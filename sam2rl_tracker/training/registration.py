"""The environment's name. Apart, since gymnasium loads this while it is being imported itself."""

from __future__ import annotations

import gymnasium

ENV_ID = "sam2rl/MemoryControl-v0"


def register_envs() -> None:
    """Called by gymnasium through the entry point group `gymnasium.envs`."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(ENV_ID, entry_point="sam2rl_tracker.training.environment:MemoryControlEnv")
