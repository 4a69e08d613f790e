"""`vot evaluate` in shares: the results of the serial one, whoever fails or is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import Evaluated, scripted_frames

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Here, Processes
from sam2rl_tracker.runs.shards import Shard
from sam2rl_tracker.runs.tasks import read_result, task_file
from sam2rl_tracker.vot import shares as module
from sam2rl_tracker.vot.analysis import analyse
from sam2rl_tracker.vot.shares import Share, ShareResult, Tally, evaluate_shares, plan_shares
from sam2rl_tracker.vot.stand_in import EVALUATION
from sam2rl_tracker.vot.workspace import Workspace, create

PATHS = Path(__file__).parent
NAMES = ["a", "b", "c"]


def register(workspace: Workspace, name: str, mode: str) -> None:
    with (workspace.folder / "trackers.ini").open("a") as file:
        command = f"import scripted_tracker; scripted_tracker.main('{mode}')"
        file.write(f"\n[{name}]\nprotocol = traxpython\ncommand = {command}\npaths = {PATHS}\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = create(tmp_path / "W")
    for name in NAMES:
        workspace.add(name, scripted_frames(4, {1: (0, range(0))}))
    register(workspace, "Slow", "slow")
    return workspace


def results(workspace: Workspace, trackers: tuple[str, ...]) -> dict[str, bytes]:
    """{file: content} of all results, without the times."""
    folder = workspace.folder / "results"
    files = [file for name in trackers for file in (folder / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if not file.stem.endswith("_time")}


def write(share: Share, length: int = 4) -> ShareResult:
    """Results of a share, in place of the toolkit."""
    for name in share.sequences:
        folder = share.workspace / "results" / share.tracker / "baseline" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}_001.txt").write_text("1\n" * length)
        (folder / f"{name}_001_time.value").write_text("0.5\n" * length)
    return ShareResult(share.tracker, len(share.sequences), 0.5, 0)


# ---------------------------------------------------------------- the real toolkit


def test_results_are_those_of_the_serial_evaluation(evaluated: Evaluated, tmp_path: Path) -> None:
    """One object and several; a tracker that fails takes no other along, and says why."""
    serial = evaluated.workspace
    workspace = create(tmp_path / "shared out")
    for name in serial.names():
        (workspace.sequences / name).symlink_to(serial.sequences / name)
        workspace.enter(name)
    (workspace.folder / "trackers.ini").write_text((serial.folder / "trackers.ini").read_text())
    shares = plan_shares(workspace, ["SAM2", "Mixed", "Refuses"])
    outcomes = list(evaluate_shares(shares, Processes(2), Tally(workspace)))
    failed = [(one.task, str(one.result)) for one in outcomes if isinstance(one.result, Sam2rlError)]
    assert {share for share, _ in failed} == set(shares[4:])
    assert all("Unable to connect" in text for _, text in failed)
    complete = ("SAM2", "Mixed")
    assert results(workspace, complete) == results(serial, complete)
    left = [path for path in (workspace.folder / EVALUATION).rglob("*") if path.is_file()]
    assert set(left) == {share.result for share in shares[:4]}
    assert analyse(workspace.folder, complete) == analyse(serial.folder, complete)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(workspace: Workspace) -> None:
    """Nobody goes on in its place, and what it had finished is neither lost nor done again."""
    command = [sys.executable, "-m", "sam2rl_tracker", "evaluate", str(workspace.folder), "Slow"]
    command += ["--sequences-per-task", "3"]
    place = workspace.folder / "results" / "Slow" / "baseline"
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not list(place.rglob("*.bin")):
            assert run.poll() is None
            time.sleep(0.1)
        family = psutil.Process(run.pid).children(recursive=True)
        assert any("vot" in one.cmdline() for one in family)
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert not alive
    finished = {path.name: path.stat().st_mtime_ns for path in place.rglob("*.bin")}
    assert 0 < len(finished) < len(NAMES)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert {path.name for path in place.rglob("*.bin")} == {f"{name}_001.bin" for name in NAMES}
    assert finished.items() <= {path.name: path.stat().st_mtime_ns for path in place.rglob("*.bin")}.items()
    assert not list((workspace.folder / EVALUATION / "Slow").glob(".*"))


# ---------------------------------------------------------------- what is to be done


def test_shares_are_the_same_whatever_is_done_and_shards_have_all(workspace: Workspace) -> None:
    shares = plan_shares(workspace, ["SAM2", "Slow"], 2)
    assert [one.sequences for one in shares[:2]] == [("a", "b"), ("c",)]
    assert len({one.result for one in shares}) == len(shares) == 4
    write(shares[1])
    assert plan_shares(workspace, ["SAM2", "Slow", "SAM2"], 2) == shares
    assert {one for k in (1, 2, 3) for one in Shard(k, 3).of(shares)} == set(shares)
    assert [one.sequences for one in plan_shares(workspace, ["SAM2"])] == [(name,) for name in NAMES]


def test_a_tracker_has_at_most_1000_shares(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "names", lambda self: [f"s{k}" for k in range(50_000)])
    shares = plan_shares(workspace, ["SAM2"])
    assert len(shares) == 1000
    assert {len(one.sequences) for one in shares} == {50}


def test_only_what_lacks_results_is_evaluated(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what has a record, but whose results somebody deleted or that are short."""
    done = list[Share]()
    shares = plan_shares(workspace, ["SAM2"])
    write(shares[0])  # as by `vot evaluate`: there is no record
    write(shares[1], length=3)

    def do(share: Share) -> ShareResult:
        done.append(share)
        return write(share)

    monkeypatch.setattr("sam2rl_tracker.runs.tasks.find_kind", lambda name: module.Kind(Share, do, module._read))
    list(evaluate_shares(shares, Here(), Tally(workspace)))
    assert done == shares[1:]
    assert None not in map(read_result, shares[1:])
    (workspace.folder / "results" / "SAM2" / "baseline" / "c" / "c_001.txt").unlink()
    assert read_result(shares[2]) is None
    list(evaluate_shares(shares, Here(), Tally(workspace)))
    assert done[2:] == [shares[2]]


def test_a_share_is_a_task_that_may_leave_this_machine(workspace: Workspace) -> None:
    share = plan_shares(workspace, ["SAM2"], 2, model="nano", device="cpu", agents=str(workspace.folder))[0]
    file = task_file(share)
    assert file.load() == share
    assert file.on("cuda:1").load().environment["SAM2RL_DEVICE"] == "cuda:1"
    assert file.result == share.result
    assert (share.environment["SAM2RL_DTYPE"], share.environment["SAM2RL_COMPILE"]) == ("float32", "0")
    (other, *_) = plan_shares(workspace, ["SAM2"], 2, dtype="bfloat16", compile=True)
    assert (other.environment["SAM2RL_DTYPE"], other.environment["SAM2RL_COMPILE"]) == ("bfloat16", "1")


def test_a_relative_model_folder_is_seen_from_anywhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.folder.parent)
    (share, *_) = plan_shares(workspace, ["SAM2"], model="W", agents="W/sequences")
    assert share.model == str(workspace.folder)
    assert share.agents == str(workspace.sequences)
