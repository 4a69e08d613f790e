"""Trainings on a real Slurm: what comes of them, and what does not get lost when nodes, jobs and the controller end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run, commands
from slurm_cluster import Cluster, cluster, wait_for  # noqa: F401  # a fixture
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from sam2rl_tracker.runs.slurm import executor
from sam2rl_tracker.runs.slurm.records import Report, read_report, read_submissions
from sam2rl_tracker.training.progress import read_training

pytestmark = pytest.mark.slow

# One training each: `pointers=auto` may train twice.
QUICK = ("--set", "hidden=16", "--set", "beam=1", "--set", "imitation=0", "--set", "pointers=stored")
STARTED: list[subprocess.Popen[str]] = []
SMALL = (*QUICK, "--samples", 16)


@pytest.fixture(name="run")
def fixture_run(
    cluster: Cluster,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executor, "QUEUE", 1.0)
    yield commands(monkeypatch, capsys)
    cluster.empty()  # a test that failed leaves nothing to the next
    for process in STARTED:
        process.kill()


def started(*arguments: object) -> subprocess.Popen[str]:
    """`sam2rl ARGUMENTS` as a process of its own."""
    command = [sys.executable, "-m", "sam2rl_tracker", *map(str, arguments)]
    STARTED.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return STARTED[-1]


def reports(workspace: Path) -> list[Report]:
    """Of all jobs of a workspace that have begun."""
    found = [read_report(one.folder, index) for one in read_submissions(workspace) for index in range(one.jobs)]
    return [report for report in found if report is not None]


def iteration(training: Path) -> int:
    progress = read_training(training)
    return progress.iteration if progress else 0


def small_workspace(run: Run, name: str, count: int = 1) -> Path:
    assert run("workspace", "generate", name, "--count", count, "--frames", 6, "--size", 64, "--seed", 2)[0] == 0
    return Path(name)


def test_twelve_trainings_are_those_of_one_process(run: Run, cluster: Cluster) -> None:  # noqa: F811
    """Over two nodes, of which one dies in the middle; the command is left, and the controller starts again."""
    assert run("workspace", "generate", "w", "--count", 3, "--frames", 30, "--seed", 42)[0] == 0
    shutil.copytree("w", "alone")
    training = [*QUICK, "--iterations", 2, "--samples", 256, "--set", "batch_size=64"]
    training += [word for seed in range(4) for word in ("--seed", seed)]
    alone = started("train", "alone", *training, "--jobs", 1, "--json")
    command = ("train", "w", *training, "--slurm", "--chunk", 6, "--json")

    attached = started(*command)
    wait_for(lambda: len(reports(Path("w"))) == 2)
    attached.send_signal(signal.SIGINT)
    assert "Detached: the jobs go on." in attached.communicate(timeout=300)[1]
    assert attached.returncode != 0

    def on_first_node() -> list[Path]:
        """Trainings that have come far enough there."""
        (submission,) = read_submissions(Path("w"))
        (report,) = [report for report in reports(Path("w")) if report.node == "n1"]
        chunk = json.loads((submission.folder / "tasks-0.json").read_text())["tasks"]
        folders = [Path(chunk[number]["result"]).parent for number in report.running]
        return [folder for folder in folders if iteration(folder) == 1]

    wait_for(lambda: len(on_first_node()) == 1)
    (victim,) = on_first_node()
    cluster.kill_node("n1")
    reached = iteration(victim)
    cluster.stop_controller()
    assert "Slurm does not answer" in run("jobs", "w")[2]
    cluster.start_controller()
    cluster.start_node("n1")
    cluster.start_requeued()

    status, out, said = run(*command)
    assert status == 0, said
    assert [one.folder.name for one in read_submissions(Path("w"))] == ["0001"]  # attached, not submitted again
    assert {report.node for report in reports(Path("w"))} == {"n1", "n2"}
    agents = json.loads(out)["agents"]
    assert len(agents) == 12
    assert alone.wait(timeout=900) == 0, alone.communicate()
    assert len(list(Path("alone/training").glob("*/*.safetensors"))) == 12
    for file in Path("alone/training").glob("*/*.safetensors"):
        assert file.read_bytes() == Path("w", *file.parts[1:]).read_bytes()

    begun = sorted(victim.glob("events.*"), key=os.path.getmtime)
    again = [event.step for event in EventFileLoader(str(begun[-1])).Load() if event.step]
    assert len(begun) == 2
    assert min(again) == reached + 1  # nothing that had ended was trained again


def test_preempted_cancelled_and_submitted_again(run: Run, cluster: Cluster) -> None:  # noqa: F811
    folder = small_workspace(run, "w").resolve() / "training" / "scene-00002_1_seed0"
    attached = started("train", "w", *SMALL, "--iterations", 5000, "--slurm")
    wait_for(lambda: iteration(folder) > 2)
    (job,) = [job for job, state in cluster.states().items() if state == "RUNNING"]
    cluster.ask("scancel", "--signal=USR2", job)  # as before preemption, and before time is out
    wait_for(lambda: cluster.states()[job] == "PENDING")
    before = iteration(folder)
    cluster.start_requeued()
    wait_for(lambda: iteration(folder) > before)
    (submitted,) = json.loads(run("jobs", "w", "--json")[1])["submissions"]
    assert (submitted["running"], submitted["waiting"], submitted["failed"]) == (1, 0, [])
    assert "1 jobs are ended" in run("jobs", "w", "--cancel")[2]
    wait_for(lambda: cluster.states()[job] == "CANCELLED")
    assert "FAILED scene-00002, object 1, seed 0: Its job was cancelled: repeat the command" in " ".join(
        attached.communicate(timeout=300)[1].split()
    )
    reached = iteration(folder)
    assert reached > before
    status, out, said = run("train", "w", *SMALL, "--iterations", reached + 1, "--slurm", "--json")
    assert status == 0, said
    assert json.loads(out)["agents"][0]["steps"] == (reached + 1) * (16 + 4)  # rollouts, and the greedy policy's


def test_a_task_that_always_fails_does_not_hold_back_the_others(run: Run) -> None:
    small_workspace(run, "w", 3)
    min(Path("w/sequences/scene-00002/color").iterdir()).write_bytes(b"broken")
    status, out, _ = run("train", "w", *SMALL, "--iterations", 1, "--slurm", "--chunk", 3, "--json")
    assert status == 1
    assert [agent["sequence"] for agent in json.loads(out)["agents"]] == ["scene-00003", "scene-00004"]
    (failure,) = json.loads(out)["failures"]
    assert failure["sequence"] == "scene-00002"
    assert "is not an image" in failure["error"]
    assert "It was tried 3 times, on n" in failure["error"]
    (submitted,) = json.loads(run("jobs", "w", "--json")[1])["submissions"]
    assert (submitted["done"], submitted["waiting"], submitted["left"]) == (2, 0, 0)
    assert submitted["failed"][0]["attempts"] == 3


def test_a_node_that_is_not_as_it_should_be(run: Run, cluster: Cluster, tmp_path: Path) -> None:  # noqa: F811
    """A full disk, no workspace, another version: stand-ins, as both nodes are this machine."""
    full, unseen, other = (small_workspace(run, name) for name in ("full", "unseen", "other"))
    (full / "training").mkdir()
    cluster.start_node("n2", {full.resolve() / "training": "size=8k", unseen.resolve(): "size=8k"})
    old = tmp_path / "old" / "sam2rl_tracker"
    shutil.copytree(Path(executor.__file__).parents[2], old, ignore=shutil.ignore_patterns("__pycache__"))
    text = (old / "__init__.py").read_text()
    (old / "__init__.py").write_text(text.replace("__version__ = ", '__version__ = "0.0.9"  # '))
    try:
        for folder, more, expected in (
            (full, (), "(No space left on device): free some space or give a path you may write to. It was tried 3"),
            (unseen, (), "Its job ended on n2 without a sign: do the nodes see"),
            (other, ("--slurm-set", f"setup=export PYTHONPATH={old.parent}"), "Node n2 has sam2rl_tracker 0.0.9, and"),
        ):
            chosen = ("--slurm", "--slurm-set", "nodelist=n2", *more)
            status, out, said = run("train", folder, *SMALL, "--iterations", 1, *chosen, "--json")
            assert status == 1, said
            (failure,) = json.loads(out)["failures"]
            assert expected in failure["error"]
            assert failure["error"].count("\n") == 0
    finally:
        cluster.start_node("n2")
    assert run("train", "full", *SMALL, "--iterations", 1, "--slurm")[0] == 0  # nothing was lost


def test_what_slurm_refuses(run: Run) -> None:
    small_workspace(run, "w", 2)
    command = ("train", "w", *SMALL, "--slurm", *(word for seed in range(501) for word in ("--seed", seed)))
    status, _, said = run(*command)
    assert status == 2
    assert "1002 jobs are more than an array may have on this cluster, 1001: give --chunk 2 or more" in said
    status, _, said = run("train", "w", *SMALL, "--slurm", "--slurm-set", "partition=gpu")
    assert status == 2
    assert "invalid partition specified: gpu: change --slurm-set (there are main)" in said
    assert not read_submissions(Path("w"))
