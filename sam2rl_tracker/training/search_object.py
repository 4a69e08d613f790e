"""From objects of a workspace to the best decisions that searches find, at equal numbers of simulated steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sam2rl_tracker.agents.action import KEEP, OLDEST, Decision
from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.files import agent_path, load_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import PLAIN, Arithmetic, Model, one_thread
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.evaluation.methods import SEARCHES as METHODS
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.folder import SEARCHES, write_json
from sam2rl_tracker.runs.tasks import Kind, state_of
from sam2rl_tracker.training.search import Found, compare
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.task import Task, make_agent


@dataclass(frozen=True)
class SearchResult:
    """What searches found on one object. Qualities are fractions, on the ground truth that was searched on.

    Attributes:
        sequence: The video.
        object_id: The object, as its ground truth numbers it.
        budget: Simulated steps for random search, beam and local search; greedy search takes what it takes.
        found: By each search, simulated: random, greedy, beam and, if it was asked for, the ceiling.
        evaluated: {search: quality of the same decisions through the tracker}.
        agent: Quality of the workspace's agent of this object, simulated; None where there is none.
        agent_method: How that was made.
        always: Quality where every frame replaces the oldest, simulated.
        sam2: Quality of SAM 2's own rule, through the tracker.
        arithmetic: What was simulated in.
    """

    sequence: str
    object_id: int
    budget: int
    found: tuple[Found, ...]
    evaluated: dict[str, float]
    agent: float | None
    agent_method: str | None
    always: float
    sam2: float
    arithmetic: Arithmetic = PLAIN

    def as_json(self) -> dict[str, Any]:
        """As `sam2rl search --json`, a workspace's folder `search` and a benchmark's parts hold it."""
        return {
            "sequence": self.sequence,
            "object": self.object_id,
            "steps": self.budget,
            **{one.name: one.quality for one in self.found},
            "spent": {one.name: one.steps for one in self.found},
            "curves": {one.name: one.curve for one in self.found},
            "agent": self.agent,
            "agent_method": self.agent_method,
            "always": self.always,
            "sam2": self.sam2,
            "replayed": self.evaluated,
            **asdict(self.arithmetic),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SearchResult:
        """That which `as_json` gave, which does not tell the actions.

        Raises:
            KeyError: A field is missing.
        """
        found = tuple(
            Found(name, content[name], (), steps, tuple((at, best) for at, best in content["curves"][name]))
            for name, steps in content["spent"].items()
        )
        return cls(
            sequence=content["sequence"],
            object_id=content["object"],
            budget=content["steps"],
            found=found,
            evaluated=dict(content["replayed"]),
            arithmetic=Arithmetic(content.get("dtype", PLAIN.dtype), content.get("compile", PLAIN.compile)),
            **{name: content[name] for name in ("agent", "agent_method", "always", "sam2")},
        )


@dataclass(frozen=True)
class SearchTask:
    """One object to search on.

    Attributes:
        task: The object.
        budget: See `search_object`, as for the next two.
        width: Of the wide beam.
        save: Folder for an agent.
        agents: What the workspace's agents were when the task was made: see `runs.tasks.state_of`. A search is done
            again when they are others.
    """

    task: Task
    budget: int
    width: int | None = None
    save: Path | None = None
    agents: str = ""

    kind: ClassVar[str] = "search"

    @property
    def result(self) -> Path:
        """The file that it leaves, which reports read too."""
        return _file(self.task)

    def on(self, device: str) -> SearchTask:
        """The same task, on a device."""
        return replace(self, task=self.task.on(device))


def search_tasks(
    tasks: Sequence[Task], budget: int, width: int | None = None, save: Path | None = None
) -> list[SearchTask]:
    """Searches on objects of a workspace, as tasks. Arguments as for `search_object`."""
    agents = {folder: state_of(agents_folder(folder)) for folder in {task.workspace for task in tasks}}
    return [SearchTask(task, budget, width, save, agents[task.workspace]) for task in tasks]


def search_object(task: Task, budget: int, width: int | None = None, save: Path | None = None) -> SearchResult:
    """Search for good decisions, beside the trained agent if there is one.

    The workspace's folder `search` keeps the result, for reports.

    Args:
        budget: Steps for random search, beam and local search; greedy search takes what it takes.
        width: Of the wide beam that estimates the ceiling; None = no ceiling.
        save: Folder for an agent of the best decisions found, for the tracker SAM2RL; a better one there stays.

    Raises:
        Sam2rlError: See `load_clip` and `compare`; or an agent's file is damaged, or one cannot be written.
    """
    result = _search(task, budget, width, save)
    write_json(_file(task), result.as_json(), indent=None)
    return result


def _file(task: Task) -> Path:
    return task.workspace / SEARCHES / f"{task.sequence}_{task.object_id}.json"


@one_thread()
def _search(task: Task, budget: int, width: int | None = None, save: Path | None = None) -> SearchResult:
    """See `search_object`."""
    model = task.load_model()
    simulator = task.simulator(model)
    clip = simulator.clip
    found = compare(simulator, budget, task.settings.seed, width)
    path = agent_path(agents_folder(task.workspace), task.fingerprint(model, clip))
    trained = load_agent(path) if path.is_file() else None
    if trained and trained.frames != len(clip):  # the video was shorter or longer then
        trained = None
    simulated = _simulate(task, model, simulator, trained) if trained else None
    oldest = simulator.space.action(Decision(OLDEST, KEEP))
    always = simulator.quality(simulator.rollout([oldest] * simulator.decisions))
    sam2 = evaluate_policy(model, clip, make_policy("recency"))
    agents = {}
    for one in found:
        record = {"method": f"search ({one.name})", "steps": one.steps, "batched_quality": one.quality}
        record["sam2_quality"] = sam2
        agents[one.name] = make_agent(task, model, simulator, {"actions": np.array(one.actions)}, record)
    if save:
        publish(max(agents.values(), key=lambda agent: agent.record["quality"]), save)
    return SearchResult(
        sequence=task.sequence,
        object_id=task.object_id,
        budget=budget,
        found=tuple(found),
        evaluated={name: agent.record["quality"] for name, agent in agents.items()},
        agent=simulated,
        agent_method=trained.record.get("method") if trained else None,
        always=always,
        sam2=sam2,
        arithmetic=task.arithmetic,
    )


def _simulate(task: Task, model: Model, simulator: Simulator, agent: Agent) -> float:
    """An agent's quality, on a simulator of its own where it decides something else than what is searched for."""
    if (agent.space, agent.pointers) != (simulator.space, simulator.pointers):
        own = replace(task, settings=replace(task.settings, control=agent.control))
        simulator = own.simulator(model, simulator.clip, agent.pointers)
    states = [simulator.start()]
    for t in range(1, simulator.decisions + 1):
        states += simulator.step(states[-1:], [agent.action(t, simulator.bank(states[-1]))])
    return simulator.quality(states)


def _work(one: SearchTask) -> SearchResult:
    return _search(one.task, one.budget, one.width, one.save)


def _read(one: SearchTask, content: Mapping[str, Any]) -> SearchResult | None:
    """A result from its file; None where it lacks one of today's searches, or the agents that were asked for."""
    gone = one.save is not None and not any(one.save.glob("*.safetensors"))
    return None if gone or not content["spent"].keys() >= {*METHODS} else SearchResult.from_json(content)


SEARCH = Kind(SearchTask, _work, _read)
"""Searches, as tasks."""
