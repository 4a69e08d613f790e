"""Learning to control the memory: an exact simulator, environments, PPO, search, and the agents they give."""
