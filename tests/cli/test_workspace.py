"""`sam2rl workspace`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Run
from PIL import Image
from reference import Video

from sam2rl_tracker.report.contact_sheet import contact_sheet
from sam2rl_tracker.vot.regions import encode


def test_workspace_commands(run: Run, tmp_path: Path, video: Video) -> None:
    assert run("workspace", "generate", "made", "--count", 2, "--frames", 5, "--seed", 3)[0] == 0
    assert Path("made/sequences/list.txt").read_text() == "scene-00003\nscene-00004\n"
    (tmp_path / "mine" / "color").mkdir(parents=True)
    (tmp_path / "mine" / "masks").mkdir()
    for t in range(3):
        Image.fromarray(video.images[t]).save(f"mine/color/{t}.png")
        Image.fromarray(video.truth[t].astype(np.uint8)).save(f"mine/masks/{t}.png")
    assert run("workspace", "import", "frames", "mine", "made")[0] == 0
    assert Path("made/sequences/list.txt").read_text().endswith("mine\n")
    truth = Path("made/sequences/mine/groundtruth_1.txt").read_text().splitlines()
    assert truth[1] == encode(video.truth[1]).line()
    status, _, said = run("workspace", "create", "made")
    assert status == 2
    assert "not empty" in said


def test_a_name_that_looks_like_markup(run: Run) -> None:
    status, _, said = run("workspace", "generate", "z[/b]", "--count", 1, "--frames", 4)
    assert status == 2
    assert "z[/b]: the VOT toolkit cannot read paths with '['" in said


def test_preview_writes_a_contact_sheet(run: Run) -> None:
    options = ("--count", 2, "--seed", 5, "--preset", "hard", "--frames", 6, "--size", 40, "--objects", 2)
    status, _, said = run("workspace", "preview", "out.png", *options)
    assert (status, said) == (0, "out.png: 2 scenes")
    expected = contact_sheet([5, 6], "hard", frames=6, size=40, objects=2)
    assert np.array_equal(np.asarray(Image.open("out.png")), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.png", "--preset", "x"), "Preset 'x' is unknown: give one of easy, default, busy, hard"),
        (("out.jpg",), "out.jpg does not end in .png"),
        (("none/out.png", "--count", 1, "--frames", 2, "--size", 32), "none/out.png cannot be written"),
    ],
)
def test_preview_of_what_cannot_be_is_one_sentence(run: Run, arguments: tuple[object, ...], message: str) -> None:
    status, _, said = run("workspace", "preview", *arguments)
    assert status == 2
    assert said.startswith("error: ")
    assert message in said
    assert not list(Path().iterdir())


def test_an_import_tells_what_it_skipped_and_what_failed(run: Run, tmp_path: Path, video: Video) -> None:
    for name in ("a", "b"):
        for kind in ("JPEGImages", "Annotations"):
            (tmp_path / "data" / kind / name / "@eaDir").mkdir(parents=True)
        for t in range(2):
            Image.fromarray(video.images[t]).save(f"data/JPEGImages/{name}/{t}.jpg")
            Image.fromarray(video.truth[t].astype(np.uint8)).save(f"data/Annotations/{name}/{t}.png")
    whole = Path("data/JPEGImages/b/1.jpg").read_bytes()
    Path("data/JPEGImages/b/1.jpg").write_bytes(whole[:200])
    status, _, said = run("workspace", "import", "vos", "data", "w")
    assert status == 1
    assert "w: added a" in said
    assert "Skipped, as they are no data: 4 @eaDir." in said
    assert "FAILED b: data/JPEGImages/b/1.jpg cannot be read" in said
    Path("data/JPEGImages/b/1.jpg").write_bytes(whole)
    status, _, said = run("workspace", "import", "vos", "data", "w", "--unmentioned", "sparse")
    assert status == 0
    assert "w: added b w: unchanged since an earlier import, and kept: a" in said
    status, _, said = run("workspace", "import", "vos", "data", "w", "--unmentioned", "perhaps")
    assert status == 2
    assert "expected one of absent, new, sparse, unknown" in said
