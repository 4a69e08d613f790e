"""The trackers that a workspace knows, and which of them run trained agents."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import AGENTS, LEARNED, TITLES
from sam2rl_tracker.vot.workspace import Workspace


@dataclass(frozen=True)
class RegisteredTracker:
    """An entry of a registry.

    Attributes:
        name: What `vot evaluate` calls it.
        command: The Python code that serves the toolkit; "" where the entry has none.
    """

    name: str
    command: str = ""

    @property
    def policy(self) -> str | None:
        """The memory policy that its command names; None where it names none."""
        found = re.search(r"policy\s*=\s*['\"](\w+)", self.command)
        return found[1] if found else None


def registered_trackers(workspace: Workspace) -> dict[str, RegisteredTracker]:
    """{name: tracker} of the workspace's registries and those of VOT_REGISTRY.

    Raises:
        Sam2rlError: A registry is damaged.
    """
    paths = [*workspace.registries, *map(Path, filter(None, os.environ.get("VOT_REGISTRY", "").split(os.pathsep)))]
    found: dict[str, RegisteredTracker] = {}
    for path in paths:
        for file in [path / "trackers.ini", path / "trackers.yaml"] if path.is_dir() else [path]:
            found |= {name: RegisteredTracker(name, command) for name, command in _read_registry(file).items()}
    return found


def _read_registry(file: Path) -> dict[str, str]:
    """{name: command} of a registry; empty where there is no such file."""
    try:
        if file.suffix == ".yaml":
            entries = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else {}
            return {str(name): str((entry or {}).get("command", "")) for name, entry in entries.items()}
        parser = configparser.ConfigParser()
        parser.read(file)
        return {name: parser[name].get("command", "") for name in parser.sections()}
    except (OSError, yaml.YAMLError, configparser.Error, AttributeError) as error:
        raise Sam2rlError(f"The registry {file} is damaged ({' '.join(str(error).split())}): mend it.") from error


def registered(trackers: dict[str, RegisteredTracker], name: str) -> RegisteredTracker | None:
    """The entry of a tracker as results name it, NAME or NAME@TAG; None where it is not registered."""
    return trackers.get(name.partition("@")[0])


def that_saw_truth(workspace: Workspace, trackers: Iterable[str]) -> frozenset[str]:
    """Those whose agents have seen the ground truth that they are scored on: they run the policy `sam2rl`."""
    known = registered_trackers(workspace)

    def saw(name: str) -> bool:
        tracker = registered(known, name)
        policy = None if tracker is None else tracker.policy
        if policy is None:  # SAM2RL-G's agent was learned elsewhere; whatever else is called so may have seen all
            return name.upper().startswith(AGENTS) and name.partition("@")[0].upper() != LEARNED
        return policy == "sam2rl" or (name.upper().startswith(AGENTS) and policy != "learned")

    return frozenset(name for name in trackers if saw(name))


def namesakes(workspace: Workspace, trackers: Iterable[str]) -> frozenset[str]:
    """Those that have the name of one of ours and run something else, such as the model SAM 3 as `SAM3`."""
    known = registered_trackers(workspace)
    found = {name: registered(known, name) for name in trackers}
    return frozenset(
        name for name, one in found.items() if one and one.name in TITLES and one.policy != one.name.lower()
    )
