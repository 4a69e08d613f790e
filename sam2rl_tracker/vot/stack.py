"""Stacks of experiments: ours, and those that the toolkit brings along or that other people wrote."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from sam2rl_tracker.errors import Sam2rlError


@dataclass(frozen=True)
class StackExperiment:
    """What an experiment does, as far as it tells where its results lie.

    Attributes:
        name: The folder of its results.
        kind: `unsupervised` = a tracker is started once per object; `supervised` = again after every failure;
            `multistart` = at several frames of a sequence.
        multiobject: Whether a tracker is given all objects of a sequence at once. Otherwise the toolkit makes a
            sequence of each.
        transformed: Whether it makes sequences of its own from those of the workspace.
        repetitions: How often a tracker runs on each sequence, at most.
        disturbed: Whether frames are left out in real time, or the tracker is disturbed in another way.
        analyses: How many measures it asks for.
        tags: Tags that choose the frames which its measures count.
    """

    name: str
    kind: str
    multiobject: bool
    transformed: bool
    repetitions: int
    disturbed: bool
    analyses: int
    tags: frozenset[str]

    @property
    def runs_through(self) -> bool:
        """Whether there is an answer for every frame after an object's first, so that own measures can be taken."""
        return self.kind == "unsupervised" and not self.transformed and not self.disturbed


def stack_file(folder: Path, name: str) -> Path:
    """The file of a stack as config.yaml names it: a path from the workspace, or the name of one of the toolkit's."""
    own = folder / name
    if not own.is_file():
        # Found without importing the toolkit, which takes seconds.
        toolkit = find_spec("vot")
        for place in (toolkit.submodule_search_locations or []) if toolkit else []:
            if (theirs := Path(place) / "stack" / f"{name}.yaml").is_file():
                return theirs
    return own


def read_stack(path: Path) -> list[StackExperiment]:
    """The experiments of a stack, in its own order.

    Raises:
        Sam2rlError: The stack is missing or damaged.
    """
    try:
        experiments = yaml.safe_load(path.read_text())["experiments"]
        return [_experiment(str(name), entry or {}) for name, entry in experiments.items()]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Sam2rlError(
            f"{path} is not a stack of experiments ({' '.join(str(error).split())}): copy stack.yaml from a "
            "new workspace, `sam2rl workspace create DIR`."
        ) from error


def _experiment(name: str, entry: dict[str, Any]) -> StackExperiment:
    analyses = entry.get("analyses") or []
    return StackExperiment(
        name=name,
        kind=str(entry.get("type", "")),
        multiobject=bool(entry.get("multiobject", False)),
        transformed=bool(entry.get("transformers")),
        repetitions=int(entry.get("repetitions") or 1),
        disturbed=any(entry.get(key) is not None for key in ("realtime", "noise", "inject")),
        analyses=len(analyses),
        tags=frozenset(str(one["filter_tag"]) for one in analyses if one.get("filter_tag")),
    )
