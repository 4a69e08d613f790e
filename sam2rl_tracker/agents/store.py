"""Where agents lie: those of a workspace, and the one of an object that is to be tracked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.agents.files import agent_path, load_agent, save_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import NoAgent, Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.locks import in_turn
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE


def agents_folder(workspace: Path) -> Path:
    """Where a workspace's agents lie, for training and for the tracker SAM2RL."""
    return workspace / "agents"


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        agents: Those that could be read, in the order of their files.
        errors: What is wrong with the files that could not.
    """

    agents: list[Agent]
    errors: list[Sam2rlError]


def list_agents(folder: StrPath) -> Listing:
    """Read all agents of a folder; empty where there is none."""
    listing = Listing([], [])
    for path in sorted(Path(folder).glob("*.safetensors")):
        try:
            listing.agents.append(load_agent(path))
        except Sam2rlError as error:
            listing.errors.append(error)
    return listing


def find_agent(agents: StrPath, image: np.ndarray, mask: np.ndarray, model: Model, num_frames: int | None) -> Agent:
    """The agent of an object.

    Args:
        agents: A folder of agent files, or one file; "" where the user gave none.
        image: uint8 [height, width, 3], the first one.
        mask: bool [height, width], of the object on it.
        num_frames: Length of the video, if known.

    Raises:
        NoAgent: The folder has none for this object, or the file given is another object's.
        Sam2rlError: There is no such folder or file, or the video is longer than the agent's.
    """
    if not str(agents):
        raise Sam2rlError(
            f"The policy sam2rl needs its agents: set {AGENTS_VARIABLE} to their folder (or sam2rl:agents=FOLDER); "
            "`sam2rl train WORKSPACE` makes them."
        )
    if not Path(agents).exists():
        raise Sam2rlError(
            f"The agents {str(agents)!r} do not exist, seen from {Path.cwd()}: give an absolute path (`vot evaluate` "
            "starts trackers in a temporary folder), or make them by `sam2rl train WORKSPACE`."
        )
    key = fingerprint(image, mask, model.hash)
    path = Path(agents) if Path(agents).is_file() else agent_path(agents, key)
    if not path.is_file():
        raise NoAgent(
            f"{agents} has no agent for this object (first image, mask and model {model.name} give {key}): agents "
            "serve the video, the object and the model they were trained on; `sam2rl train WORKSPACE` trains one."
        )
    agent = load_agent(path)
    if agent.fingerprint != key:
        raise NoAgent(
            f"{agents} was trained on another video, object or model ({agent.fingerprint}, this one is {key}, "
            f"{model.name}): `sam2rl train WORKSPACE` trains one for it."
        )
    if num_frames is not None and num_frames > agent.frames:
        raise Sam2rlError(
            f"The agent {key} was trained on {agent.frames} frames, but the video has {num_frames}: train again."
        )
    return agent


def publish(agent: Agent, folder: Path) -> Path:
    """Save an agent where trackers look; the file. A better one of the same video, truth and control stays.

    Raises:
        Sam2rlError: The folder or the file cannot be written.
    """
    with in_turn(folder, "training"):  # between the look and the file, nobody else writes one
        return agent_path(folder, agent.fingerprint) if _has_better(folder, agent) else save_agent(agent, folder)


def _has_better(folder: Path, agent: Agent) -> bool:
    try:
        other = load_agent(agent_path(folder, agent.fingerprint))
    except Sam2rlError:  # none, or a damaged one
        return False
    if other.control != agent.control:  # one that decides the output, too, would always be better: the last one counts
        return False
    there = other.record
    # The fingerprint knows the first frame only: the video may be longer now, or its truth another.
    better = isinstance(there.get("quality"), float) and there["quality"] > agent.record["quality"]
    return better and there.get("subject") == agent.record.get("subject")
