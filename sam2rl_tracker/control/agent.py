"""An agent for any video, as a file: safetensors with JSON in its metadata. Nothing in it is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sam2rl_tracker.control.looks import LookParts, look_parts
from sam2rl_tracker.control.network import ControlNetwork
from sam2rl_tracker.control.observation import VERSION
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path

FORMAT = "sam2rl-control-1"
_OTHER_KIND = "sam2rl-agent"
PACKAGED = Path(__file__).parent / "agents"


@dataclass(frozen=True, eq=False)
class ControlAgent:
    """What `sam2rl learn` makes: a network that serves one model, on any video.

    Attributes:
        network: On the CPU.
        model_hash: Of the model that it was learned for.
        record: How it was made: model, data, seeds, settings, versions, what it gave on which videos.
    """

    network: ControlNetwork
    model_hash: str
    record: dict[str, Any] = field(default_factory=dict)

    def on(self, model: Model) -> ControlNetwork:
        """A copy of its network on a model's device.

        Raises:
            Sam2rlError: It was learned for another model.
        """
        if model.hash != self.model_hash:
            learned_for = self.record.get("model", "another")
            raise Sam2rlError(
                f"This agent was learned for the model {learned_for} ({self.model_hash}), and {model.name} is "
                f"{model.hash}: learn one for {model.name} with `sam2rl learn --model`."
            )
        network = ControlNetwork(self.network.look, self.network.width)
        network.load_state_dict(self.network.state_dict())
        return network.to(model.device).eval()


def look_parts_of(model: Model) -> LookParts:
    """The parts of a model's looks."""
    network = model.network
    width = network.hidden_dim
    finer = (width // 8, width // 4) if network.use_high_res_features_in_sam else ()
    return look_parts(width, finer)


def save_control_agent(agent: ControlAgent, path: StrPath) -> None:
    """Write an agent's file.

    Raises:
        Sam2rlError: It cannot be written.
    """
    about = {
        "format": FORMAT,
        "observation": VERSION,
        "model_hash": agent.model_hash,
        "look": agent.network.look,
        "width": agent.network.width,
        "record": agent.record,
    }
    tensors = {name: tensor.contiguous() for name, tensor in agent.network.state_dict().items()}
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(save(tensors, metadata={"sam2rl": json.dumps(about)}))


def load_control_agent(path: StrPath) -> ControlAgent:
    """Read an agent's file.

    Raises:
        Sam2rlError: No such file, none of an agent for any video, a damaged one, or one of another observation.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["sam2rl"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        _check_kind(path, about)
        network = ControlNetwork(int(about["look"]), int(about["width"]))
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise Sam2rlError(f"{path} is damaged: not all of its weights are finite numbers; learn it again.")
        # Earlier files have no scale of pairs: it changes nothing unless pairs are left out.
        scale = {name: value for name, value in network.state_dict().items() if name.startswith("scale_pair.")}
        network.load_state_dict({**scale, **tensors})
        return ControlAgent(network.eval(), str(about["model_hash"]), dict(about["record"]))
    except FileNotFoundError as error:
        raise Sam2rlError(f"{path} does not exist: give an agent that `sam2rl learn` made.") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Sam2rlError(f"{path} is no agent for any video ({reason}): make one with `sam2rl learn`.") from error


def packaged_agent(model: Model) -> Path:
    """The agent that the package ships for a model.

    Raises:
        Sam2rlError: There is none for this model.
    """
    path = PACKAGED / f"{model.hash}.safetensors"
    if not path.exists():
        raise Sam2rlError(
            f"No agent for {model.name} is shipped: learn one with `sam2rl learn --model`, and give it by "
            "--policy learned:agent=FILE."
        )
    return path


def _check_kind(path: StrPath, about: Mapping[str, Any]) -> None:
    """Raises: Sam2rlError: Another kind of agent, or another version."""
    kind, version = str(about["format"]), about.get("observation")
    if kind.startswith(_OTHER_KIND):
        raise Sam2rlError(
            f"{path} is an agent of one video, which the policy sam2rl plays: expected one that `sam2rl learn` made."
        )
    if kind != FORMAT:
        raise Sam2rlError(f"{path} is an agent of format {kind!r}, expected {FORMAT!r}: learn it again.")
    if version != VERSION:
        raise Sam2rlError(
            f"{path} sees by version {version} of the observation, and this package has version {VERSION}: learn it "
            "again."
        )
