"""Trackers side by side: what is compared by default, the places of a bank's frames, the files written."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from conftest import scripted_frames
from PIL import Image
from typer.testing import CliRunner

from sam2rl_tracker.cli.main import app
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.report.bank import places
from sam2rl_tracker.report.comparison import _overlaps, _read, find_difference, write_comparison
from sam2rl_tracker.vot.regions import read_trajectory
from sam2rl_tracker.vot.results import result_file, result_stem
from sam2rl_tracker.vot.sequences import read_sequence, stack_regions
from sam2rl_tracker.vot.workspace import Workspace, create

LENGTH = 12
ABSENT = "m0,0,0,0,0"
BOX = "m10,10,20,20,0,400"


def write_results(
    workspace: Workspace, tracker: str, sequence: str, lines: dict[int, list[str]], banks: str = ""
) -> None:
    folder = workspace.folder / "results" / tracker / "baseline" / sequence
    folder.mkdir(parents=True)
    for k, own in lines.items():
        stem = f"{sequence}_{k}_001" if len(lines) > 1 else f"{sequence}_001"
        (folder / f"{stem}.txt").write_text("\n".join(own) + "\n")
        if banks:
            (folder / f"{stem}_memory_frames.value").write_text(banks)


def truth_lines(workspace: Workspace, sequence: str, k: int) -> list[str]:
    return (workspace.sequences / sequence / f"groundtruth_{k}.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two sequences: on the second, and there on object 9, SAM2 and Right differ most; Other is between them."""
    workspace = create(tmp_path_factory.mktemp("compare") / "W")
    workspace.add("single", scripted_frames(LENGTH, {1: (0, range(6, 9))}))
    objects = {4: (0, range(0)), 9: (3, range(6, 7))}
    workspace.add("several", scripted_frames(LENGTH, objects, ignored=True, unknown=10))
    recency = "\n".join(" ".join(map(str, sorted({0, *range(max(t - 6, 0), t)}))) for t in range(1, LENGTH))
    for sequence, ids in (("single", (1,)), ("several", (4, 9))):
        right = {k: ["1", *truth_lines(workspace, sequence, k)[1:]] for k in ids}
        late = {k: lines if k != 9 else [*lines[:3], "1", *[ABSENT] * 8] for k, lines in right.items()}
        half = {k: lines if k != 9 else [*lines[:3], "1", BOX, *[ABSENT] * 2, *lines[7:]] for k, lines in right.items()}
        write_results(workspace, "Right", sequence, right)
        write_results(workspace, "SAM2", sequence, late, banks=f"\n{recency}\n")
        write_results(workspace, "Other", sequence, half, banks="nan\n0 1 5 99 -1\n")
    write_results(workspace, "Half", "single", {1: ["1", BOX]})
    return workspace


def test_a_frame_keeps_its_place():
    banks = [(), (0,), (0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4, 5), (4,)]
    assert places(banks, 0) == [
        [None],
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 3, 2],
        [0, 3, 4, 5],
        [None, None, 4, None],
    ]
    assert places([(2,), (1, 2)], 2)[1] == [2, 1]


def test_overlaps_are_those_of_whole_masks(workspace: Workspace):
    truth = read_sequence(workspace.sequences / "several")
    for tracker in ("SAM2", "Other", "Right"):
        for k in truth.regions:
            file = result_file(result_stem(workspace, tracker, "several", k))
            masks = stack_regions(read_trajectory(file.read_bytes()), truth.size)
            masks[truth.start(k)] = truth.masks(k)[truth.start(k)]
            said = _read(workspace, tracker, truth, k)
            assert said is not None
            expected = frame_overlaps(masks, truth.masks(k), truth.known(k), truth.ignored_masks())
            np.testing.assert_array_equal(_overlaps(said, truth, k), expected)


def test_a_memory_is_an_earlier_frame(workspace: Workspace):
    """Whatever the results of a tracker of another project hold."""
    said = _read(workspace, "Other", read_sequence(workspace.sequences / "single"), 1)
    assert said is not None
    assert said.banks == [(), (0,)] + [()] * (LENGTH - 2)


def test_by_default_what_differs_most(workspace: Workspace):
    found = find_difference(workspace.folder)
    assert (found.sequence, found.object_id, list(found.qualities)) == ("several", 9, ["SAM2", "Right"])
    assert found.qualities["Right"] == 1
    assert found.size == pytest.approx(1 - found.qualities["SAM2"])
    assert find_difference(workspace.folder, object_id=4).object_id == 4
    assert find_difference(workspace.folder, "single").sequence == "single"
    three = ("Other", "SAM2", "Right")
    assert tuple(find_difference(workspace.folder, trackers=three).qualities) == three


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("nowhere",), "no sequence 'nowhere': give one of single, several"),
        (
            ("single", ("SAM2", "Nobody")),
            "no results of a tracker 'Nobody': there are those of SAM2, Half",
        ),
        (("single", ("SAM2", "SAM2")), "SAM2 is alone: give two trackers"),
        (
            ("single", ("SAM2", "Half")),
            r"Half: no complete results on single .* those of Other, Right, SAM2 are",
        ),
        (("several", (), 7), "several has no object 7: its objects are 4, 9"),
    ],
)
def test_errors_name_what_there_is(workspace: Workspace, arguments: tuple, match: str):
    with pytest.raises(Sam2rlError, match=match):
        find_difference(workspace.folder, *arguments)


def test_a_workspace_without_results(tmp_path: Path):
    empty = create(tmp_path / "W")
    empty.add("single", scripted_frames(4, {1: (0, range(0))}))
    with pytest.raises(Sam2rlError, match=r"no tracker are complete\. `vot evaluate"):
        find_difference(empty.folder)


def test_the_video_and_the_stills(workspace: Workspace, tmp_path: Path):
    plain = write_comparison(workspace.folder, "several", ["SAM2", "Right"], tmp_path / "plain.mp4")
    file = write_comparison(workspace.folder, "several", ["SAM2", "Right"], tmp_path / "bank.mp4", object_id=9)
    sizes = []
    for path in (plain, file):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == LENGTH
        sizes.append(frames[0].shape)
        stills = Image.open(path.with_suffix(".png"))
        assert (stills.height, stills.width) == (5 * sizes[-1][0], sizes[-1][1])
        tracker = np.asarray(stills)[:, sizes[-1][1] // 3 : 2 * sizes[-1][1] // 3]
        marked = (tracker == (0, 114, 178)).all(axis=2).any()  # the border of a frame that came into the bank
        assert marked == (path == file)
    assert sizes == [(218, 780, 3), (478, 1548, 3)]  # images of 64 x 48, 4 and 8 times enlarged


def test_the_command(workspace: Workspace, tmp_path: Path):
    file = tmp_path / "out.mp4"
    result = CliRunner().invoke(app, ["compare", str(workspace.folder), "--object", "9", "--out", str(file)])
    assert result.exit_code == 0
    assert "several, object 9: quality SAM2 0." in result.stderr
    assert file.is_file()
    assert file.with_suffix(".png").is_file()


def test_large_images_are_made_smaller(tmp_path: Path):
    workspace = create(tmp_path / "W")
    frames = [
        type(frame)(frame.image.repeat(20, axis=0).repeat(20, axis=1), {1: frame.masks[1].repeat(20, 0).repeat(20, 1)})
        for frame in scripted_frames(3, {1: (0, range(0))})
    ]
    workspace.add("large", frames)
    for tracker in ("A", "B"):
        write_results(workspace, tracker, "large", {1: ["1", BOX, BOX]})
    file = write_comparison(workspace.folder, "large", ["A", "B"], tmp_path / "large.mp4", object_id=1)
    with av.open(str(file)) as container:
        frame = next(container.decode(video=0))
    assert frame.width <= 1620
