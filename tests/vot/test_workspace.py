"""Workspaces: the template, generated sequences, and imported frames."""

import filecmp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import TEMPLATE, create, generate, import_frames, open_workspace

ROOT = Path(__file__).parents[2]


def make_source(folder: Path, suffix: str = ".jpg", masked: tuple[int, ...] = (1, 2, 3)) -> Path:
    """Three frames with objects 1 and 3 and an ignored row."""
    (folder / "color").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number in (1, 2, 3):
        Image.fromarray(np.full((20, 30, 3), 50 * number, np.uint8)).save(folder / "color" / f"{number}{suffix}")
        if number in masked:
            labels = np.zeros((20, 30), np.uint8)
            labels[2:8, number : number + 6] = 1
            labels[10:15, 20:28] = 3
            labels[19] = 255
            write_index_mask(folder / "masks" / f"{number}.png", labels)
    return folder


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


def test_import_frames(tmp_path):
    source = make_source(tmp_path / "my video", masked=(1, 3))
    assert import_frames(source, tmp_path / "w") == "my video"
    workspace = open_workspace(tmp_path / "w")
    assert workspace.names() == ["my video"]
    sequence = read_sequence(workspace.sequences / "my video")
    assert sequence.known(1).tolist() == sequence.known(3).tolist() == [True, False, True]
    assert np.argwhere(sequence.masks(1)[2]).min(axis=0).tolist() == [2, 3]
    assert sequence.ignored_masks().any(axis=(1, 2)).tolist() == [True, False, True]
    assert sequence.images[1].read_bytes() == (source / "color" / "2.jpg").read_bytes()
    assert not [entry for entry in workspace.sequences.iterdir() if entry.name.startswith(".")]

    import_frames(make_source(tmp_path / "second", suffix=".bmp"), tmp_path / "w")
    assert (workspace.sequences / "list.txt").read_text() == "my video\nsecond\n"
    with pytest.raises(Sam2rlError, match="has a sequence second already"):
        import_frames(tmp_path / "second", tmp_path / "w")


def test_import_of_unsuitable_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Sam2rlError, match="empty/color cannot be listed"):
        import_frames(tmp_path / "empty", tmp_path / "w")

    source = make_source(tmp_path / "extra")
    write_index_mask(source / "masks" / "9.png", np.ones((20, 30), np.uint8))
    with pytest.raises(Sam2rlError, match=r"mask 9\.png in .* has no frame"):
        import_frames(source, tmp_path / "w")

    source = make_source(tmp_path / "size")
    write_index_mask(source / "masks" / "2.png", np.ones((20, 31), np.uint8))
    with pytest.raises(Sam2rlError, match="Frame 2 of size is 30x20 pixels but its mask is 31x20"):
        import_frames(source, tmp_path / "w")

    source = make_source(tmp_path / "nothing", masked=(1,))
    write_index_mask(source / "masks" / "1.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(Sam2rlError, match="nothing has no object"):
        import_frames(source, tmp_path / "w")

    source = make_source(tmp_path / "damaged")
    (source / "color" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(Sam2rlError, match=r"3\.jpg is not an image"):
        import_frames(source, tmp_path / "w")
    assert open_workspace(tmp_path / "w").names() == []

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(Sam2rlError, match="is not a VOT workspace"):
        import_frames(make_source(tmp_path / "fine"), tmp_path / "other")


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
    with pytest.raises(Sam2rlError, match="preset 'x' is unknown"):
        generate(tmp_path / "new", 1, seed=0, preset="x")
    assert not (tmp_path / "new").exists()
