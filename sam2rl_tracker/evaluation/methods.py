"""Names of what is compared: trackers, baselines that know nothing, and searches."""

from __future__ import annotations

from collections.abc import Container, Mapping

REFERENCE = "SAM2"
"""The tracker that the others are compared with."""

AGENTS = "SAM2RL"
"""The tracker that is run by trained agents."""

PUBLISHED = ("SAMURAI", "DAM4SAM", "SAM2Long", "SAM3", "D4SM", "HiM2SAM", "SAMITE")
"""The trackers that are run by published rules, each equal to its published code."""

HEURISTICS = (*PUBLISHED, "MoSAM")
"""The trackers that are run by rules: the published ones, and MoSAM-style, which was written from an abstract."""

LEARNED = "SAM2RL-G"
"""The tracker that is run by an agent learned from other videos: it has never seen the truth it is scored on."""

TRACKERS = (REFERENCE, *HEURISTICS, LEARNED, AGENTS)
"""All that are registered with the VOT toolkit."""

TITLES = {
    "SAM3": "SAM 3's memory rule (on SAM 2)",
    "HiM2SAM": "HiM2SAM without point tracking",
    "MoSAM": "MoSAM-style",
}
"""{tracker: its name in tables and pictures}, where the toolkit's short one would claim too much."""

BASELINES = {"never": "never", "stride": "stride", "random rule": "random"}
"""{name: policy}: rules that know nothing of the video, and that the paper does not compare with."""

SEARCHES = ("random", "greedy", "beam", "local")
"""Searches for good decisions on the ground truth, without learning."""

BEST = "best found"
"""By any method: rules, searches, the agent and the best rollout of its training."""


def title(tracker: str, namesakes: Container[str] = (), controls: Mapping[str, str] | None = None) -> str:
    """A tracker's name in tables and pictures; of NAME@TAG, as results name it, the tag stays.

    Args:
        namesakes: Trackers that have the name of one of ours and run something else: their name is all that is known.
        controls: {tracker: what its agents decide}, where that is more than the memory, which is the paper's: said
            behind the name.
    """
    if controls and tracker in controls:
        return f"{title(tracker, namesakes)} (control={controls[tracker]})"
    if tracker in namesakes:
        return tracker
    name, at, tag = tracker.partition("@")
    return TITLES.get(name, name) + at + tag
