"""An agent's file: safetensors with JSON in its metadata. Nothing in it is ever executed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sam2rl_tracker.agents.action import CAPACITY, CONTROLS, POINTERS
from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path

FORMAT = "sam2rl-agent-1"
EXTENDED = "sam2rl-agent-2"
"""The format of agents that decide more than SAM2RL's do, or with other pointers: version 0.3 would misread them."""

_PLAIN = {"control": "memory", "pointers": "stored"}  # of agents of the first format
_OTHER_KIND = "sam2rl-control"  # of agents for any video: see control.agent
MLP_TENSORS = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")


def agent_path(folder: StrPath, fingerprint: str) -> Path:
    """Where a folder of agents keeps the one with a fingerprint."""
    return Path(folder) / f"{fingerprint}.safetensors"


def save_agent(agent: Agent, folder: StrPath) -> Path:
    """Write an agent to `FINGERPRINT.safetensors` in a folder, which is made if need be.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): give a folder you own.") from error
    path = agent_path(folder, agent.fingerprint)
    about = {
        "format": FORMAT,
        "fingerprint": agent.fingerprint,
        "frames": agent.frames,
        "capacity": agent.capacity,
        "record": agent.record,
    }
    if (agent.control, agent.pointers) != (_PLAIN["control"], _PLAIN["pointers"]):
        about |= {"format": EXTENDED, "control": agent.control, "pointers": agent.pointers}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(agent.tensors, metadata={"sam2rl": json.dumps(about)}))
    return path


def load_agent(path: StrPath) -> Agent:
    """Read an agent; its tensors are checked against what it says about itself.

    Raises:
        Sam2rlError: No agent file, a damaged one, or one of another format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["sam2rl"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        if str(about["format"]).startswith(_OTHER_KIND):
            raise Sam2rlError(
                f"{path} is an agent for any video, which the policy learned plays: expected one that `sam2rl train` "
                "made, or give --policy learned:agent=FILE."
            )
        if about["format"] not in (FORMAT, EXTENDED):
            raise Sam2rlError(
                f"{path} is an agent of format {about['format']!r}, expected {FORMAT!r} or {EXTENDED!r}: train it "
                "again."
            )
        kind = {name: about[name] for name in _PLAIN} if about["format"] == EXTENDED else _PLAIN
        numbers = int(about["frames"]), int(about["capacity"])
        agent = Agent(about["fingerprint"], *numbers, tensors, about["record"], kind["control"], kind["pointers"])
        if not isinstance(agent.record, dict) or not isinstance(agent.fingerprint, str):
            raise Sam2rlError(f"{path} is damaged: its record is none; train it again.")
        if not _consistent(agent):
            raise Sam2rlError(f"{path} is damaged: its tensors do not fit its {agent.frames} frames; train it again.")
    except FileNotFoundError as error:
        raise Sam2rlError(f"{path} does not exist: see `sam2rl agent list`.") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Sam2rlError(f"{path} is no agent file ({error}): train one with `sam2rl train`.") from error
    return agent


def _consistent(agent: Agent) -> bool:
    shapes = {name: tensor.shape for name, tensor in agent.tensors.items()}
    if not 1 <= agent.capacity <= CAPACITY or agent.frames < 3:
        return False
    if agent.control not in CONTROLS or agent.pointers not in POINTERS:
        return False
    if set(shapes) == {"actions"}:
        actions = agent.tensors["actions"]
        fits = shapes["actions"] == (agent.frames - 2,) and actions.dtype.kind in "iu"
        return bool(fits and (actions >= 0).all() and (actions < agent.space.size).all())
    if set(shapes) != set(MLP_TENSORS):
        return False
    units, outputs = shapes["hidden.bias"][:1], (sum(agent.space.sizes),)
    return (
        shapes["hidden.weight"] == (*units, agent.frames)
        and shapes["output.weight"] == (*outputs, *units)
        and shapes["output.bias"] == outputs
        and all(np.isfinite(tensor).all() for tensor in agent.tensors.values())
    )
