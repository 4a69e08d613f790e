"""Learning from many videos: an agent for those that nobody trained on (`policies.learned`).

Importing this registers the environment `sam2rl/TrackingControl-v0` with gymnasium.
"""

import gymnasium

ENV_ID = "sam2rl/TrackingControl-v0"

if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, entry_point="sam2rl_tracker.learning.environment:TrackingControlEnv")
