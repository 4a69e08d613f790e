"""Workspaces by others: boxes as truth, other stacks, the old form of a sequence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from results_by_hand import write_results
from typer.testing import CliRunner

import sam2rl_tracker
from sam2rl_tracker.cli.main import app
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.synthetic.scenes import generate_scene
from sam2rl_tracker.vot.clips import load_clip, objects_of
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.regions import Region, bounding_box, encode, read_trajectory
from sam2rl_tracker.vot.scoring import complete
from sam2rl_tracker.vot.sequences import AnnotatedFrame, read_sequence
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.tracks import compare_with_truth
from sam2rl_tracker.vot.workspace import Workspace, create, open_workspace

TRUTH = ["0,0,10,10", "0,0,10,10", "2,0,10,10", "0,0,0,0"]
ANSWERS = ["1", "0,0,10,10", "2,0,10,5", "0,0,0,0"]  # IoU 1, 0.5, and rightly nothing
STACK = """experiments:
  baseline:
    type: unsupervised
    repetitions: 1
    analyses:
"""
LONGTERM = "      - {type: average_tpr, name: tpr}\n"
ACCURACY = "      - {type: average_accuracy, name: mine, burnin: 1, weighted: False}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One object in `groundtruth.txt`, boxes, no tag, no ignored areas, as challenges come."""
    workspace = create(tmp_path / "w")
    folder = workspace.sequences / "ball"
    (folder / "color").mkdir(parents=True)
    for t in range(len(TRUTH)):
        Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(folder / "color" / f"{t + 1:08d}.jpg")
    (folder / "groundtruth.txt").write_text("\n".join(TRUTH) + "\n")
    (folder / "sequence").write_text("channels.color=color/%08d.jpg\nfps=30\nformat=default\nname=ball\n")
    (workspace.sequences / "list.txt").write_text("ball\n")
    write_results(workspace, "SAM2", "ball", {"object": ANSWERS})
    return workspace


def report_of(workspace: Workspace, stack: str) -> dict:
    workspace.stack.write_text(stack)
    run = CliRunner().invoke(app, ["report", str(workspace.folder), "--no-html", "--json"])
    assert run.exit_code == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
def test_what_a_stack_asks_for_is_shown_and_the_rest_computed(workspace):
    document = report_of(workspace, STACK + ACCURACY)
    assert document["trackers"]["SAM2"] == pytest.approx({"quality": 2.5 / 3, "accuracy": 0.75, "robustness": 1})
    assert document["sequences"]["ball"]["SAM2"] == document["trackers"]["SAM2"]
    computed = "Computed by sam2rl from the results, as VOTS does and without the first frame"
    assert any(note.startswith(computed) and "accuracy, robustness" in note for note in document["notes"])
    assert any("Quality is 'mine'" in note and "first 1 frames are left out" in note for note in document["notes"])
    boxes = document["box_measures"]["SAM2"]
    # IoU 1, 1 and 0.5 on the frames with a box: above 20, 20 and 10 of 21 thresholds.
    assert boxes["success_auc"] == pytest.approx((20 + 20 + 10) / 21 / 3)
    assert (boxes["ao"], boxes["sr50"], boxes["sr75"], boxes["precision"]) == (0.75, 0.5, 0.5, 1)
    assert "mask_measures" not in document


@pytest.mark.slow
def test_a_stack_without_quality_shows_its_own_numbers(workspace):
    document = report_of(workspace, STACK + LONGTERM)
    assert set(document["stack"]["baseline"]) == {"tpr, precision", "tpr, recall", "tpr, F"}
    assert document["trackers"]["SAM2"]["quality"] == pytest.approx(2.5 / 3)


def test_a_stack_without_measures_and_one_whose_tag_is_missing(workspace):
    document = report_of(workspace, STACK.replace("    analyses:\n", ""))
    assert document["trackers"]["SAM2"]["quality"] == pytest.approx(2.5 / 3)
    assert "asks for no measures" in document["notes"][0]
    document = report_of(workspace, STACK + ACCURACY.replace("}", ", filter_tag: evaluation}"))
    assert document["trackers"]["SAM2"]["quality"] == pytest.approx(2.5 / 3)
    assert "ball has no evaluation.tag" in document["notes"][0]


def test_a_stack_by_the_name_of_one_of_the_toolkits(workspace):
    config = workspace.folder / "config.yaml"
    config.write_text(config.read_text().replace("./stack.yaml", "vot2022/longterm"))
    found = open_workspace(workspace.folder)
    assert [one.name for one in found.experiments()] == ["longterm", "redetection"]
    answered = found.answered()
    assert answered is not None
    assert answered.name == "longterm"
    config.write_text(config.read_text().replace("vot2022/longterm", "vot2022/none"))
    with pytest.raises(Sam2rlError, match="vot2022/none is not a stack"):
        open_workspace(workspace.folder).experiments()


def test_experiments_that_start_again_have_no_answer_for_every_frame(workspace):
    """Their results are looked for under other names, and nothing is computed from them."""
    (workspace.sequences / "ball" / "anchor.value").write_text("1\n0\n0\n-1\n")
    workspace.stack.write_text("experiments:\n  baseline: {type: multistart}\n")
    (failure,) = collect(workspace.folder).failures
    assert "the start at frame 1 has no result file" in str(failure)
    folder = workspace.folder / "results" / "SAM2" / "baseline" / "ball"
    for t in (0, 3):
        (folder / f"ball_{t:08d}.txt").write_text("\n".join(ANSWERS) + "\n")
    report = complete(workspace.folder, collect(workspace.folder))
    assert not report.failures
    assert report.boxes == {}
    assert "No experiment of" in report.analysis.notes[-1]
    assert "quality" in report.analysis.notes[-1]


@pytest.mark.slow
def test_experiments_that_nobody_ran_are_left_out_and_named(workspace):
    """The toolkit cannot run every type of its own stacks: the others' results are still shown."""
    again = "  again:\n    type: multistart\n    analyses: [{type: multistart_average_ar}]\n"
    document = report_of(workspace, STACK + ACCURACY + again)
    assert document["failures"] == {}
    assert document["trackers"]["SAM2"]["quality"] == pytest.approx(2.5 / 3)
    assert any(note.startswith("No tracker has results of again") for note in document["notes"])


def test_the_old_form_of_a_sequence(workspace):
    folder = workspace.sequences / "ball"
    for file in (folder / "color").iterdir():
        file.rename(folder / file.name)
    (folder / "sequence").unlink()
    video = read_sequence(folder)
    assert (len(video), video.size) == (4, (30, 40))
    assert not collect(workspace.folder).failures


def test_masks_are_measured_as_davis_does(tmp_path):
    """The frame on which the object is given and the last one do not count."""
    workspace = create(tmp_path / "w")
    workspace.stack.write_text(STACK)
    mask = np.zeros((30, 40), dtype=bool)
    mask[5:15, 5:15] = True
    workspace.add("one", (AnnotatedFrame(np.zeros((30, 40, 3), dtype=np.uint8), {1: mask}) for _ in range(4)))
    write_results(workspace, "SAM2", "one", {"1": ["1", "m6,5,10,10,0,100", "m0,0,0,0,0", "m0,0,0,0,0"]})
    report = complete(workspace.folder, collect(workspace.folder))
    found = report.masks["SAM2"]
    assert found.j == pytest.approx(90 / 110 / 2)
    assert found.f == pytest.approx(1 / 2)
    assert report.boxes == {}


def test_boxes_are_no_truth_to_learn_from(workspace):
    message = "ball: the truth of object 1 are boxes, expected masks to learn from"
    with pytest.raises(Sam2rlError, match=message):
        objects_of(workspace.folder)
    with pytest.raises(Sam2rlError, match=message):
        load_clip(workspace, "ball", 1)
    for command in ("train", "search"):
        run = CliRunner().invoke(app, [command, str(workspace.folder)])
        assert isinstance(run.exception, Sam2rlError)
        assert "are boxes" in str(run.exception)


@pytest.mark.slow
def test_our_tracker_on_boxes_and_polygons_of_one_object_and_of_several(tmp_path):
    """By the real toolkit: each object is answered in the form that it was given in."""
    workspace = create(tmp_path / "w")
    registry = workspace.folder / "trackers.ini"
    package = Path(sam2rl_tracker.__file__).parents[1]
    registry.write_text(registry.read_text().replace("timeout = 600", f"timeout = 600\npaths = {package}"))
    scene = generate_scene(11, 4, 96, 1)
    x, y, width, height = bounding_box(scene.labels[0] == 1)
    corners = f"{x},{y},{x + width},{y},{x + width},{y + height},{x},{y + height}"
    mask = encode(scene.labels[0] == 1).line()
    forms = {"box": f"{x},{y},{width},{height}", "corners": corners, "mask": mask}
    for name, lines in (("one", {"": forms["box"]}), ("three", {f"_{k}": line for k, line in forms.items()})):
        folder = workspace.sequences / name
        (folder / "color").mkdir(parents=True)
        for t, image in enumerate(scene.images):
            Image.fromarray(image).save(folder / "color" / f"{t + 1:08d}.png")
        (folder / "sequence").write_text("channels.color=color/%08d.png\n")
        for suffix, line in lines.items():
            (folder / f"groundtruth{suffix}.txt").write_text(f"{line}\n" * 4)
    (workspace.sequences / "list.txt").write_text("one\nthree\n")
    workspace.stack.write_text(STACK.replace("    analyses:", "    multiobject: True"))
    assert evaluate(workspace.folder, ["SAM2"]) == []
    results = workspace.folder / "results" / "SAM2" / "baseline"
    shapes = {}
    for file in sorted(results.glob("*/*.bin")):
        regions = read_trajectory(file.read_bytes())[1:]
        shapes[file.stem] = {len(region.outline) for region in regions if isinstance(region, Region)}
        found = regions[0]
        assert isinstance(found, Region)
        overlap = compare_with_truth([found] * 4, read_sequence(workspace.sequences / "one"), 1).overlaps[1]
        assert overlap > 0.5, file
    assert shapes == {"one_001": {4}, "three_box_001": {4}, "three_corners_001": {8}, "three_mask_001": {0}}
