"""What a job does with its tasks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2rl_tracker.runs.slurm import node
from sam2rl_tracker.runs.slurm.node import NodeWork, work_on
from sam2rl_tracker.runs.slurm.records import Chunk, Report, begin_submission, read_report, write_report
from sam2rl_tracker.runs.tasks import TaskFile, made_by


@pytest.fixture(autouse=True)
def fixture_signals() -> Iterator[None]:
    """What a job does about SIGTERM, in the end this process does not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a submission of two tasks, whose kind nobody knows: they fail."""
    tasks = [TaskFile("nothing", "{}", tmp_path / f"{k}.json", "digest") for k in range(2)]
    return begin_submission(tmp_path, "sam2rl-x", [Chunk(tasks, made_by()["version"])]).folder


def test_what_fails_is_tried_again(folder: Path) -> None:
    work_on(folder, 0)
    report = read_report(folder, 0)
    assert report is not None
    assert [(failure.attempts, failure.final) for failure in report.failures.values()] == [(3, True)] * 2
    assert "Tasks of kind 'nothing' are unknown" in report.failures[0].error
    assert not report.running
    work_on(folder, 0)  # queued again, for whatever reason
    assert read_report(folder, 0) == report


def test_another_version_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "tasks-0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "9.9"}))
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    work_on(folder, 0)
    report = read_report(folder, 0)
    assert report is not None
    ours = made_by()["version"]
    assert report.failed[1].error == (
        f"Node n7 has sam2rl_tracker {ours}, and the tasks are of 9.9: install the same version there and here, and "
        "repeat the command."
    )


def test_a_job_that_is_ended_is_queued_as_it_was(folder: Path) -> None:
    pytest.importorskip("submitit")
    again = NodeWork().checkpoint(str(folder), 0)
    os.kill(os.getpid(), signal.SIGTERM)  # Slurm's, as the job is queued again: submitit is not to be disturbed
    assert isinstance(again.function, NodeWork)
    assert again.args == (str(folder), 0)


def test_who_is_to_end_waits_only_while_there_is_something_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(node.time, "sleep", waited.append)
    monkeypatch.setattr(node, "_GRACE", 0.05)
    monkeypatch.setattr(node, "work_on", end)
    for done, waits in ((frozenset({0}), True), (frozenset({0, 1}), False)):
        waited.clear()
        write_report(folder, 0, Report("n1", done))
        with pytest.raises(SystemExit):
            NodeWork()(str(folder), 0)
        assert bool(waited) is waits


def end(folder: Path, index: int) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
