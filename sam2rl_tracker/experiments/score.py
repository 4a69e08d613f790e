"""How well a model tracks generated scenes under several memory policies, and under searched decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from sam2rl_tracker.engine import PLAIN, Arithmetic, Model, load_model, one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.intervals import bootstrap_interval
from sam2rl_tracker.evaluation.measures import FrameCounts, count_frames, measure_object
from sam2rl_tracker.runs.executors import HERE, Executor, result_of, unwatched
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.runs.tasks import Kind, run_tasks, state_of
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker
from sam2rl_tracker.training.search import beam
from sam2rl_tracker.training.simulator import Simulator

POLICIES = ("never", "recency", "stride", "random", "samurai", "dam4sam")
SEED = 7_000_000  # of the first scene: no training, test or benchmark uses these


@dataclass(frozen=True)
class Scenes:
    """Which scenes to score on.

    Attributes:
        count: Higher values narrow the intervals.
        seed: Of the first scene; the others count up.
        frames: Of each.
        objects: Tracked at once in each.
        preset: How hard they are; see `synthetic.presets`.
    """

    count: int = 64
    seed: int = SEED
    frames: int = 80
    objects: int = 1
    preset: str = "default"


@dataclass(frozen=True)
class PolicyScore:
    """How well the model tracks the scenes by one policy, or by searched decisions.

    Attributes:
        quality: Mean over scenes.
        low: Of its 95 % bootstrap interval over scenes.
        high: Of the same.
        accuracy: Mean over objects, as the next one.
        robustness: None where no object has it.
        absent: Share of the frames without the object on which no mask was given; None where there are no such frames.
        merged: Of frames and pairs of objects with a mask each, share of those whose masks have an IoU above 0.5; None
            where there are no such pairs.
        sees_truth: Whether the decisions were found on the truth that they are scored on.
    """

    quality: float
    low: float
    high: float
    accuracy: float
    robustness: float | None
    absent: float | None
    merged: float | None
    sees_truth: bool


@dataclass(frozen=True)
class ModelScore:
    """What `score_model` measured.

    Attributes:
        policies: {policy, or search: its score}.
        made_with: What the numbers depend on.
        scenes: Those that were tracked.
    """

    policies: dict[str, PolicyScore]
    made_with: Provenance
    scenes: Scenes

    def as_json(self) -> dict[str, Any]:
        return {
            "policies": {name: asdict(score) for name, score in self.policies.items()},
            "settings": {**self.made_with.as_json(self.scenes.seed), **asdict(self.scenes)},
        }


@dataclass(frozen=True)
class SceneTask:
    """A scene to track with every policy, and to search on.

    Attributes:
        folder: Of the result file.
        model: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        seed: Of the scene.
        scenes: What the scene is like; its number and first seed do not count.
        policies: As `make_policy` takes them.
        beams: Widths.
        inputs: What the files of the model's folder were when the task was made: see `runs.tasks.state_of`.
        arithmetic: What the network computes in.
    """

    folder: Path
    model: str
    device: str | None
    seed: int
    scenes: Scenes
    policies: tuple[str, ...]
    beams: tuple[int, ...]
    inputs: str
    arithmetic: Arithmetic = PLAIN

    kind: ClassVar[str] = "score"

    @property
    def result(self) -> Path:
        """The file that it leaves."""
        return self.folder / f"scene-{self.seed}.json"

    def on(self, device: str) -> SceneTask:
        """The same task, on a device."""
        return replace(self, device=device)


def score_model(
    model: str = "nano",
    device: str | None = None,
    scenes: Scenes = Scenes(),
    policies: Sequence[str] = POLICIES,
    beams: Sequence[int] = (),
    executor: Executor = HERE,
    report: Callable[[str], None] = lambda text: None,
    folder: Path | None = None,
    on_wait: Callable[[Sequence[SceneTask]], None] = unwatched,
    on_end: Callable[[SceneTask], None] = lambda task: None,
    arithmetic: Arithmetic = PLAIN,
) -> ModelScore:
    """Track generated scenes with every policy; search each scene's best decisions by beams.

    Args:
        model: As `load_model` takes it.
        device: Where it runs; None = the best there is.
        scenes: To track.
        policies: As `make_policy` takes them.
        beams: Widths; beams see the truth that they are scored on, and are run for scenes of one object.
        executor: Where scenes are tracked, each on one thread.
        report: Is called with one line of text per scene.
        folder: Keeps each scene's scores: the same call goes on from there. None = they are not kept.
        on_wait: See `Executor.run`.
        on_end: Is called with each scene that was tracked.
        arithmetic: What the network computes in.

    Raises:
        Sam2rlError: The model or a policy is unknown, scenes cannot be generated so, or some failed; those that were
            tracked are kept.
    """
    with _folder(folder) as kept:
        like, inputs = replace(scenes, count=1, seed=0), state_of(Path(model)) if Path(model).is_dir() else ""
        tasks = [
            SceneTask(kept, model, device, seed, like, tuple(policies), tuple(beams), inputs, arithmetic)
            for seed in range(scenes.seed, scenes.seed + scenes.count)
        ]
        found: dict[SceneTask, SceneScores] = {}
        for outcome in run_tasks(executor, tasks, on_wait):
            found[outcome.task] = result_of(outcome)
            report(f"scene {len(found)} of {scenes.count}")
            on_end(outcome.task)
    rows = [found[task].policies for task in tasks]
    summaries = {name: _summary([row[name] for row in rows]) for name in rows[0]}
    return ModelScore(summaries, found[tasks[0]].made_with, scenes)


def _folder(folder: Path | None) -> AbstractContextManager[Path]:
    if folder is not None:
        return nullcontext(folder)
    return _temporary_folder()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="sam2rl-score-") as name:
        yield Path(name)


@dataclass(frozen=True)
class _Scored:
    """One object."""

    quality: float
    accuracy: float
    robustness: float | None
    counts: FrameCounts
    merged: tuple[int, int] = (0, 0)  # with later objects: pairs of masks that are rather one, and all pairs
    sees_truth: bool = False


@dataclass(frozen=True)
class SceneScores:
    """What came of a scene.

    Attributes:
        policies: {policy, or beam: scores of the scene's objects}.
        made_with: What they depend on.
    """

    policies: dict[str, list[_Scored]]
    made_with: Provenance

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _read(task: SceneTask, content: Mapping[str, Any]) -> SceneScores:
    policies = {
        name: [
            _Scored(**{**one, "counts": FrameCounts(**one["counts"]), "merged": tuple(one["merged"])}) for one in scores
        ]
        for name, scores in content["policies"].items()
    }
    return SceneScores(policies, Provenance(**content["made_with"]))


@lru_cache(1)
def _load(model: str, device: str | None) -> Model:
    return load_model(model, device)


@one_thread()
def _score_scene(task: SceneTask) -> SceneScores:
    model, scenes = _load(task.model, task.device), task.scenes
    size = model.network.image_size
    scene = generate_scene(task.seed, scenes.frames, size, scenes.objects, preset=scenes.preset)
    truth = scene.labels[None] == np.arange(1, scenes.objects + 1)[:, None, None, None]  # [objects, T, h, w]
    scored = {}
    for policy in task.policies:
        tracker = Tracker(model, policy, num_frames=scenes.frames, **asdict(task.arithmetic))
        masks = [tracker.initialize(scene.images[0], truth[:, 0])]
        masks += [tracker.track(image) for image in scene.images[1:]]
        found = np.stack(masks, axis=1)  # [objects, T, h, w]
        scored[policy] = [
            replace(_score(one, true), merged=_merged(one, found[k + 1 :]))
            for k, (one, true) in enumerate(zip(found, truth, strict=True))
        ]
    if scenes.objects == 1:
        clip = Clip(list(scene.images), truth[0], np.ones(scenes.frames, dtype=bool))
        for width in task.beams:
            simulator = Simulator(task.arithmetic.engine(model), clip)
            path = simulator.rollout(beam(simulator, width).actions)
            masks = [truth[:, 0], *(simulator.output(state)[None] for state in path)]
            scored[f"beam {width}"] = [_score(np.concatenate(masks), truth[0], sees_truth=True)]
    return SceneScores(scored, Provenance.of(model, task.arithmetic))


SCORE = Kind(SceneTask, _score_scene, _read)
"""Scenes, as tasks."""


def _score(found: np.ndarray, truth: np.ndarray, sees_truth: bool = False) -> _Scored:
    measures = measure_object(found, truth)
    counts = count_frames(found, truth)
    return _Scored(measures.quality, measures.accuracy, measures.robustness, counts, sees_truth=sees_truth)


def _merged(masks: np.ndarray, others: np.ndarray) -> tuple[int, int]:
    """Of an object's masks [T, h, w] and those of others [n, T, h, w]: see `_Scored`."""
    both = masks.any(axis=(1, 2)) & others.any(axis=(2, 3))  # [n, T]
    ious = (masks & others).sum(axis=(2, 3)) / np.maximum((masks | others).sum(axis=(2, 3)), 1)
    return int((ious[both] > 0.5).sum()), int(both.sum())


def _summary(scenes: Sequence[Sequence[_Scored]]) -> PolicyScore:
    qualities = np.array([np.mean([one.quality for one in scene]) for scene in scenes])
    low, high = bootstrap_interval(qualities)
    every = [one for scene in scenes for one in scene]
    robust = [one.robustness for one in every if one.robustness is not None]
    noticed = sum(one.counts.noticed for one in every)
    merged, pairs = (sum(column) for column in zip(*(one.merged for one in every), strict=True))
    absent = noticed + sum(one.counts.hallucinated for one in every)
    return PolicyScore(
        quality=round(float(qualities.mean()), 4),
        low=round(low, 4),
        high=round(high, 4),
        accuracy=round(float(np.mean([one.accuracy for one in every])), 4),
        robustness=round(float(np.mean(robust)), 4) if robust else None,
        absent=round(noticed / absent, 4) if absent else None,
        merged=round(merged / pairs, 4) if pairs else None,
        sees_truth=every[0].sees_truth,
    )
