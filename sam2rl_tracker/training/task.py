"""One object of a workspace to train or search for, and the agent that is made of what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sam2rl_tracker.agents.agent import Agent, fingerprint
from sam2rl_tracker.engine import PLAIN, Arithmetic, Model, load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.runs.folder import TRAININGS
from sam2rl_tracker.runs.provenance import AGENT_PACKAGES, python_version, versions
from sam2rl_tracker.runs.tasks import state_of
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace


@dataclass(frozen=True)
class Task:
    """One object to train an agent for, or to search on.

    Attributes:
        workspace: Folder of the VOT workspace.
        sequence: Which video of it.
        object_id: Which object, as its ground truth numbers it.
        model: Which SAM 2, as `load_model` takes it.
        device: Where it runs; None = the best there is.
        settings: Of the training; searches use its seed.
        inputs: What the files of the video and of the model's folder were when the task was made: see
            `runs.tasks.state_of`. Filled in where it is empty.
        arithmetic: What the simulator computes in. Qualities are through the tracker, which runs agents in exact mode.
        rows: States that the simulator computes in one batch. Higher values pad more in a training, to which few states
            of a frame are new.
        store_mb: The simulator's memory for what it may compute again. Higher values compute less again.
    """

    workspace: Path
    sequence: str
    object_id: int
    model: str = "nano"
    device: str | None = None
    settings: Settings = field(default_factory=Settings)
    rows: int = 8
    store_mb: float = 512
    inputs: str = ""
    arithmetic: Arithmetic = PLAIN

    kind: ClassVar[str] = "train"

    def __post_init__(self) -> None:
        if not self.inputs:
            object.__setattr__(self, "inputs", self._state())

    def _state(self) -> str:
        model = [Path(self.model)] if Path(self.model).is_dir() else []
        try:
            return state_of(open_workspace(self.workspace).sequences / self.sequence, *model)
        except Sam2rlError:  # as whoever works on it will find
            return "unknown"

    @property
    def folder(self) -> Path:
        """Where its training lives: what it needs to go on, and its curves."""
        return self.workspace / TRAININGS / f"{self.sequence}_{self.object_id}_seed{self.settings.seed}"

    @property
    def result(self) -> Path:
        """The file that its training leaves."""
        return self.folder / "result.json"

    def on(self, device: str) -> Task:
        """The same task, on a device."""
        return replace(self, device=device)

    def load_model(self) -> Model:
        """Its model.

        Raises:
            Sam2rlError: See `engine.load_model`.
        """
        return load_model(self.model, self.device)

    def fingerprint(self, model: Model, clip: Clip) -> str:
        """The key of its agent: see `agents.fingerprint`.

        Args:
            model: Its model.
            clip: Its video and truth.
        """
        return fingerprint(clip.images[0], clip.masks[0], model.hash)

    def clip(self) -> Clip:
        """Its video and truth.

        Raises:
            Sam2rlError: See `load_clip`.
        """
        return load_clip(open_workspace(self.workspace), self.sequence, self.object_id)

    def simulator(self, model: Model, clip: Clip | None = None, pointers: str | None = None) -> Simulator:
        """A simulator of its clip.

        Args:
            clip: Its own, where that is loaded already.
            pointers: By default the first of those that its settings choose among.

        Raises:
            Sam2rlError: See `load_clip` and `Simulator`.
        """
        settings = self.settings
        return Simulator(
            self.arithmetic.engine(model),
            clip or self.clip(),
            pointers=pointers or settings.pointer_choices[0],
            rows=self.rows,
            store_mb=self.store_mb,
            control=settings.control,
        )


def make_agent(
    task: Task, model: Model, simulator: Simulator, tensors: dict[str, np.ndarray], record: Mapping[str, Any]
) -> Agent:
    """An agent with its quality through the tracker.

    Args:
        tensors: See `Agent`.
        record: Fields of the agent's record beside what this function knows.
    """
    clip = simulator.clip
    about = {
        "sequence": task.sequence,
        "object": task.object_id,
        "model": model.name,
        "model_hash": model.hash,
        "subject": simulator.identity,
        "trained_on": "the ground truth that it is scored on",
        "versions": versions(AGENT_PACKAGES),
        "python": python_version(),
        **asdict(task.arithmetic),
    }
    agent = Agent(
        task.fingerprint(model, clip),
        len(clip),
        simulator.capacity,
        tensors,
        {**about, **record},
        simulator.space.control,
        simulator.pointers,
    )
    agent.record["quality"] = evaluate_policy(model, clip, partial(Sam2Rl, agent=agent))
    return agent
