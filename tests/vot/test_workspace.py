"""Workspaces: the template, what is refused, and generated sequences."""

import filecmp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import TEMPLATE, checked_workspace, create, generate, open_workspace

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "workspace_template").is_dir(), reason="only in the repository")
def test_the_repository_shows_the_template_of_the_package():
    for name in ("trackers.ini", "stack.yaml", "config.yaml"):
        assert filecmp.cmp(TEMPLATE / name, ROOT / "workspace_template" / name, shallow=False)
    assert filecmp.cmp(TEMPLATE / "trackers.ini", ROOT / "trackers.ini", shallow=False)


def test_create(tmp_path):
    workspace = create(tmp_path / "new")
    assert workspace.names() == []
    assert open_workspace(tmp_path / "new") == workspace
    with pytest.raises(Sam2rlError, match="is not empty"):
        create(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(Sam2rlError, match="is not empty"):
        create(tmp_path / "file")


@pytest.mark.parametrize("text", ["a: [", "sequences: s", "- 1"])
def test_damaged_configuration(tmp_path, text):
    create(tmp_path / "w")
    (tmp_path / "w" / "config.yaml").write_text(text)
    with pytest.raises(Sam2rlError, match=r"config\.yaml"):
        open_workspace(tmp_path / "w")


def test_generate(tmp_path):
    scenes = pytest.importorskip("sam2rl_tracker.synthetic.scenes")
    assert generate(tmp_path / "w", 2, seed=5, frames=6, size=64, objects=2) == ["scene-00005", "scene-00006"]
    workspace = open_workspace(tmp_path / "w")
    assert workspace.names() == ["scene-00005", "scene-00006"]
    scene = scenes.generate_scene(6, frames=6, size=64, objects=2)
    sequence = read_sequence(workspace.sequences / "scene-00006")
    assert np.array_equal(np.asarray(Image.open(sequence.images[3])), scene.images[3])
    for k in (1, 2):
        assert np.array_equal(sequence.masks(k), scene.labels == k)
    with pytest.raises(Sam2rlError, match="already"):
        generate(tmp_path / "w", 3, seed=4, frames=6, size=64)
    assert len(open_workspace(tmp_path / "w").names()) == 2  # not even the first, which would have been new
    generate(tmp_path / "w", 1, seed=7, frames=6, size=64, preset="hard")
    sequence = read_sequence(workspace.sequences / "scene-hard-00007")
    hard = scenes.generate_scene(7, frames=6, size=64, preset="hard")
    assert np.array_equal(np.asarray(Image.open(sequence.images[3])), hard.images[3])
    with pytest.raises(Sam2rlError, match="Preset 'x' is unknown"):
        generate(tmp_path / "new", 1, seed=0, preset="x")
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------- unsuitable for an evaluation


def test_no_workspace(tmp_path):
    with pytest.raises(Sam2rlError, match=r"not a VOT workspace.*sam2rl workspace create"):
        checked_workspace(tmp_path)


def test_no_sequences(tmp_path):
    create(tmp_path / "w")
    with pytest.raises(Sam2rlError, match="names no sequences"):
        checked_workspace(tmp_path / "w")


def test_no_list(tmp_path):
    (create(tmp_path / "w").sequences / "list.txt").unlink()
    with pytest.raises(Sam2rlError, match=r"has no sequences/list\.txt"):
        checked_workspace(tmp_path / "w")


def test_blank_line_in_the_list(tmp_path):
    (create(tmp_path / "w").sequences / "list.txt").write_text("one\n\ntwo\n")
    with pytest.raises(Sam2rlError, match=r"Line 2 of .* is blank"):
        checked_workspace(tmp_path / "w")


def test_no_ground_truth(tmp_path):
    workspace = create(tmp_path / "w")
    (workspace.sequences / "list.txt").write_text("one\n")
    with pytest.raises(Sam2rlError, match="one is not a sequence"):
        checked_workspace(workspace.folder)
    (workspace.sequences / "one").mkdir()
    (workspace.sequences / "one" / "sequence").touch()
    with pytest.raises(Sam2rlError, match="has no ground truth"):
        checked_workspace(workspace.folder)


@pytest.mark.parametrize("text", ["", "experiments: 3", "a: [", "title: x"])
def test_damaged_stack(tmp_path, text):
    workspace = create(tmp_path / "w")
    sequence = workspace.sequences / "one"
    sequence.mkdir()
    (sequence / "sequence").touch()
    (sequence / "groundtruth.txt").write_text("1,1,2,2\n")
    (workspace.sequences / "list.txt").write_text("one\n")
    workspace.stack.write_text(text)
    with pytest.raises(Sam2rlError, match="is not a stack of experiments"):
        checked_workspace(workspace.folder)
