"""Tasks as files: JSON and back, results that are there, and two machines with the same task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sam2rl_tracker.engine import Arithmetic
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs import tasks as module
from sam2rl_tracker.runs.executors import HERE, Processes
from sam2rl_tracker.runs.tasks import (
    Kind,
    TaskFile,
    digest_of,
    read_result,
    run_tasks,
    state_of,
    task_file,
    work,
)
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.training.task import Task


@dataclass(frozen=True)
class Square:
    """A task of the tests."""

    folder: Path
    number: int
    device: str | None = None
    extra: tuple[str, ...] = ()
    beside: Path | None = None

    kind: ClassVar[str] = "square"

    @property
    def result(self) -> Path:
        return self.folder / "squares" / f"{self.number}.json"

    def on(self, device: str) -> Square:
        return replace(self, device=device)


@dataclass(frozen=True)
class Squared:
    """Its result."""

    value: int
    device: str | None

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "device": self.device}


def square(task: Square) -> Squared:
    with (task.folder / "log").open("a") as log:
        log.write(f"{task.number}\n")
    if task.number < 0:
        raise Sam2rlError("It is below 0.")
    return Squared(task.number**2, task.device)


def read(task: Square, content: Mapping[str, Any]) -> Squared | None:
    gone = task.beside is not None and not task.beside.exists()
    return None if gone else Squared(content["value"], content["device"])


SQUARE = Kind(Square, square, read)


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._KINDS, "square", f"{__name__}:SQUARE")


def worked_on(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


def test_a_result_that_is_there_is_the_task_done(tmp_path: Path) -> None:
    tasks = [Square(tmp_path, number) for number in (2, -1, 3)]
    outcomes = {outcome.task.number: outcome.result for outcome in run_tasks(HERE, tasks)}
    assert (outcomes[2], outcomes[3]) == (Squared(4, None), Squared(9, None))
    assert str(outcomes[-1]) == "It is below 0."
    assert worked_on(tmp_path) == ["2", "-1", "3"]
    content = json.loads(tasks[0].result.read_text())
    assert content["made_by"].keys() == {"machine", "version"}
    assert read_result(tasks[0]) == Squared(4, None)
    assert read_result(tasks[1]) is None

    (again,) = run_tasks(HERE, [replace(tasks[0], device="cuda:1")])  # where it is worked on does not matter
    assert again.result == Squared(4, None)
    assert worked_on(tmp_path) == ["2", "-1", "3"]


def test_a_result_that_is_no_good_is_replaced(tmp_path: Path) -> None:
    """Of another task, damaged, or without what belongs to it."""
    task = Square(tmp_path, 2, beside=tmp_path / "beside")
    (tmp_path / "beside").touch()
    work(replace(task, extra=("other",)))
    assert read_result(task) is None
    assert work(task) == Squared(4, None)
    task.result.write_text('{"value": ')
    assert read_result(task) is None
    assert work(task) == Squared(4, None)
    (tmp_path / "beside").unlink()
    assert read_result(task) is None
    assert worked_on(tmp_path) == ["2"] * 3
    with pytest.raises(Sam2rlError, match=r"2\.json was taken away while its task was worked on: repeat"):
        work(task)


def test_tasks_go_through_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    square = Square(Path("."), 3, extra=("a", "b"))
    training = Task(Path("work"), "clip", 2, "nano", "cpu", Settings(seed=5, learning_rate=1e-3 / 3))
    for task in (square, training):
        file = TaskFile.from_json(json.loads(json.dumps(task_file(task).as_json())))
        assert file == task_file(task)
        loaded = file.load()
        assert type(loaded) is type(task)
        assert task_file(loaded) == file
        assert digest_of(loaded) == digest_of(task) == file.digest
        assert file.result == task.result.absolute()
    assert loaded == replace(training, workspace=tmp_path / "work")
    assert work(task_file(square).on("cpu")) == Squared(9, "cpu")
    assert read_result(square) == Squared(9, "cpu")


def test_a_task_is_what_it_was_before_there_was_a_choice_of_arithmetic(tmp_path: Path) -> None:
    training = Task(tmp_path, "clip", 1)
    fields = task_file(training).as_json()["fields"]
    del fields["arithmetic"]
    before = TaskFile("train", json.dumps(fields), training.result, "0").load()
    assert before == training
    coarse = replace(training, arithmetic=Arithmetic("bfloat16"))
    assert task_file(coarse).load() == coarse
    compiled = replace(training, arithmetic=Arithmetic(compile=True))
    assert len({digest_of(task) for task in (training, coarse, compiled)}) == 3
    assert "arithmetic" not in module._what(asdict(training))  # so that digests are what they were


def test_files_name_no_other_code() -> None:
    with pytest.raises(Sam2rlError, match=r"Tasks of kind 'os:system' are unknown to sam2rl_tracker .*: install"):
        TaskFile("os:system", "{}", Path("x"), "0").load()
    with pytest.raises(Sam2rlError, match=r"A task of kind square cannot be read by .* \(colour is not known\)"):
        TaskFile("square", '{"folder": "a", "number": 1, "colour": 2}', Path("x"), "0").load()


def test_the_state_of_files(tmp_path: Path) -> None:
    (tmp_path / "color").mkdir()
    image = tmp_path / "color" / "1.png"
    image.write_text("one")
    before = state_of(tmp_path)
    (tmp_path / ".hidden").touch()
    assert state_of(tmp_path) == before
    image.write_text("other")
    assert state_of(tmp_path) != before
    assert state_of(tmp_path / "none") == state_of()


_AT_ONCE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from runs import test_tasks
from sam2rl_tracker.runs import tasks
tasks._KINDS["square"] = "runs.test_tasks:SQUARE"
folder, me, other = Path({folder!r}), {me!r}, {other!r}
task = test_tasks.Square(folder, 7, device=me)
work = test_tasks.square
def together(task):
    (folder / me).touch()
    while not (folder / other).exists():
        time.sleep(0.01)
    return work(task)
tasks.find_kind = lambda name: tasks.Kind(test_tasks.Square, together, test_tasks.read)
print(tasks.work(task).device)
"""


def test_two_machines_with_the_same_task_go_on_with_the_result_that_was_there_first(tmp_path: Path) -> None:
    """Two processes stand in for machines. Both work on it to the end."""
    started = []
    for me, other in (("one", "two"), ("two", "one")):
        code = _AT_ONCE.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path), me=me, other=other)
        variables = {**os.environ, "SLURMD_NODENAME": me}
        started.append(subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True))
    answers = {process.communicate()[0].strip() for process in started}
    assert worked_on(tmp_path) == ["7", "7"]
    content = json.loads((tmp_path / "squares" / "7.json").read_text())
    assert answers == {content["device"]}
    assert content["made_by"]["machine"] == content["device"]
    assert [path.name for path in (tmp_path / "squares").iterdir()] == ["7.json"]


def test_in_processes_results_are_read_from_files(tmp_path: Path) -> None:
    """With a real kind, whose work fails: it is known where workers look."""
    task = Task(tmp_path, "clip", 1, device="cpu")
    (outcome,) = run_tasks(Processes(1), [task])
    assert outcome.task == task
    assert isinstance(outcome.result, Sam2rlError)
    assert str(tmp_path) in str(outcome.result)
