"""Work on a real Slurm: what comes of it, and what does not get lost when nodes, jobs and the controller end.

Each test keeps both nodes busy, as all of them together take long. One cluster serves them all.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from commands import Run, commands
from slurm_cluster import Cluster, cluster, wait_for  # noqa: F401  # a fixture
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from sam2rl_tracker.runs.slurm import executor
from sam2rl_tracker.runs.slurm.records import Report, read_report, read_submissions
from sam2rl_tracker.training.progress import read_training

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]  # there is one Slurm, and its ports are fixed

# One training each: `pointers=auto` may train twice.
QUICK = ("--set", "hidden=16", "--set", "beam=1", "--set", "imitation=0", "--set", "pointers=stored")
SMALL = (*QUICK, "--samples", 16)
STARTED: list[subprocess.Popen[str]] = []
IMPATIENT = (  # `sam2rl`, that asks Slurm often, and that Ctrl-C reaches: a shell may have it ignored
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from sam2rl_tracker.cli.main import main; from sam2rl_tracker.runs.slurm import executor; executor.QUEUE = {}; "
    "main()"
)


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
    while STARTED:  # a test that failed leaves nothing to the next
        STARTED.pop().kill()
    cluster.empty()


def started(*arguments: object, queue: float = 1) -> subprocess.Popen[str]:
    """`sam2rl ARGUMENTS` as a process of its own, that asks Slurm every `queue` seconds."""
    command = [sys.executable, "-c", IMPATIENT.format(queue), *map(str, arguments)]
    STARTED.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return STARTED[-1]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """What a started command ended with: (exit status, stdout, stderr in one line)."""
    out, said = process.communicate(timeout=900)
    return process.returncode, out, " ".join(said.split())


def reports(workspace: Path) -> dict[int, Report]:
    """{job: its report} of a workspace's one submission, of the jobs that have begun."""
    submissions = read_submissions(workspace)
    found = {index: read_report(one.folder, index) for one in submissions for index in range(one.jobs)}
    return {index: report for index, report in found.items() if report is not None}


def iteration(training: Path) -> int:
    progress = read_training(training)
    return progress.iteration if progress else 0


def saved_iteration(training: Path) -> int:
    """Up to which a training can go on; 0 = it begins."""
    file = training / "checkpoint.pt"
    return int(torch.load(file, weights_only=True)["progress"]["iteration"]) if file.exists() else 0


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
    status, _, said = ended(attached)
    assert "Detached: the jobs go on." in said
    assert status != 0

    victim, processes = training_in_the_middle(cluster, "n1")
    cluster.kill_node("n1", processes)
    reached = saved_iteration(victim)
    cluster.stop_controller()
    assert "Slurm does not answer" in run("jobs", "w")[2]
    cluster.start_controller()
    cluster.start_node("n1")
    cluster.start_requeued()

    status, out, said = run(*command)
    assert status == 0, said
    assert [one.folder.name for one in read_submissions(Path("w"))] == ["0001"]  # attached, not submitted again
    assert {report.node for report in reports(Path("w")).values()} == {"n1", "n2"}
    assert len(json.loads(out)["agents"]) == 12
    assert ended(alone)[0] == 0
    assert len(list(Path("alone/training").glob("*/*.safetensors"))) == 12
    for file in Path("alone/training").glob("*/*.safetensors"):
        assert file.read_bytes() == Path("w", *file.parts[1:]).read_bytes()

    begun = sorted(victim.glob("events.*"), key=os.path.getmtime)
    again = [event.step for event in EventFileLoader(str(begun[-1])).Load() if event.step]
    assert len(begun) == 2
    assert set(again) == set(range(reached + 1, 3))  # nothing that had ended was trained again


def training_in_the_middle(cluster: Cluster, node: str) -> tuple[Path, list[psutil.Process]]:  # noqa: F811
    """Wait for a node to be between a training's first iteration and its end; also all that runs on the node."""
    (submission,) = read_submissions(Path("w"))
    found: list[Path] = []

    def look() -> bool:
        for index, report in reports(Path("w")).items():
            tasks = json.loads((submission.folder / f"tasks-{index}.json").read_text())["tasks"]
            running = [Path(tasks[number]["result"]) for number in report.running if report.node == node]
            found[:] = [file.parent for file in running if not file.exists() and iteration(file.parent) == 1]
            if found:
                return True
        return False

    wait_for(look)
    processes = cluster.processes_of(node)
    wait_for(look)  # the first one may have ended meanwhile
    return found[0], processes


def test_preempted_cancelled_and_submitted_again(run: Run, cluster: Cluster) -> None:  # noqa: F811
    folder = small_workspace(run, "w").resolve() / "training" / "scene-00002_1_seed0"
    # A job that is queued again is away for some seconds, and one that is away twice counts as ended.
    attached = started("train", "w", *SMALL, "--iterations", 5000, "--slurm", queue=6)
    wait_for(lambda: iteration(folder) > 2)
    (job,) = [job for job, state in cluster.states().items() if state == "RUNNING"]
    cluster.ask("scancel", "--signal=USR2", job)  # as before preemption, and before time is out
    wait_for(lambda: cluster.states()[job] == "PENDING")
    before = iteration(folder)
    cluster.start_requeued()
    wait_for(lambda: iteration(folder) > before)
    # Slurm may lose a job that is queued again while its last step ends: another one then does its tasks.
    submitted = json.loads(run("jobs", "w", "--json")[1])["submissions"]
    assert len(submitted) <= 2
    assert (submitted[-1]["running"], submitted[-1]["waiting"], submitted[-1]["failed"]) == (1, 0, [])
    assert "1 jobs are ended" in run("jobs", "w", "--cancel")[2]
    wait_for(lambda: not {"RUNNING", "PENDING", "COMPLETING"} & set(cluster.states().values()))
    assert "FAILED scene-00002, object 1, seed 0: Its job was cancelled: repeat the command" in ended(attached)[2]
    reached = iteration(folder)
    assert reached > before
    status, out, said = run("train", "w", *SMALL, "--iterations", reached + 1, "--slurm", "--json")
    assert status == 0, said
    assert json.loads(out)["agents"][0]["steps"] == (reached + 1) * (16 + 4)  # rollouts, and the greedy policy's


def test_what_fails_is_told(run: Run, cluster: Cluster, tmp_path: Path) -> None:  # noqa: F811
    """A task that always fails, beside good ones; a full disk, no workspace and another version.

    Those three are stand-ins, as both nodes are this machine.
    """
    small_workspace(run, "broken", 3)
    min(Path("broken/sequences/scene-00002/color").iterdir()).write_bytes(b"broken")
    broken = started("train", "broken", *SMALL, "--iterations", 1, *slurm_on("n1"), "--chunk", 3, "--json")

    full, unseen, other = (small_workspace(run, name) for name in ("full", "unseen", "other"))
    (full / "training").mkdir()
    cluster.start_node("n2", {full.resolve() / "training": "size=8k", unseen.resolve(): "size=8k"})
    old = tmp_path / "old" / "sam2rl_tracker"
    shutil.copytree(Path(executor.__file__).parents[2], old, ignore=shutil.ignore_patterns("__pycache__"))
    (old / "version.py").write_text('__version__ = "0.0.9"\n')
    try:
        for folder, more, expected in (
            (full, (), "(No space left on device): free some space or give a path you may write to. It was tried 3"),
            (unseen, (), "Its job ended on n2 without a sign: do the nodes see"),
            (other, ("--slurm-set", f"setup=export PYTHONPATH={old.parent}"), "Node n2 has sam2rl_tracker 0.0.9, and"),
        ):
            status, out, said = run("train", folder, *SMALL, "--iterations", 1, *slurm_on("n2"), *more, "--json")
            assert status == 1, said
            (failure,) = json.loads(out)["failures"]
            assert expected in failure["error"]
            assert failure["error"].count("\n") == 0
    finally:
        cluster.start_node("n2")
    assert run("train", "full", *SMALL, "--iterations", 1, "--slurm")[0] == 0  # nothing was lost

    status, out, _ = ended(broken)
    assert status == 1
    assert [agent["sequence"] for agent in json.loads(out)["agents"]] == ["scene-00003", "scene-00004"]
    (failure,) = json.loads(out)["failures"]
    assert failure["sequence"] == "scene-00002"
    assert "is not an image" in failure["error"]
    assert "It was tried 3 times, on n1" in failure["error"]
    (submitted,) = json.loads(run("jobs", "broken", "--json")[1])["submissions"]
    assert (submitted["done"], submitted["waiting"], submitted["left"]) == (2, 0, 0)
    assert submitted["failed"][0]["attempts"] == 3


def slurm_on(node: str) -> tuple[str, ...]:
    return ("--slurm", "--slurm-set", f"nodelist={node}")


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


def test_search_and_evaluation_are_those_of_one_process(run: Run) -> None:
    small_workspace(run, "w", 2)
    shutil.copytree("w", "alone")
    searching = ("--budget", 30, "--width", 2, "--json")
    evaluation = started("evaluate", "w", "SAM2", *slurm_on("n1"), "--chunk", 2, "--json")
    status, out, said = run("search", "w", *searching, *slurm_on("n2"), "--chunk", 2)
    assert status == 0, said
    here = json.loads(run("search", "alone", *searching)[1])
    assert [timeless(one) for one in json.loads(out)["sequences"]] == [timeless(one) for one in here["sequences"]]
    assert run("evaluate", "alone", "SAM2")[0] == 0
    status, out, said = ended(evaluation)
    assert status == 0, said
    assert json.loads(out)["trackers"] == {"SAM2": {"complete": 2, "sequences": 2}}
    masks = sorted(path.relative_to("alone") for path in Path("alone/results").rglob("*.bin"))
    assert len(masks) == 2
    for mask in masks:
        assert Path("w", mask).read_bytes() == Path("alone", mask).read_bytes()


def timeless(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "seconds"}
