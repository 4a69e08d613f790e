"""Tasks here and in processes: results, failures, deaths, and that nothing outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Here, Processes, process_pool, run_apart, run_in_order


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


def test_who_stops_looking_stops_the_processes() -> None:
    outcomes = Processes(2).run(work, ["a", "sleep"])
    assert next(outcomes).result == "A"
    assert multiprocessing.active_children()
    outcomes.close()  # type: ignore[attr-defined]  # as Ctrl-C does
    assert gone()


@pytest.mark.parametrize("jobs", [1, 2])
def test_in_order(jobs: int) -> None:
    assert list(run_in_order(work, ["b", "a", "c"], jobs)) == ["B", "A", "C"]
    with pytest.raises(Sam2rlError, match="It failed"):
        list(run_in_order(work, ["a", "fail"], jobs))


def test_a_pool_ends_what_is_under_way() -> None:
    def interrupted() -> None:
        with process_pool(1) as pool:
            assert pool.submit(work, "a").result() == "A"
            pool.submit(work, "sleep")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone()
    with pytest.raises(Sam2rlError, match=r"A worker died: .* Repeat the command"):
        run_apart(work, "die")
