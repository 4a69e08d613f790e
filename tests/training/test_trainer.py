"""Agents of a workspace: trained here and in other processes, published, and measured by the VOT toolkit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from quick import QUICK
from rich.console import Console

from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.agents.store import agents_folder
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.table import render
from sam2rl_tracker.runs.devices import local_executor
from sam2rl_tracker.runs.executors import Outcome, Processes
from sam2rl_tracker.runs.tasks import digest_of
from sam2rl_tracker.training.progress import read_curve
from sam2rl_tracker.training.search import first_rollout
from sam2rl_tracker.training.simulator import Simulator
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import TrainingResult, _start, train_all, train_object
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
def test_what_is_below_sam2_falls_back_to_its_rule(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained to be bad: the agent is SAM 2's rule, and nobody can take it for more."""
    true = Simulator.reward
    monkeypatch.setattr(Simulator, "reward", lambda self, state: -true(self, state))
    settings = dataclasses.replace(QUICK, iterations=1, samples=8, imitation=0.9)
    task = Task(workspace.folder, "clip", 1, settings=settings)
    result = train_object(task)
    assert (result.fallback, result.pointers, result.control) == (True, "recent", "memory")
    assert result.quality == pytest.approx(result.sam2_quality, abs=1e-4)
    agent = load_agent(result.own_file)
    assert agent.fell_back
    assert agent.plays_sam2()
    assert agent.record["steps"] == result.steps == sum(steps for steps, _ in read_curve(task.folder)[-1:])
    assert TrainingResult.from_json(result.as_json()) == result
    # As the user says otherwise, the bad agent is what it is.
    stored = dataclasses.replace(task, settings=dataclasses.replace(settings, pointers="stored", seed=1))
    bad = train_object(stored)
    assert (bad.fallback, bad.pointers) == (False, "stored")
    assert bad.quality < bad.sam2_quality
    old = {key: value for key, value in bad.as_json().items() if key not in ("control", "pointers", "fallback")}
    assert TrainingResult.from_json(old) == bad, "results of before say nothing of these"


def test_a_training_begins_under_the_better_pointers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(QUICK, iterations=1, samples=8, imitation=0.9)
    task = Task(workspace.folder, "clip", 1, settings=settings)
    simulators = [task.simulator(task.load_model(), task.clip(), pointers) for pointers in ("stored", "recent")]
    founds = [first_rollout(simulator, 1) for simulator in simulators]
    assert founds[0].quality != founds[1].quality, "this clip shows nothing"
    better = max(founds, key=lambda found: found.quality)
    result = train_object(task)
    assert result.pointers == ("stored", "recent")[founds.index(better)]
    assert result.best_rollout >= better.quality
    assert result.steps == sum(found.steps for found in founds) + 4 * simulators[0].decisions, (
        "two clonings, a rollout, the likeliest"
    )
    # It is not searched for again, and a folder of before there was a choice goes on as it began.
    monkeypatch.setattr("sam2rl_tracker.training.start.first_rollout", None)
    again = train_object(task)
    assert (again.quality, again.pointers, again.steps) == (result.quality, result.pointers, result.steps)
    (task.folder / "start.json").write_text("{")
    with pytest.raises(Sam2rlError, match=r"start\.json is damaged: delete"):
        train_object(task)
    (task.folder / "start.json").unlink()
    assert _start(task, simulators[0]) is None
    # Before the first iteration has ended, nothing tells whether the video and the settings are still those.
    monkeypatch.undo()
    (task.folder / "checkpoint.pt").unlink()
    (task.folder / "start.json").write_text(json.dumps({"pointers": "stored", "actions": [0], "quality": 2.0}))
    found = _start(task, simulators[0])
    assert found is not None
    assert found.actions == better.actions


@pytest.mark.slow
def test_an_agent_of_both_runs_in_the_toolkit_and_is_labelled(workspace: Workspace) -> None:
    settings = dataclasses.replace(QUICK, iterations=1, imitation=0.9, control="both")
    (result,) = trained(train_all([Task(workspace.folder, "clip", 1, settings=settings)]))
    (workspace.sequences / "list.txt").write_text("clip\n")
    assert evaluate(workspace.folder, ["SAM2", "SAM2RL"]) == []
    report = collect(workspace.folder)
    assert report.analysis.sequences["clip"]["SAM2RL"].quality == pytest.approx(result.quality, abs=1e-4)
    assert result.quality > result.sam2_quality
    assert report.controls == {"SAM2RL": "both"}
    assert (report.fallbacks["SAM2RL"].agents, report.fallbacks["SAM2RL"].fell_back) == (1, 0)
    console = Console(record=True, width=120)
    render(report, console)
    text = console.export_text()
    assert "SAM2RL (control=both) *" in text
    assert "no part of the paper's claim" in " ".join(text.split())


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


_ANOTHER_MACHINE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from quick import QUICK
from sam2rl_tracker.runs.tasks import work
from sam2rl_tracker.training.task import Task
folder, me, other = Path({folder!r}), {me!r}, {other!r}

def together(progress):
    (folder / f"{{me}}-{{progress.iteration}}").touch()
    # Who starts later goes on from the other's checkpoint: not every iteration is both's.
    while not any(int(path.name.split("-")[1]) >= progress.iteration for path in folder.glob(f"{{other}}-*")):
        time.sleep(0.01)

result = work(Task(folder, "clip", 1, settings=QUICK, rows=8), together)
print(result.quality, result.steps)
"""


@pytest.mark.slow
def test_two_machines_that_train_the_same_lose_nothing(workspace: Workspace) -> None:
    """Two processes stand in for machines. They train in one folder, an iteration at a time each, to the end."""
    alone = train_object(Task(workspace.folder, "clip", 1, settings=QUICK, rows=8))
    bits = alone.own_file.read_bytes()
    shutil.rmtree(alone.own_file.parent)
    started = []
    for me, other in (("one", "two"), ("two", "one")):
        code = _ANOTHER_MACHINE.format(
            tests=str(Path(__file__).parents[1]), folder=str(workspace.folder), me=me, other=other
        )
        variables = {**os.environ, "SLURMD_NODENAME": me}
        started.append(subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True))
    answers = [process.communicate(timeout=300)[0] for process in started]
    assert answers == [f"{alone.quality} {alone.steps}\n"] * 2
    task = Task(workspace.folder, "clip", 1, settings=QUICK, rows=8)
    assert json.loads(task.result.read_text())["made_by"]["machine"] in ("one", "two")
    (agent,) = task.folder.glob("*.safetensors")
    assert agent.read_bytes() == bits
    (again,) = train_all([task])  # it is done
    assert isinstance(again.result, TrainingResult)
    assert again.result.quality == alone.quality


def test_what_changes_a_training_makes_it_another_task(workspace: Workspace) -> None:
    task = Task(workspace.folder, "clip", 1, settings=QUICK)
    assert task == Task(workspace.folder, "clip", 1, settings=QUICK)
    assert digest_of(task) == digest_of(dataclasses.replace(task, device="cpu", rows=4))
    truth = workspace.sequences / "clip" / "groundtruth_1.txt"
    truth.write_text(truth.read_text() + "\n")
    assert digest_of(task) != digest_of(Task(workspace.folder, "clip", 1, settings=QUICK))
