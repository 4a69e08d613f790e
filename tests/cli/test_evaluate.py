"""`sam2rl evaluate`, and `--shard` of the commands that have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot import shares
from sam2rl_tracker.vot.shares import Kind, Share, ShareResult


@pytest.fixture(name="toolkit")
def fixture_toolkit(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A workspace `w` of three sequences, and a stand-in of the toolkit; the sequences that it evaluated."""
    assert run("workspace", "generate", "w", "--count", 3, "--frames", 4, "--size", 64, "--seed", 2)[0] == 0
    evaluated = list[str]()

    def evaluate(share: Share) -> ShareResult:
        for name in share.sequences:
            if name == "scene-00004" and share.tracker == "DAM4SAM":
                raise Sam2rlError(f"Sequence {name}: it failed.")
            evaluated.append(name)
            folder = share.workspace / "results" / share.tracker / "baseline" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}_001.txt").write_text("1\n" * 4)
            (folder / f"{name}_001_time.value").write_text("0.5\n" * 4)
        return ShareResult(share.tracker, len(share.sequences), 0.5, 0)

    monkeypatch.setattr(shares, "EVALUATE", Kind(Share, evaluate, shares.EVALUATE.read))
    return evaluated


def test_shards_have_all_sequences_between_them(run: Run, toolkit: list[str]) -> None:
    status, out, _ = run("evaluate", "w", "SAM2", "--shard", "1/2", "--json")
    assert (status, toolkit) == (0, ["scene-00002", "scene-00004"])
    assert json.loads(out) == {"trackers": {"SAM2": {"complete": 2, "sequences": 2}}, "failures": []}
    assert run("evaluate", "w", "SAM2", "--shard", "2/2")[0] == 0
    assert toolkit[2:] == ["scene-00003"]
    status, out, _ = run("evaluate", "w", "SAM2", "--json")
    assert json.loads(out)["trackers"] == {"SAM2": {"complete": 3, "sequences": 3}}
    assert len(toolkit) == 3  # all was there
    assert "Shard 4/4 has nothing to do." in run("evaluate", "w", "SAM2", "--shard", "4/4")[2]


def test_what_fails_is_named_and_the_others_are_kept(run: Run, toolkit: list[str]) -> None:
    status, out, said = run("evaluate", "w", "DAM4SAM", "SAM2", "--sequences-per-task", 1, "--json")
    assert status == 1
    assert "FAILED DAM4SAM on scene-00004: Sequence scene-00004: it failed." in said
    assert "DAM4SAM: results on 2 of 3 sequences are complete" in said
    assert json.loads(out)["failures"] == [
        {"tracker": "DAM4SAM", "sequences": ["scene-00004"], "error": "Sequence scene-00004: it failed."}
    ]
    assert len(toolkit) == 5


def test_a_tracker_that_is_not_registered(run: Run, toolkit: list[str]) -> None:
    status, _, said = run("evaluate", "w", "Nobody")
    assert status == 2
    assert "Nobody" in said
    assert not toolkit


@pytest.mark.parametrize("shard", ["3", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.5/2", "1/9999999999"])
def test_shards_that_are_none(run: Run, shard: str) -> None:
    for command in (("train", "w"), ("search", "w"), ("evaluate", "w", "SAM2")):
        status, out, said = run(*command, f"--shard={shard}")
        assert (status, out) == (2, "")
        assert f"--shard {shard} is no shard, expected NUMBER/COUNT from 1/COUNT to COUNT/COUNT" in said
        assert said.count(": give --shard 1/8 on the first of eight machines.") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slurm", "--jobs", 2), "--slurm and --jobs 2 both say where the work is done"),
        (("--slurm", "--shard", "1/2"), "--slurm and --shard 1/2 both spread the tasks over machines"),
        (("--max-jobs", 2), "--max-jobs is for a cluster's jobs: give --slurm too"),
        (("--slurm",), "There is no Slurm here (sbatch is not found): run this on a cluster's login node"),
        (("--jobs", 2, "--per-device", 2), "--jobs 2 and --per-device 2 both say how many processes"),
    ],
)
def test_options_that_do_not_fit(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, said = run("evaluate", "w", "SAM2", *arguments)
    assert (status, out) == (2, "")
    assert message in said
    assert not (tmp_path / "w").exists()
