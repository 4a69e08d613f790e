"""`--slurm` and what goes with it, where there is no cluster; the view of many tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run

from sam2rl_tracker.cli import cluster
from sam2rl_tracker.cli.cluster import TasksView


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slurm", "--jobs", 2), "--slurm and --jobs 2 both say where the work is done"),
        (("--chunk", 2), "--chunk is for a cluster's jobs: give --slurm too"),
        (("--slurm-set", "partition=gpu"), "--slurm-set is for a cluster's jobs"),
        (("--slurm",), "There is no Slurm here (sbatch is not found): run this on a cluster's login node"),
    ],
)
def test_options_that_do_not_fit(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (("train", "w"), ("search", "w"), ("model", "score", "--out", "scores"), ("benchmark", "b")):
        status, _, said = run(*command, *arguments)
        assert status == 2
        assert message in said
    assert not (tmp_path / "b").exists()


def test_scores_need_a_folder(run: Run) -> None:
    assert "--slurm needs --out FOLDER" in run("model", "score", "--slurm")[2]


def test_jobs_without_any(run: Run, tmp_path: Path) -> None:
    status, _, said = run("jobs", ".")
    assert (status, "Nothing was submitted for ." in said) == (0, True)
    assert "nowhere is no folder" in run("jobs", "nowhere")[2]


def test_one_line_over_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now[0])
    with TasksView(10, name=str.upper, status=lambda: "3 wait: Resources") as view:
        view.update(["a", "b"])
        assert view.text() == "done 0  running 2  waiting 8  failed 0  3 wait: Resources"
        view.stand("a", 0.5, 0.1)
        view.end("b", gain=0.25)
        view.end("c", failed=True)
        now[0] += 60
        view.update(["a"])
    # a quarter of the work in a minute
    assert view.text() == (
        "done 1  running 1  waiting 7  failed 1  0:03:00 left  best B +0.250, A +0.100  3 wait: Resources"
    )
