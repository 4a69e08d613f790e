"""Results as the folders that other benchmarks take."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from results_by_hand import write_results
from typer.testing import CliRunner

from sam2rl_tracker.cli.main import app
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.export import Benchmark, export_results, remarks
from sam2rl_tracker.vot.importers import import_frames
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.workspace import Workspace, create, open_workspace

SIZE = (20, 30)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two objects on frames 00010, 00015, 00020; the second is given on the second frame."""
    source = tmp_path / "bear"
    for t, name in enumerate(("00010", "00015", "00020")):
        labels = np.zeros(SIZE, dtype=np.uint8)
        labels[2:8, 2 + t : 8 + t] = 1
        if t:
            labels[10:16, 10:16] = 3
        for folder, array in (("color", np.zeros((*SIZE, 3), dtype=np.uint8)), ("masks", labels)):
            (source / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(source / folder / f"{name}.png")
    import_frames(source, tmp_path / "w")
    workspace = open_workspace(tmp_path / "w")
    answers = {"1": ["1", "m3,2,6,6,0,36", "m4,2,8,9,0,72"], "3": ["0", "1", "m10,10,6,6,0,36"]}
    write_results(workspace, "Mine", "bear", answers)
    return workspace


def test_masks_have_the_frames_names_and_the_objects_numbers(workspace):
    found = export_results(workspace.folder, "Mine", Benchmark.DAVIS)
    folder = workspace.folder / "export" / "davis" / "Mine"
    assert (found.folder, found.videos, found.renumbered) == (folder, 1, [])
    assert sorted(file.name for file in (folder / "bear").iterdir()) == ["00010.png", "00015.png", "00020.png"]
    assert [entry.name for entry in folder.iterdir()] == ["bear"]
    with Image.open(folder / "bear" / "00015.png") as image:
        assert image.mode == "P"
        labels = np.array(image)
    assert (labels == 1).sum() == 36
    assert labels[10:16, 10:16].tolist() == [[3] * 6] * 6  # what was given on this frame
    with Image.open(folder / "bear" / "00010.png") as image:
        assert np.unique(np.array(image)).tolist() == [0, 1]


def test_frames_before_the_first_object_are_empty(workspace, tmp_path):
    """Servers want a mask for each."""
    source = tmp_path / "bear"
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(source / "color" / "00005.png")
    source.rename(tmp_path / "late")
    import_frames(tmp_path / "late", workspace.folder)
    write_results(workspace, "Mine", "late", {"1": ["1", "0", "0"], "3": ["0", "1", "0"]})
    folder = export_results(workspace.folder, "Mine", Benchmark.DAVIS).folder / "late"
    assert sorted(file.stem for file in folder.iterdir()) == ["00005", "00010", "00015", "00020"]
    found = [np.unique(np.array(Image.open(file))).tolist() for file in sorted(folder.iterdir())]
    assert found == [[0], [0, 1], [0, 3], [0]]


def test_a_given_mask_stands_where_another_object_is_predicted(workspace):
    write_results(workspace, "Mine", "bear", {"1": ["1", "m9,9,6,6,0,36", "0"], "3": ["0", "1", "0"]})
    found = export_results(workspace.folder, "Mine", Benchmark.DAVIS)
    labels = np.array(Image.open(found.folder / "bear" / "00015.png"))
    assert np.bincount(labels.ravel())[[1, 3]].tolist() == [11, 36]


def test_a_shared_pixel_goes_to_the_lower_number(workspace):
    found = export_results(workspace.folder, "Mine", Benchmark.MOSE)
    labels = np.array(Image.open(found.folder / "bear" / "00020.png"))
    assert labels[10, 10:13].tolist() == [1, 1, 3]
    assert found.shared == {"bear": 2}
    assert any("share 2 pixels" in text for text in remarks(found))


@pytest.mark.parametrize(
    ("benchmark", "place"),
    [("davis", "bear"), ("mose", "bear"), ("lvos", "bear"), ("youtube-vos", "Annotations/bear")],
)
def test_layouts(workspace, tmp_path, benchmark, place):
    out = tmp_path / "out"
    run = CliRunner().invoke(app, ["export", benchmark, str(workspace.folder), "Mine", "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert (out / place / "00010.png").is_file()


def test_frames_without_names_count_from_0(tmp_path):
    workspace = create(tmp_path / "w")
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:8, 2:8] = True
    workspace.add("one", (AnnotatedFrame(np.zeros((*SIZE, 3), dtype=np.uint8), {1: mask}) for _ in range(2)))
    write_results(workspace, "Mine", "one", {"1": ["1", "0,0,0,0"]})
    found = export_results(workspace.folder, "Mine", Benchmark.DAVIS)
    assert sorted(file.name for file in (found.folder / "one").iterdir()) == ["00000.png", "00001.png"]
    assert not np.array(Image.open(found.folder / "one" / "00001.png")).any()
    assert any("not known of one" in text for text in remarks(found))


def test_nothing_is_overwritten_and_nothing_half_written(workspace, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for out, message in (
        (tmp_path / "mine", "is there already"),
        (workspace.sequences / "out", "lies in .*sequences"),
        (workspace.folder / "results" / "out", "lies in .*results"),
    ):
        with pytest.raises(Sam2rlError, match=message):
            export_results(workspace.folder, "Mine", Benchmark.DAVIS, out)
    with pytest.raises(Sam2rlError, match="Nobody has no complete results on bear"):
        export_results(workspace.folder, "Nobody", Benchmark.DAVIS, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_boxes_are_no_masks(workspace):
    write_results(workspace, "Boxes", "bear", {"1": ["1", *["1,1,5,5"] * 2], "3": ["0", "1", "2,2,5,5"]})
    with pytest.raises(Sam2rlError, match="results of Boxes on bear are boxes, expected masks"):
        export_results(workspace.folder, "Boxes", Benchmark.DAVIS)
