"""`sam2rl report` and `compare`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from handwritten import Made
from PIL import Image

from sam2rl_tracker.vot.workspace import Workspace


@pytest.mark.slow
def test_report_prints_the_table_and_writes_the_page(run: Run, made: Made) -> None:
    status, out, said = run("report", made.workspace.folder, "--json", "--out", "page")
    assert status == 1  # a tracker failed
    assert set(json.loads(out)["trackers"]) == set(made.results.trackers)
    assert "page/index.html" in said.replace(" ", "")
    assert Path("page/index.html").is_file()
    status, out, said = run("report", made.workspace.folder, "--no-html", "--out", "none")
    assert "All sequences" in out
    assert "index.html" not in said
    assert not Path("none").exists()


def test_there_is_nothing_to_report(run: Run) -> None:
    assert run("workspace", "generate", "made", "--count", 1, "--frames", 4)[0] == 0
    status, _, said = run("report", "made")
    assert status == 2
    assert "has no results" in said
    Path("mine").mkdir()
    status, _, said = run("report", "mine")
    assert status == 2
    assert "is not a VOT workspace" in said


@pytest.mark.slow
def test_compare_writes_a_video_and_stills(run: Run, compared: Workspace) -> None:
    status, _, said = run("compare", compared.folder, "--object", 9, "--out", "out.mp4")
    assert status == 0
    assert "several, object 9: quality SAM2 0." in said
    assert Path("out.mp4").is_file()
    assert Path("out.png").is_file()


def test_runs_to_compare_are_folders_of_masks(run: Run, compared: Workspace) -> None:
    for arguments, message in {
        ("--run", "nowhere", "--sequence", "several"): "Run 'nowhere' is not MASKS[,TRACE.jsonl]: there is no folder",
        ("--run", ".,t.jsonl", "--sequence", "several"): "t.jsonl cannot be read",
        ("--run", "."): "Say of which sequence --run is: --sequence with one of single, several",
        ("--run", ".", "--sequence", "several", "--object", 3): "several has no object 3: its objects are 4, 9",
    }.items():
        Image.fromarray(np.zeros((48, 64), dtype=np.uint8)).save("00000001.png")
        status, _, said = run("compare", compared.folder, *arguments, "--out", "out.mp4")
        assert status == 2
        assert f"error: {message}" in said
        assert not Path("out.mp4").exists()


@pytest.mark.slow
def test_compare_shows_a_run_of_track(run: Run, compared: Workspace) -> None:
    images = compared.sequences / "several" / "color"
    box = ("--box", "10,30,16,11,object=9@3", "--point", "16,33,object=9@5")
    status, _, said = run("track", images, *box, "--out", "mine", "--trace", "t.jsonl")
    assert status == 0, said
    arguments = ("--sequence", "several", "--object", 9, "--trackers", "Right", "--run", "mine,t.jsonl")
    status, _, said = run("compare", compared.folder, *arguments, "--out", "out.mp4")
    assert status == 0, said
    assert "several, object 9: out.mp4, stills in out.png" in said
    assert Path("out.png").is_file()
