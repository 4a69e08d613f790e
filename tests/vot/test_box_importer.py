"""Data sets with boxes: LaSOT's, GOT-10k's and OTB's folders become sequences."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2rl_tracker.cli.main import app
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.box_importer import import_boxes
from sam2rl_tracker.vot.sequences import read_sequence


def frames(folder: Path, count: int = 4, pattern: str = "{:08d}.jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(count):
        Image.fromarray(np.full((30, 40, 3), 9 * t, dtype=np.uint8)).save(folder / pattern.format(t + 1))


def lasot(folder: Path) -> None:
    frames(folder / "img")
    (folder / "groundtruth.txt").write_text("1,2,10,8\n2,2,10,8\n3,2,10,8\n0,0,0,0\n")
    (folder / "full_occlusion.txt").write_text("0,0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,0,1")
    (folder / "nlp.txt").write_text("a plane")


def got10k(folder: Path, lines: str = "1.5,2.25,10.0,8.0\n2.5,2.0,10.0,8.0\n3,2,10,8\n4,2,10,8\n") -> None:
    frames(folder)
    (folder / "groundtruth.txt").write_text(lines)
    (folder / "absence.label").write_text("0\n0\n1.0\n0\n")
    (folder / "cover.label").write_text("8\n5\n0\n8\n")
    (folder / "meta_info.ini").write_text("[METAINFO]\n")


def lines_of(folder: Path, name: str) -> list[str]:
    return (folder / "sequences" / name / "groundtruth_1.txt").read_text().splitlines()


def test_lasot_by_class(tmp_path):
    lasot(tmp_path / "LaSOT" / "airplane" / "airplane-1")
    lasot(tmp_path / "LaSOT" / "airplane" / "airplane-10")
    lasot(tmp_path / "LaSOT" / "airplane" / "airplane-2")
    found = import_boxes(tmp_path / "LaSOT", tmp_path / "w")
    assert found.added == ["airplane-1", "airplane-2", "airplane-10"]
    assert not found.failures
    assert lines_of(tmp_path / "w", "airplane-1") == ["1,2,10,8", "2,2,10,8", "m0,0,0,0,0", "m0,0,0,0,0"]
    video = read_sequence(tmp_path / "w" / "sequences" / "airplane-1")
    assert (len(video), video.size) == (4, (30, 40))
    assert video.has_boxes(1)
    assert not video.has_masks(1)


def test_got10k_keeps_fractions_and_flags(tmp_path):
    got10k(tmp_path / "val" / "GOT-10k_Val_000001")
    (tmp_path / "val" / "list.txt").write_text("GOT-10k_Val_000001\n")
    import_boxes(tmp_path / "val", tmp_path / "w")
    expected = ["1.5,2.25,10,8", "2.5,2,10,8", "m0,0,0,0,0", "4,2,10,8"]
    assert lines_of(tmp_path / "w", "GOT-10k_Val_000001") == expected


def test_a_test_set_gives_the_first_box_alone(tmp_path):
    got10k(tmp_path / "test" / "one", "1,2,10,8\n")
    found = import_boxes(tmp_path / "test" / "one", tmp_path / "w")
    assert lines_of(tmp_path / "w", "one") == ["1,2,10,8", "0", "0", "0"]
    assert "on the rest nothing is known" in found.notes[0]


@pytest.mark.parametrize("separator", ["\t", " ", ", "])
def test_otb(tmp_path, separator):
    frames(tmp_path / "Ball" / "img", pattern="{:04d}.jpg")
    rows = [["1", "2", "10", "8"], ["NaN"] * 4, ["3", "2", "10", "8"], ["4", "2", "10", "8"]]
    text = "".join(separator.join(row) + "\r\n" for row in rows)
    (tmp_path / "Ball" / "groundtruth_rect.txt").write_text(text)
    import_boxes(tmp_path / "Ball", tmp_path / "w")
    assert lines_of(tmp_path / "w", "Ball") == ["1,2,10,8", "0", "3,2,10,8", "4,2,10,8"]


def test_otb_of_two_objects(tmp_path):
    frames(tmp_path / "Jogging" / "img")
    for k in (1, 2):
        (tmp_path / "Jogging" / f"groundtruth_rect.{k}.txt").write_text(f"{k},2,10,8\n" * 4)
    assert import_boxes(tmp_path, tmp_path / "w").added == ["Jogging-1", "Jogging-2"]
    assert lines_of(tmp_path / "w", "Jogging-2") == ["2,2,10,8"] * 4


def test_links_to_folders_are_followed(tmp_path):
    lasot(tmp_path / "disk" / "zebra" / "zebra-1")
    (tmp_path / "LaSOT").mkdir()
    (tmp_path / "LaSOT" / "zebra").symlink_to(tmp_path / "disk" / "zebra")
    (tmp_path / "LaSOT" / "around").symlink_to(tmp_path / "LaSOT")
    assert import_boxes(tmp_path / "LaSOT", tmp_path / "w").added == ["zebra-1"]


def test_a_video_begins_where_the_box_is_in_the_image(tmp_path):
    frames(tmp_path / "one")
    (tmp_path / "one" / "groundtruth.txt").write_text("90,90,9,9\n39,2,10,8\n38,2,10,8\n50,2,10,8\n")
    import_boxes(tmp_path / "one", tmp_path / "w")
    assert lines_of(tmp_path / "w", "one") == ["38,2,10,8", "50,2,10,8"]


def test_again_and_past_a_damaged_sequence(tmp_path):
    for name in ("a", "b", "c"):
        lasot(tmp_path / "set" / name)
    (tmp_path / "set" / "b" / "groundtruth.txt").write_text("1,2,10,8\nnonsense\n")
    run = CliRunner().invoke(app, ["workspace", "import", "boxes", str(tmp_path / "set"), str(tmp_path / "w")])
    assert run.exit_code == 1
    assert "added a, c" in run.stderr
    assert "Line 2 of" in run.stderr
    lasot(tmp_path / "set" / "b")
    again = import_boxes(tmp_path / "set", tmp_path / "w")
    assert (again.added, again.kept, again.failures) == (["b"], ["a", "c"], {})


def test_only_some(tmp_path):
    for name in ("a", "b"):
        lasot(tmp_path / "set" / name)
    assert import_boxes(tmp_path / "set", tmp_path / "w", ["b"]).added == ["b"]
    with pytest.raises(Sam2rlError, match="has no sequence z, expected one of a, b"):
        import_boxes(tmp_path / "set", tmp_path / "w", ["z"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("groundtruth.txt", "1,2,10,8\n" * 5, "has 5 lines for 4 images"),
        ("groundtruth.txt", "1,2,10\n", "Line 1 of .* expected x,y,width,height"),
        ("groundtruth.txt", "inf,2,10,8\n", "Line 1 of .* expected x,y,width,height"),
        ("out_of_view.txt", "0,0", "has 2 numbers for 4 images"),
        ("groundtruth.txt", "0,0,0,0\n" * 4, "no object"),
    ],
)
def test_damaged_files_are_told(tmp_path, name, text, message):
    lasot(tmp_path / "one")
    (tmp_path / "one" / name).write_text(text)
    found = import_boxes(tmp_path / "one", tmp_path / "w")
    with pytest.raises(Sam2rlError, match=message):
        raise Sam2rlError(found.failures["one"])


def test_sources_that_hold_no_sequence_or_two_of_one_name(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Sam2rlError, match="holds no sequence"):
        import_boxes(tmp_path / "empty", tmp_path / "w")
    lasot(tmp_path / "set" / "one" / "x")
    lasot(tmp_path / "set" / "two" / "x")
    with pytest.raises(Sam2rlError, match="have the same name"):
        import_boxes(tmp_path / "set", tmp_path / "w")
