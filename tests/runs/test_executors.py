"""Tasks here and in processes: results, failures, deaths, and that nothing outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Devices, Here, Processes, result_of, run_apart


def work(task: str) -> str:
    """What tasks do, by their name."""
    if task == "fail":
        raise Sam2rlError("It failed.")
    if task == "die":
        os._exit(3)
    if task == "sleep":
        time.sleep(60)
    return "x" * 200_000 if task == "large" else task.upper()  # more than a pipe holds


def gone() -> bool:
    """Whether all child processes end within seconds."""
    children = multiprocessing.active_children()
    for child in children:
        child.join(10)
    return not any(child.is_alive() for child in children)


def test_here_a_failure_does_not_stop_the_others() -> None:
    first, second = Here().run(work, ["fail", "a"])
    assert str(first.result) == "It failed."
    assert (second.task, second.result) == ("a", "A")


def test_each_in_a_process_of_its_own() -> None:
    """One that fails or dies takes no other along."""
    seen: list[Sequence[str]] = []
    outcomes = Processes(2).run(work, ["die", "fail", "a", "large"], seen.append)
    results = {outcome.task: outcome.result for outcome in outcomes}
    assert isinstance(results["die"], Sam2rlError)
    assert "Its worker died (status 3)" in str(results["die"])
    assert str(results["fail"]) == "It failed."
    assert (results["a"], results["large"]) == ("A", "x" * 200_000)
    assert seen
    assert max(map(len, seen)) <= 2


def pid(task: str) -> int:
    """Of the worker; "die" ends it."""
    if task == "die":
        os._exit(3)
    return os.getpid()


def test_a_worker_takes_one_task_after_the_other_and_is_replaced_when_it_dies() -> None:
    outcomes = list(Processes(1).run(pid, ["a", "b", "die", "c", "d"]))
    assert [outcome.task for outcome in outcomes] == ["a", "b", "die", "c", "d"]
    first, second, died, third, fourth = (outcome.result for outcome in outcomes)
    assert first == second != third == fourth
    assert isinstance(died, Sam2rlError)
    assert gone()


@dataclass(frozen=True)
class Placed:
    """A task for a device."""

    name: str
    device: str = ""

    def on(self, device: str) -> Placed:
        return replace(self, device=device)


def place(task: Placed) -> tuple[str, int]:
    time.sleep(0.5)  # so that all are at work at once
    return task.device, os.getpid()


def test_tasks_are_spread_over_devices() -> None:
    """Two small ones at a time on each of two; what comes back is the task as it was given."""
    tasks = [Placed(str(k)) for k in range(12)]
    outcomes = list(Devices(["left", "right"], per_device=2).run(place, tasks))
    assert {outcome.task for outcome in outcomes} == set(tasks)
    places = [result_of(outcome) for outcome in outcomes]
    assert sorted(device for device, _ in set(places)) == ["left", "left", "right", "right"]  # four workers


def test_workers_are_a_task_ahead_of_the_caller() -> None:
    asked: list[str] = []

    def tasks() -> Iterator[str]:
        for name in ("a", "b", "c"):
            asked.append(name)
            yield name

    outcomes = Processes(1).run(work, tasks())
    assert next(outcomes).result == "A"
    assert asked == ["a", "b"]
    outcomes.close()
    assert gone()


def test_who_stops_looking_stops_the_processes() -> None:
    outcomes = Processes(2).run(work, ["a", "sleep"])
    assert next(outcomes).result == "A"
    assert multiprocessing.active_children()
    outcomes.close()  # as Ctrl-C does
    assert gone()


def test_apart() -> None:
    assert run_apart(work, "a") == "A"
    with pytest.raises(Sam2rlError, match=r"Its worker died \(status 3\)"):
        run_apart(work, "die")
    assert gone()
