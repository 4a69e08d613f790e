"""`sam2rl train`, `search` and `agent`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import Run


@pytest.mark.slow
def test_train_search_and_agents(run: Run) -> None:
    assert run("workspace", "generate", "w", "--count", 1, "--frames", 6, "--seed", 2)[0] == 0
    assert "has no agents" in run("agent", "list", "w")[2]
    small = ("--iterations", 2, "--samples", 32, "--set", "beam=1", "--set", "local=0")
    status, out, said = run("train", "w", *small, "--json")
    assert status == 0, said
    (agent,) = json.loads(out)["agents"]
    assert (agent["sequence"], agent["object"], agent["steps"]) == (
        "scene-00002",
        1,
        104,
    )  # the beams 8 + 8, SAM 2's rule 4, imitation 4, then 2 * (32 + 4 + 4)
    assert "on the video it was trained on" in said
    assert "scene-00002, object 1: 1/2 SAM 2 0." in said  # where nobody sees bars
    assert "Trained or searched on the ground truth" in " ".join(run("agent", "list", "w")[1].split())
    about = json.loads(run("agent", "info", agent["file"])[1])
    assert about["quality"] == agent["quality"]
    assert about["settings"]["seed"] == 0
    status, out, said = run("search", "w", "--budget", 100, "--width", 3, "--plots", "p", "--save", "best", "--json")
    assert status == 0, said
    (found,) = json.loads(out)["sequences"]
    assert found["ceiling"] >= max(found["random"], found["greedy"], found["beam"], found["local"])
    assert found["agent"] == pytest.approx(agent["batched_quality"], abs=1e-6)
    assert Path("p/scene-00002_1.png").stat().st_size > 0
    assert [path.name for path in Path("best").glob("*.safetensors")] == [Path(agent["file"]).name]
    assert run("train", "w", "--sequence", "nothing")[0] == 2

    min(Path("w/sequences/scene-00002/color").iterdir()).write_bytes(b"broken")
    for command in (("train", "--seed", 1), ("search",)):
        status, out, said = run(command[0], "w", *command[1:], "--json")
        assert status == 1
        assert "FAILED scene-00002" in said
        (failure,) = json.loads(out)["failures"]
        assert (failure["sequence"], failure["object"]) == ("scene-00002", 1)
        assert "is not an image" in failure["error"]


@pytest.mark.slow
def test_names_that_settings_had_first(run: Run) -> None:
    """A training that is begun with them goes on with today's, and the other way round."""
    assert run("workspace", "generate", "w", "--count", 1, "--frames", 4, "--size", 64)[0] == 0
    first = ("epochs=1", "batch=8", "clip=0.1", "entropy=0.02")
    now = ("n_epochs=1", "batch_size=8", "clip_range=0.1", "ent_coef=0.02")
    lines: list[str] = []
    for iterations, names in enumerate((first, now, first), start=1):
        settings = [word for change in (*names, "hidden=8", "beam=1") for word in ("--set", change)]
        status, _, said = run("train", "w", "--iterations", iterations, "--samples", 16, *settings)
        assert status == 0, said
        (file,) = Path("w/training").glob("*/progress.csv")
        before, lines = lines, file.read_text().splitlines()
        assert lines[: len(before)] == before
        assert len(lines) == 1 + iterations
    status, _, said = run("train", "w", "--iterations", 4, "--samples", 16, *settings, "--set", "entropy=0.03")
    assert status != 0
    assert "was begun with" in said
    assert "0.02" in said


@pytest.mark.slow
def test_what_was_simulated_in_bfloat16_says_so(run: Run) -> None:
    """A training does not go on in another arithmetic; a search is another one."""
    assert run("workspace", "generate", "w", "--count", 1, "--frames", 5, "--size", 64)[0] == 0
    train = ("train", "w", "--iterations", 1, "--samples", 16, "--set", "hidden=8", "--set", "beam=1")
    status, out, said = run(*train, "--dtype", "bfloat16", "--json")
    assert status == 0, said
    (agent,) = json.loads(out)["agents"]
    told = json.loads(run("agent", "info", agent["file"])[1])
    assert (told["dtype"], told["compile"]) == ("bfloat16", False)
    status, _, said = run(*train)
    assert status == 1
    assert "was begun with dtype=bfloat16: give the same settings to continue" in " ".join(said.split())
    status, out, said = run("search", "w", "--budget", 64, "--width", 1, "--dtype", "bfloat16", "--json")
    assert status == 0, said
    assert json.loads(out)["sequences"][0]["dtype"] == "bfloat16"
    status, _, said = run("train", "w", "--dtype", "float16")
    assert (status, "Dtype 'float16' is unknown: give one of float32, bfloat16." in said) == (2, True)


def test_where_search_may_not_write(run: Run) -> None:
    assert run("workspace", "generate", "w", "--count", 1, "--frames", 6, "--seed", 2)[0] == 0
    Path("file").write_text("in the way")
    Path("p").mkdir()
    Path("p/scene-00002_1.png").write_text("mine")
    for arguments, message in {
        ("--plots", "w/sequences/plots"): "lies in the input folder",
        ("--save", "w/results"): "is an input|lies in",
        ("--save", "w/sequences/scene-00002/color"): "lies in the input folder",
        ("--save", "file"): "file is a file, expected a folder",
        ("--plots", "p"): "p/scene-00002_1.png is there already and is no figure",
    }.items():
        status, out, said = run("search", "w", *arguments)
        assert (status, out) == (2, ""), said
        assert re.search(message, said), said
    assert Path("p/scene-00002_1.png").read_text() == "mine"
