"""Trained agents as data: what one is, its file, and the folder that keeps those of a workspace."""

from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.agents.store import agents_folder, find_agent, list_agents, publish

__all__ = ["Agent", "agents_folder", "find_agent", "fingerprint", "list_agents", "load_agent", "publish", "save_agent"]
