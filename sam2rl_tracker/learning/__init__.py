"""Learning from many videos: an agent for those that nobody trained on (`policies.learned`)."""
