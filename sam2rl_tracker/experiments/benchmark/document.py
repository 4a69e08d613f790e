"""What came of a benchmark, put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument, Method
from sam2rl_tracker.evaluation.curves import mean_curve
from sam2rl_tracker.evaluation.fallbacks import Fallbacks
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINES, BEST, REFERENCE, SEARCHES
from sam2rl_tracker.experiments.benchmark.parts import BaselinesPart, SearchPart, TrainingPart, TransferPart
from sam2rl_tracker.experiments.benchmark.plan import Plan
from sam2rl_tracker.experiments.claims import Gains, difference, judge, spread, survival
from sam2rl_tracker.experiments.transfer import VARIANTS
from sam2rl_tracker.report.table import to_json
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.results import frame_times
from sam2rl_tracker.vot.workspace import open_workspace


@dataclass(frozen=True)
class Agents:
    """What was measured of agents and searches; all empty where the plan is without agents.

    Attributes:
        trained: All trainings, those of other seeds included.
        searched: {sequence: searches}, of the first sequences.
        moved: {sequence: the agent on changed versions of the video}.
    """

    trained: Mapping[Task, TrainingPart]
    searched: Mapping[str, SearchPart]
    moved: Mapping[str, TransferPart]


@dataclass(frozen=True)
class Measured:
    """All that a benchmark measured.

    Attributes:
        folder: The benchmark's.
        plan: What was to be done.
        report: What the VOT toolkit says of the trackers.
        tasks: {sequence: what its first seed's agent is trained on}, in the order of the plan.
        baselines: {sequence: the baselines there}.
        agents: And searches.
    """

    folder: Path
    plan: Plan
    report: Report
    tasks: Mapping[str, Task]
    baselines: Mapping[str, BaselinesPart]
    agents: Agents

    def trained_on(self, name: str) -> TrainingPart:
        """The training of a sequence's first seed."""
        return self.agents.trained[self.tasks[name]]


def make_document(measured: Measured, settings: Mapping[str, Any]) -> BenchmarkDocument:
    """Put all of it together.

    Args:
        settings: What it was made with.
    """
    plan, names, agents = measured.plan, list(measured.tasks), measured.agents
    scores = to_json(measured.report)
    videos = _qualities(measured, scores["sequences"])
    # The first video was searched, as were the first others: what a method lacks is at the end.
    gains = {
        key: np.array([row[key] - row[REFERENCE] for row in videos.values() if key in row]) for key in videos[names[0]]
    }
    steps = {name: {AGENTS: measured.trained_on(name).result.steps} for name in names if plan.with_agents}
    for name, part in agents.searched.items():
        steps[name] |= {key: part.spent[key] for key in SEARCHES if key in part.spent}

    def method(key: str) -> Method:
        mean, low, high = spread(gains[key])
        spent = [row[key] for row in steps.values() if key in row]
        return Method(
            quality=float(np.mean([row[key] for row in videos.values() if key in row])),
            gain=mean,
            low=low,
            high=high,
            accuracy_gain=difference(scores["sequences"], key, "accuracy"),
            robustness_gain=difference(scores["sequences"], key, "robustness"),
            steps=float(np.mean(spent)) if spent else None,
            fps=_fps(measured.folder, key, names) if key in plan.trackers else None,
            sees_truth=key in measured.report.trained or key in (*SEARCHES, BEST),
            control=plan.settings.control if key == AGENTS and plan.settings.control != "memory" else None,
        )

    return BenchmarkDocument(
        trackers=scores["trackers"],
        sequences=scores["sequences"],
        methods={key: method(key) for key in gains},
        videos=videos,
        steps=steps,
        claims=judge(gains) if plan.with_agents else None,
        seeds={
            name: {
                str(task.settings.seed): part.result.quality
                for task, part in agents.trained.items()
                if task.sequence == name
            }
            for name in names[: plan.subset]
            if plan.with_agents
        },
        transfer=survival(VARIANTS, {name: part.variants for name, part in agents.moved.items()}),
        curves=_curves(measured, {name: row[REFERENCE] for name, row in videos.items()}),
        settings={
            **plan.as_json(),
            "seconds": _seconds(measured),
            "hashes": {name: _hash(open_workspace(measured.folder).sequences / name) for name in names},
            **settings,
        },
        fallbacks=_fallbacks(measured, gains[AGENTS]) if plan.with_agents else None,
    )


def _fallbacks(measured: Measured, gains: Gains) -> Fallbacks:
    """How many of the first seed's agents fell back to SAM 2's own rule."""
    return Fallbacks.of(gains.tolist(), [[measured.trained_on(name).result.fallback] for name in measured.tasks])


def _qualities(measured: Measured, sequences: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """{sequence: {method: quality}}.

    Decisions are evaluated by the tracker: what the simulator makes of them in batches is not quite the same.
    """
    videos = {}
    for name in measured.tasks:
        row = {key: scores["quality"] for key, scores in sequences[name].items()}
        row |= {baseline: measured.baselines[name].qualities[baseline] for baseline in BASELINES}
        if name in measured.agents.searched:
            found = measured.agents.searched[name].evaluated
            row |= {search: found[search] for search in SEARCHES if search in found}
            row[BEST] = max(*row.values(), measured.trained_on(name).result.best_rollout_evaluated)
        videos[name] = row
    return videos


def _fps(folder: Path, tracker: str, names: Sequence[str]) -> float:
    """Frames per second as the toolkit saw them, the first frame of each video left out: it loads the model."""
    times = np.concatenate([frame_times(folder, tracker, name)[1:] for name in names])
    return float(1 / np.median(times))


def _seconds(measured: Measured) -> dict[str, float]:
    """Of each kind of work, in one process."""
    folder, trackers, names = measured.folder, measured.plan.trackers, list(measured.tasks)
    agents = measured.agents
    return {
        "training": sum(part.result.seconds for part in agents.trained.values()),
        "searching": sum(part.seconds for part in agents.searched.values()),
        "replaying": sum(part.seconds for part in measured.baselines.values())
        + sum(part.seconds for part in agents.moved.values()),
        "tracking": float(sum(frame_times(folder, key, name).sum() for key in trackers for name in names)),
    }


def _hash(sequence: Path) -> str:
    """16 hex digits of a sequence's frames and truth."""
    digest = hashlib.sha256()
    for path in sorted([*sequence.glob("color/*"), *sequence.glob("groundtruth_*.txt")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _curves(measured: Measured, base: Mapping[str, float]) -> dict[str, list[list[float]]]:
    """Mean gain over the videos that were searched against simulated steps.

    A curve begins where that of every video has begun.
    """
    searched = measured.agents.searched
    if not searched:
        return {}
    curves = {AGENTS: [measured.trained_on(name).curve for name in searched]}
    common = [key for key in SEARCHES if all(key in part.curves for part in searched.values())]
    curves |= {key: [part.curves[key] for part in searched.values()] for key in common}
    gains = {
        key: [
            [(steps, value - base[name]) for steps, value in line] for name, line in zip(searched, lines, strict=True)
        ]
        for key, lines in curves.items()
    }
    return {key: [list(point) for point in mean_curve(lines)] for key, lines in gains.items()}
