"""Workspaces: the template, what is refused, and generated sequences."""

import filecmp
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.locks import exclusive
from sam2rl_tracker.vot.sequences import AnnotatedFrame, read_sequence
from sam2rl_tracker.vot.workspace import (
    TEMPLATE,
    TEMPLATE_FILES,
    checked_workspace,
    create,
    generate,
    open_or_create,
    open_workspace,
)

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
    (tmp_path / "drive" / "@eaDir").mkdir(parents=True)  # as network drives put into every folder
    create(tmp_path / "drive")


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


# ---------------------------------------------------------------- two commands at once


def frames(before=lambda: None):
    """Two frames with an object; `before` is called when the first has been written."""
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:6, 2:6] = True
    yield AnnotatedFrame(image, {1: mask})
    before()
    yield AnnotatedFrame(image, {1: mask})


def test_commands_that_add_at_the_same_time(tmp_path):
    """All are in the middle of a sequence at once: nothing vanishes from the list."""
    workspace = create(tmp_path / "w")
    names = [f"clip-{k}" for k in range(8)]
    barrier = threading.Barrier(len(names), timeout=10)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: workspace.add(name, frames(barrier.wait)), names))
    assert sorted(workspace.names()) == names
    assert all(len(read_sequence(workspace.sequences / name)) == 2 for name in names)


def test_a_reader_sees_whole_sequences(tmp_path):
    workspace = create(tmp_path / "w")
    workspace.add("one", frames())
    seen = []

    def look():
        there = {path.name for path in workspace.sequences.iterdir() if not path.name.startswith(".")}
        seen.append((workspace.names(), there))

    workspace.add("two", frames(look))
    assert seen == [(["one"], {"one", "list.txt"})]
    assert workspace.names() == ["one", "two"]


def test_two_commands_that_add_the_same_sequence(tmp_path):
    workspace = create(tmp_path / "w")

    def first():
        workspace.add("one", frames())

    with pytest.raises(Sam2rlError, match="one exists already"):
        workspace.add("one", frames(first))
    assert workspace.names() == ["one"]
    assert len(read_sequence(workspace.sequences / "one")) == 2


def test_a_command_waits_while_the_list_is_written(tmp_path):
    workspace = create(tmp_path / "w")
    thread = threading.Thread(target=lambda: workspace.add("one", frames()))
    with exclusive(workspace.sequences, "test"):
        thread.start()
        while not (workspace.sequences / "one").is_dir():
            time.sleep(0.01)
        (workspace.sequences / "list.txt").write_text("two\n")  # what the lock's holder enters
    thread.join()
    assert workspace.names() == ["two", "one"]


@pytest.mark.parametrize("count", range(4))
def test_a_workspace_that_another_command_is_making(tmp_path, count):
    """Or that an interrupted one left: it is completed, and nothing in it is replaced."""
    folder = tmp_path / "w"
    (folder / "sequences").mkdir(parents=True)
    if count > 0:
        (folder / "sequences" / "list.txt").touch()
    for name in TEMPLATE_FILES[: count - 1] if count > 1 else ():
        (folder / name).write_text(f"# {(TEMPLATE / name).read_text()}")
    workspace = open_or_create(folder)
    assert workspace.names() == []
    assert [one.name for one in workspace.experiments()] == ["baseline"]
    for name in TEMPLATE_FILES[: count - 1] if count > 1 else ():
        assert (folder / name).read_text().startswith("# ")


def test_a_folder_that_is_no_beginning_of_a_workspace(tmp_path):
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences" / "holiday.mp4").touch()
    with pytest.raises(Sam2rlError, match="is not empty"):
        create(tmp_path)
    with pytest.raises(Sam2rlError, match="is not a VOT workspace"):
        open_or_create(tmp_path)


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
