"""A workspace in which some truth is missing: the rest is scored as if it were alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.clips import SequenceObject, objects_of
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.differences import find_difference
from sam2rl_tracker.vot.regions import encode
from sam2rl_tracker.vot.scored import find_scored, given_without_score, scored_view
from sam2rl_tracker.vot.scoring import complete
from sam2rl_tracker.vot.sequences import IGNORE_FILE, AnnotatedFrame
from sam2rl_tracker.vot.tracks import read_results
from sam2rl_tracker.vot.workspace import Workspace, create, open_workspace

SIZE = (24, 32)
LENGTH = 6


def square(x: int, y: int = 2) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + 8, x : x + 8] = True
    return mask


def add(workspace: Workspace, name: str, masks: list[dict[int, np.ndarray] | None]) -> None:
    """A sequence and the results of two trackers on it: SAM2 is one pixel off, Other says nothing."""
    image = np.zeros((*SIZE, 3), np.uint8)
    workspace.add(name, [AnnotatedFrame(image, own) for own in masks])
    files = sorted((workspace.sequences / name).glob("groundtruth_[0-9]*.txt"))
    for tracker, answer in {"SAM2": "m3,2,8,8,0,64", "Other": "m0,0,0,0,0"}.items():
        folder = workspace.folder / "results" / tracker / "baseline" / name
        folder.mkdir(parents=True)
        for file in files:
            stem = f"{name}_{file.stem.removeprefix('groundtruth_')}" if len(files) > 1 else name
            lines = [line if line == "0" else answer for line in file.read_text().splitlines()]
            lines = ["1", *(answer for _ in lines[1:])]
            (folder / f"{stem}_001.txt").write_text("\n".join(lines) + "\n")
            (folder / f"{stem}_001_time.value").write_text("0.1\n" * len(lines))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """`good`; `half`, of whose objects 1 is scored and 2 comes on the last frame; `first`; `single`; `sparse`."""
    made = create(tmp_path / "w")
    with (made.folder / "trackers.ini").open("a") as file:
        file.write("\n[Other]\nprotocol = traxpython\ncommand = pass\n")
    add(made, "good", [{1: square(2)}] * LENGTH)
    add(made, "half", [{1: square(2)}] * (LENGTH - 1) + [{1: square(2), 2: square(20)}])
    add(made, "first", [{1: square(2)}] + [None] * (LENGTH - 1))
    add(made, "single", [{1: square(2)}])
    add(made, "sparse", [{1: square(2)}, None, {1: square(2)}])
    return made


def test_what_is_left_out_is_named(workspace):
    scored = find_scored(workspace)
    assert scored.objects == {"good": ["1"], "half": ["1"], "sparse": ["1"]}
    assert [str(one) for one in scored.left_out()] == [
        "Not scored: half, object 2: it is first given on the last frame.",
        "Not scored: first: its truth is known only on frame 1, on which it is given.",
        "Not scored: single: the video has one frame, on which the object is given.",
    ]
    (frames,) = (one for one in scored.not_scored if one.frames)
    assert (frames.sequence, frames.frames) == ("sparse", 1)


def test_an_object_known_on_no_frame_and_a_sequence_without_truth(workspace):
    (workspace.sequences / "good" / "groundtruth_7.txt").write_text("0\n" * LENGTH)
    (workspace.sequences / "first" / "groundtruth_1.txt").unlink()
    scored = find_scored(workspace, ["good", "first"])
    assert scored.objects == {"good": ["1"]}
    assert [(one.sequence, one.object_name, one.reason) for one in scored.left_out()] == [
        ("good", "7", "its truth is known on no frame"),
        ("first", None, "it has no ground truth"),
    ]


def test_what_was_given_is_known_by_its_region(workspace):
    images = sorted((workspace.sequences / "half" / "color").iterdir())
    found = given_without_score(images[-1], square(20))
    assert str(found) == "Not scored: half, object 2: it is first given on the last frame."
    assert given_without_score(images[-1], square(19)) == found  # a corner may be rounded in another way
    assert given_without_score(images[-1], square(2)) is None  # object 1, which is scored
    assert given_without_score(images[0], square(20)) is None  # nothing is there on the first frame
    assert given_without_score(workspace.folder / "elsewhere.png", square(20)) is None
    twin = workspace.sequences / "half" / "groundtruth_3.txt"
    twin.write_text((workspace.sequences / "half" / "groundtruth_2.txt").read_text())
    assert given_without_score(images[-1], square(20)) == found
    twin.write_text(f"{encode(square(20)).line()}\n" * LENGTH)
    assert given_without_score(images[-1], square(20)) is None  # of two with this mask, one is scored


def test_the_view_holds_what_is_scored(workspace):
    before = sorted(workspace.folder.rglob("*"))
    with scored_view(workspace, find_scored(workspace), ["SAM2"]) as view:
        seen = open_workspace(view)
        assert seen.names() == ["good", "half", "sparse"]
        assert [file.name for file in (seen.sequences / "half").glob("groundtruth_?.txt")] == ["groundtruth_1.txt"]
        names = sorted(file.name for file in (view / "results/SAM2/baseline/half").iterdir())
        assert names == ["half_001.txt", "half_001_time.value"]  # of one object the toolkit writes no number
    assert not view.exists()
    assert sorted(workspace.folder.rglob("*")) == before


@pytest.fixture
def one_by_one(tmp_path: Path) -> Workspace:
    """A stack whose trackers are given one object at a time: of each sequence's the last has one true mask."""
    made = create(tmp_path / "w")
    stack = made.stack.read_text().replace("multiobject: True", "multiobject: False")
    made.stack.write_text(stack.replace("        filter_tag: evaluation\n", ""))
    image = np.zeros((*SIZE, 3), np.uint8)
    for name, count in (("pair", 2), ("three", 3)):
        masks: dict[int, np.ndarray | None] = {k: square(2 * k) for k in range(1, count + 1)}
        made.add(name, [AnnotatedFrame(image, masks), *[AnnotatedFrame(image, {**masks, count: None})] * (LENGTH - 1)])
        (made.sequences / name / IGNORE_FILE).unlink()  # the toolkit would take it for an object
        for k in masks:
            folder = made.folder / "results" / "SAM2" / "baseline" / f"{name}_{k}"
            folder.mkdir(parents=True)
            (folder / f"{name}_{k}_001.txt").write_text("1\n" + f"m{2 * k + 1},2,8,8,0,64\n" * (LENGTH - 1))
            (folder / f"{name}_{k}_001_time.value").write_text("0.1\n" * LENGTH)
    return made


def test_the_view_of_objects_that_are_tracked_one_by_one(one_by_one):
    with scored_view(one_by_one, find_scored(one_by_one), ["SAM2"]) as view:
        results = view / "results" / "SAM2" / "baseline"
        files = sorted(str(file.relative_to(results)) for file in results.rglob("*.txt"))
        assert files == ["pair/pair_001.txt", "three_1/three_1_001.txt", "three_2/three_2_001.txt"]
        assert len(list(results.rglob("*.value"))) == 3


def test_an_ignored_area_counts_as_an_object_where_they_are_tracked_one_by_one(one_by_one):
    """So the only object of a sequence is named: `pair_1` is what `vot evaluate` makes of it."""
    pair = one_by_one.sequences / "pair"
    (pair / "groundtruth_2.txt").unlink()
    (pair / IGNORE_FILE).write_text("0\n" * LENGTH)
    report = collect(one_by_one.folder)
    assert report.failures == []
    (note,) = report.analysis.notes
    assert note.endswith(f"where the toolkit takes {IGNORE_FILE} for an object and fails; pair has one.")
    measures = complete(one_by_one.folder, report).analysis.trackers["SAM2"]
    assert measures.quality == pytest.approx(7 / 9)


@pytest.mark.slow
def test_the_report_of_objects_that_are_tracked_one_by_one(one_by_one):
    report = collect(one_by_one.folder)
    assert report.failures == []
    one_pixel_off, first_frame_missed = 7 / 9, (LENGTH - 1) / LENGTH
    assert report.analysis.trackers["SAM2"].quality == pytest.approx(one_pixel_off * first_frame_missed)


def test_the_view_of_a_stack_that_takes_one_object_at_a_time(workspace):
    """The toolkit makes a sequence of each object there, and keeps its results in a folder of its own."""
    stack = workspace.folder / "stack.yaml"
    stack.write_text(stack.read_text().replace("multiobject: True", "multiobject: False"))
    results = workspace.folder / "results" / "SAM2" / "baseline"
    (results / "half").rename(results / "half_1")
    scored = find_scored(workspace)
    with scored_view(workspace, scored, ["SAM2"]) as view:
        found = sorted(file.name for file in (view / "results" / "SAM2" / "baseline" / "half").iterdir())
    assert found == ["half_001.txt", "half_001_time.value"]


def test_without_gaps_the_view_is_the_workspace(workspace):
    (workspace.sequences / "list.txt").write_text("good\n")
    with scored_view(workspace, find_scored(workspace), ["SAM2"]) as view:
        assert view == workspace.folder


def test_what_cannot_be_learned_from_is_skipped_and_named(workspace):
    objects = objects_of(workspace.folder)
    assert objects.found == [SequenceObject("good", 1), SequenceObject("half", 1), SequenceObject("sparse", 1)]
    assert {one.sequence for one in objects.not_scored} == {"half", "first", "single"}
    with pytest.raises(
        Sam2rlError, match=r"nothing to learn from\. Not scored: first: its truth is known only on frame"
    ):
        objects_of(workspace.folder, ["first"])


def test_trackers_are_compared_where_they_are_scored(workspace):
    found = find_difference(workspace.folder)
    assert found.sequence == "good"
    assert found.qualities["Other"] == 0
    assert {one.sequence for one in found.not_scored} == {"half", "first", "single"}
    asked = find_difference(workspace.folder, "first")  # the masks can be seen
    assert all(np.isnan(value) for value in asked.qualities.values())


@pytest.mark.slow
def test_the_report_is_that_of_a_workspace_without_the_gaps(workspace, tmp_path):
    report = collect(workspace.folder)
    assert report.failures == []
    results = read_results(workspace.folder, report)
    assert results.disagreements == []
    assert [(one.sequence, one.object_id) for one in results.objects] == [("good", 1), ("half", 1), ("sparse", 1)]

    alone = open_workspace(shutil.copytree(workspace.folder, tmp_path / "alone"))
    (alone.sequences / "list.txt").write_text("good\nsparse\n")
    expected = collect(alone.folder).analysis
    for name in ("good", "sparse"):
        assert report.analysis.sequences[name] == expected.sequences[name]
    assert 0 < report.analysis.sequences["half"]["SAM2"].quality < 1


def test_a_tracker_needs_no_results_where_nothing_is_scored(workspace, monkeypatch):
    shutil.rmtree(workspace.folder / "results" / "SAM2" / "baseline" / "first")
    (workspace.sequences / "list.txt").write_text("first\nsingle\n")
    report = collect(workspace.folder)  # no analysis is started
    assert report.failures == []
    assert report.analysis.trackers == {}
    assert len(report.not_scored) == 2
