"""Where a workspace's agents lie."""

from __future__ import annotations

from pathlib import Path

from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.errors import Sam2rlError


def agents_folder(workspace: Path) -> Path:
    """Where a workspace's agents lie, for training and for the tracker SAM2RL."""
    return workspace / "agents"


def publish(agent: Agent, folder: Path) -> Path:
    """Save an agent where trackers look, unless a better one of the same video and truth is there; the file."""
    path = folder / f"{agent.fingerprint}.safetensors"
    try:
        there = load_agent(path).record
    except Sam2rlError:  # none, or a damaged one
        return save_agent(agent, folder)
    # The fingerprint knows the first frame only: the video may be longer now, or its truth another.
    better = isinstance(there.get("quality"), float) and there["quality"] > agent.record["quality"]
    return path if better and there.get("subject") == agent.record.get("subject") else save_agent(agent, folder)
