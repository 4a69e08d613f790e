"""Names of what is compared: trackers, baselines that know nothing, and searches."""

from __future__ import annotations

REFERENCE = "SAM2"
"""The tracker that the others are compared with."""

AGENTS = "SAM2RL"
"""The tracker that is run by trained agents."""

HEURISTICS = ("SAMURAI", "DAM4SAM", "SAM2Long", "MoSAM")
"""The trackers that are run by published rules."""

TRACKERS = (REFERENCE, *HEURISTICS, AGENTS)
"""All that are registered with the VOT toolkit."""

BASELINES = {"never": "never", "stride": "stride", "random rule": "random"}
"""{name: policy}: rules that know nothing of the video, and that the paper does not compare with."""

SEARCHES = ("random", "greedy", "beam")
"""Searches for good decisions on the ground truth, without learning."""

BEST = "best found"
"""By any method: rules, searches, the agent and the best rollout of its training."""
