"""SAM2RL: the bank is controlled by an agent that was trained on the very video it is used on.

An agent is one safetensors file: tensors, and JSON in the file's metadata. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sam2rl_tracker.engine.types import MAX_POINTERS
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies.bank import CAPACITY, BankPolicy
from sam2rl_tracker.policies.base import Start
from sam2rl_tracker.video import StrPath, atomic_path

FORMAT = "sam2rl-agent-1"
AGENTS_VARIABLE = "SAM2RL_AGENTS"
MLP_TENSORS = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")


@dataclass(frozen=True, eq=False)
class Agent:
    """A trained agent: a network of one hidden layer, or a list of actions found by search.

    Attributes:
        fingerprint: of the first image, the initial mask and the model that it belongs to.
        frames: T, the length of its video.
        capacity: memories in its bank.
        tensors: `hidden.weight` [units, T], `hidden.bias`, `output.weight` [capacity + 1, units], `output.bias`; or
            `actions` [T - 2], those after frames 1 to T - 2.
        record: what is known of its making: sequence, object, qualities, seed, settings, versions.
    """

    fingerprint: str
    frames: int
    capacity: int
    tensors: dict[str, np.ndarray]
    record: dict[str, Any] = field(default_factory=dict)

    def action(self, t: int, bank: Sequence[int]) -> int:
        """The greedy action after frame t with these frames stored.

        Raises:
            Sam2rlError: frame t lies beyond the video that the agent was trained on.
        """
        if not 1 <= t <= self.frames - 1:
            raise Sam2rlError(
                f"the agent was trained on a video of {self.frames} frames, but this one has more: "
                "train one on this video with `sam2rl train`"
            )
        if t == self.frames - 1:
            return 0  # nothing follows the last frame
        if "actions" in self.tensors:
            return int(self.tensors["actions"][t - 1])
        seen = np.zeros(self.frames, dtype=np.float32)
        seen[[0, *bank, t]] = 1
        hidden = np.tanh(self.tensors["hidden.weight"] @ seen + self.tensors["hidden.bias"])
        return int((self.tensors["output.weight"] @ hidden + self.tensors["output.bias"]).argmax())


def fingerprint(image: np.ndarray, mask: np.ndarray, model_hash: str) -> str:
    """The key of an agent: 16 hex digits of a first image, uint8 [h, w, 3], its mask, bool [h, w], and a model."""
    digest = hashlib.sha256(f"{model_hash} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()[:16]


def save_agent(agent: Agent, folder: StrPath) -> Path:
    """Write an agent to `FINGERPRINT.safetensors` in a folder, which is made if need be.

    Raises:
        Sam2rlError: the file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): give a folder you own") from error
    path = folder / f"{agent.fingerprint}.safetensors"
    about = {
        "format": FORMAT,
        "fingerprint": agent.fingerprint,
        "frames": agent.frames,
        "capacity": agent.capacity,
        "record": agent.record,
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(agent.tensors, metadata={"sam2rl": json.dumps(about)}))
    return path


def load_agent(path: StrPath) -> Agent:
    """Read an agent; its tensors are checked against what it says about itself.

    Raises:
        Sam2rlError: no agent file, a damaged one, or one of another format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["sam2rl"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        agent = Agent(about["fingerprint"], int(about["frames"]), int(about["capacity"]), tensors, about["record"])
        if about["format"] != FORMAT:
            raise Sam2rlError(f"{path} is an agent of format {about['format']!r}, expected {FORMAT!r}: train it again")
        if not isinstance(agent.record, dict) or not isinstance(agent.fingerprint, str):
            raise Sam2rlError(f"{path} is damaged: its record is none; train it again")
        if not _consistent(agent):
            raise Sam2rlError(f"{path} is damaged: its tensors do not fit its {agent.frames} frames; train it again")
    except FileNotFoundError as error:
        raise Sam2rlError(f"{path} does not exist: see `sam2rl agent list`") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Sam2rlError(f"{path} is no agent file ({error}): train one with `sam2rl train`") from error
    return agent


def _consistent(agent: Agent) -> bool:
    shapes = {name: tensor.shape for name, tensor in agent.tensors.items()}
    if not 1 <= agent.capacity <= CAPACITY or agent.frames < 3:
        return False
    if set(shapes) == {"actions"}:
        actions = agent.tensors["actions"]
        fits = shapes["actions"] == (agent.frames - 2,) and actions.dtype.kind in "iu"
        return bool(fits and (actions >= 0).all() and (actions <= agent.capacity).all())
    if set(shapes) != set(MLP_TENSORS):
        return False
    units, outputs = shapes["hidden.bias"][:1], (agent.capacity + 1,)
    return (
        shapes["hidden.weight"] == (*units, agent.frames)
        and shapes["output.weight"] == (*outputs, *units)
        and shapes["output.bias"] == outputs
        and all(np.isfinite(tensor).all() for tensor in agent.tensors.values())
    )


@dataclass
class Sam2Rl(BankPolicy):
    """An agent trained on this very video, and so on the ground truth that it is scored on, controls the bank.

    Source: SAM2RL. The observation holds no image: the greedy agent is an open-loop list of decisions.

    Attributes:
        agents: folder of agent files, or one file; by default the environment's SAM2RL_AGENTS.
    """

    agents: str = ""

    exact: ClassVar[bool] = True

    def begin(self, start: Start) -> None:
        self._agent = find_agent(self.agents or os.environ.get(AGENTS_VARIABLE, ""), start)
        self.capacity = self._agent.capacity
        super().begin(start)
        self.pointer_span = min(self._agent.frames, MAX_POINTERS)  # a stream does not say its length, the agent does

    def decide(self, t: int, bank: Sequence[int]) -> int:
        return self._agent.action(t, bank)


def find_agent(agents: str, start: Start) -> Agent:
    """The agent of an object.

    Args:
        agents: a folder of agent files, or one file.

    Raises:
        Sam2rlError: there is none, or the file given is another object's.
    """
    if not agents:
        raise Sam2rlError(
            f"the policy sam2rl needs its agents: set {AGENTS_VARIABLE} to their folder (or sam2rl:agents=FOLDER); "
            "`sam2rl train WORKSPACE` makes them"
        )
    if not Path(agents).exists():
        raise Sam2rlError(
            f"the agents {agents!r} do not exist, seen from {Path.cwd()}: give an absolute path (`vot evaluate` starts "
            "trackers in a temporary folder), or make them by `sam2rl train WORKSPACE`"
        )
    key = fingerprint(start.image, start.mask, start.model.hash)
    path = Path(agents) if Path(agents).is_file() else Path(agents) / f"{key}.safetensors"
    if not path.is_file():
        raise Sam2rlError(
            f"{agents} has no agent for this object (first image, mask and model {start.model.name} give {key}): "
            "agents serve the video, the object and the model they were trained on; `sam2rl train WORKSPACE` trains one"
        )
    agent = load_agent(path)
    if agent.fingerprint != key:
        raise Sam2rlError(
            f"{agents} was trained on another video, object or model ({agent.fingerprint}, this one is {key}, "
            f"{start.model.name}): `sam2rl train WORKSPACE` trains one for it"
        )
    if start.num_frames is not None and start.num_frames > agent.frames:
        raise Sam2rlError(
            f"the agent {key} was trained on {agent.frames} frames, but the video has {start.num_frames}: train again"
        )
    return agent
