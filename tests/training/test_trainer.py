"""Agents of a workspace: trained here and in other processes, published, and measured by the VOT toolkit."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable

import numpy as np
import pytest
from quick import QUICK

from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.agents.store import agents_folder
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.devices import local_executor
from sam2rl_tracker.runs.executors import Outcome, Processes
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import TrainingResult, train_all, train_object
from sam2rl_tracker.vot.clips import objects_of
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")


def trained(outcomes: Iterable[Outcome[Task, TrainingResult]]) -> list[TrainingResult]:
    results = []
    for outcome in outcomes:
        assert isinstance(outcome.result, TrainingResult), outcome.result
        results.append(outcome.result)
    return results


@pytest.mark.slow
def test_the_same_training_gives_the_same_bits(workspace: Workspace) -> None:
    """Twice in this process, and in a worker."""
    task = Task(workspace.folder, "clip", 1, settings=dataclasses.replace(QUICK, imitation=0.9, relative=True))
    files = []
    for _ in range(2):
        files.append(train_object(task).own_file.read_bytes())
        shutil.rmtree(task.folder)
    (result,) = trained(train_all([task], Processes(2)))
    assert files == [result.own_file.read_bytes()] * 2


@pytest.mark.slow
def test_the_toolkit_measures_what_training_reported(workspace: Workspace) -> None:
    tasks = [Task(workspace.folder, name, k, settings=QUICK, rows=8) for name, k in objects_of(workspace.folder).found]
    assert [(task.sequence, task.object_id) for task in tasks] == [("clip", 1), ("two", 1), ("two", 4)]
    results = trained(train_all(tasks))
    assert evaluate(workspace.folder, ["SAM2RL"]) == []
    sequences = collect(workspace.folder).analysis.sequences
    qualities = [result.quality for result in results]
    assert sequences["clip"]["SAM2RL"].quality == pytest.approx(qualities[0], abs=1e-4)
    assert sequences["two"]["SAM2RL"].quality == pytest.approx(np.mean(qualities[1:]), abs=1e-4)


@pytest.mark.slow
def test_of_several_seeds_the_best_stays(workspace: Workspace) -> None:
    """In two processes, whose progress is told as it comes."""
    tasks = [
        Task(workspace.folder, "clip", 1, settings=dataclasses.replace(QUICK, seed=seed), rows=8) for seed in (3, 4)
    ]
    seen: set[tuple[int, int]] = set()
    done = train_all(tasks, Processes(2), on_iteration=lambda task, now: seen.add((task.settings.seed, now.iteration)))
    results = trained(done)
    assert sorted(result.seed for result in results) == [3, 4]
    assert seen
    (path,) = agents_folder(workspace.folder).glob("*.safetensors")
    assert {result.file for result in results} == {path}
    assert load_agent(path).record["quality"] == max(result.quality for result in results)
    for task in tasks:
        assert (task.folder / path.name).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_object_does_not_stop_the_others(workspace: Workspace, jobs: int) -> None:
    good, bad = (Task(workspace.folder, "clip", k, settings=QUICK, rows=8) for k in (1, 7))
    results = {outcome.task: outcome.result for outcome in train_all([bad, good], local_executor(jobs))}
    first, second = results[bad], results[good]
    assert isinstance(first, Sam2rlError)
    assert "clip has no object 7: it has 1" in str(first)
    assert isinstance(second, TrainingResult)
    assert second.file.parent == agents_folder(workspace.folder)
    again = train_object(good)  # finished: nothing is trained anew
    assert (again.steps, again.quality) == (second.steps, second.quality)
    assert TrainingResult.from_json(second.as_json()) == second
