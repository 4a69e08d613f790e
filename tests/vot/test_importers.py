"""Importers of frames and of public data sets, on tiny folders of the same layouts."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import LOCK
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.vot.importers import import_davis, import_frames, import_sav
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import open_workspace

HEIGHT, WIDTH = 32, 48


def compress(mask: np.ndarray) -> dict:
    """A mask, bool [h, w], as a JSON file of SA-V holds it."""
    rle = pycoco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def mask(x: int) -> np.ndarray:
    found = np.zeros((HEIGHT, WIDTH), dtype=bool)
    found[4:14, x : x + 8] = True
    return found


def write_image(path: Path, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), value, np.uint8)).save(path)


def read(folder: Path, name: str):
    return read_sequence(open_workspace(folder).sequences / name)


# ---------------------------------------------------------------- DAVIS


@pytest.fixture
def davis(tmp_path):
    """`bear` as in DAVIS 2016 (255 = the object), `bike` as in 2017 (two objects), `dog` with one mask only."""
    root = tmp_path / "DAVIS"
    for name, masked in (("bear", 3), ("bike", 3), ("dog", 1)):
        for t in range(3):
            write_image(root / "JPEGImages/480p" / name / f"{t:05d}.jpg")
            if t < masked:
                labels = np.zeros((HEIGHT, WIDTH), np.uint8)
                labels[mask(t)] = 255 if name == "bear" else 1
                if name == "bike":
                    labels[mask(t + 20)] = 2
                path = root / "Annotations/480p" / name / f"{t:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_index_mask(path, labels)
    lists = {
        "2017/train.txt": "bike\ndog\n",
        "480p/val.txt": "".join(f"/J/480p/bear/{t}.jpg /A/x.png\n" for t in (0, 1)),
    }
    for name, text in lists.items():
        (root / "ImageSets" / name).parent.mkdir(parents=True)
        (root / "ImageSets" / name).write_text(text)
    return root


def test_davis(davis, tmp_path):
    assert import_davis(davis, tmp_path / "w") == ["bear", "bike", "dog"]
    bear = read(tmp_path / "w", "bear")
    assert list(bear.regions) == [1]
    assert np.array_equal(bear.masks(1)[2], mask(2))
    assert not bear.ignored_masks().any()
    assert list(read(tmp_path / "w", "bike").regions) == [1, 2]
    assert read(tmp_path / "w", "dog").known(1).tolist() == [True, False, False]


def test_davis_splits(davis, tmp_path):
    assert import_davis(davis, tmp_path / "w17", split="train") == ["bike", "dog"]
    assert import_davis(davis, tmp_path / "w16", split="val") == ["bear"]
    assert import_davis(davis, tmp_path / "w", sequences=["dog"]) == ["dog"]
    with pytest.raises(Sam2rlError, match="no split test, expected one of train, val"):
        import_davis(davis, tmp_path / "w", split="test")
    with pytest.raises(Sam2rlError, match="no sequence cat, expected one of bear, bike, dog"):
        import_davis(davis, tmp_path / "w", sequences=["cat"])
    with pytest.raises(Sam2rlError, match="is not a DAVIS folder"):
        import_davis(tmp_path, tmp_path / "w")


# ---------------------------------------------------------------- SA-V


def test_sav_videos(tmp_path):
    """12 frames at 24 fps, of which 0, 4 and 8 are annotated; the second object appears on the second of them."""
    folder = tmp_path / "sav" / "sav_000"
    folder.mkdir(parents=True)
    with VideoWriter(folder / "sav_000001.mp4", fps=24) as video:
        for t in range(12):
            video.write(np.full((HEIGHT, WIDTH, 3), 20 * t, np.uint8))
    nothing = np.zeros((HEIGHT, WIDTH), dtype=bool)
    masklet = [[mask(0), nothing], [mask(4), mask(20)], [nothing, mask(24)]]
    data = {"masklet_id": [0, 3], "masklet": [[compress(one) for one in frame] for frame in masklet]}
    (folder / "sav_000001_manual.json").write_text(json.dumps(data))

    assert import_sav(tmp_path / "sav", tmp_path / "w") == ["sav_000001"]
    sequence = read(tmp_path / "w", "sav_000001")
    values = [np.asarray(Image.open(file)).mean() for file in sequence.images]
    assert values == pytest.approx([0, 80, 160], abs=4)
    assert list(sequence.regions) == [1, 4]
    assert [np.array_equal(sequence.masks(1)[t], masklet[t][0]) for t in range(3)] == [True] * 3
    assert sequence.known(4).tolist() == [False, True, True]
    assert np.array_equal(sequence.masks(4)[2], mask(24))

    for damaged in ("no json", "{}", '{"masklet_id": [0], "masklet": [[{"size": [2, 2], "counts": "9"}]]}'):
        (folder / "sav_000001_manual.json").write_text(damaged)
        with pytest.raises(Sam2rlError, match=r"sav_000001_manual\.json is not a manual annotation"):
            import_sav(tmp_path / "sav", tmp_path / "w2")


def test_sav_frames(tmp_path):
    root = tmp_path / "sav_val"
    for t in range(9):
        write_image(root / "JPEGImages_24fps" / "sav_7" / f"{t:05d}.jpg", value=20 * t)
    for k, masks in {"000": {0: 1, 4: 2, 8: 3}, "001": {4: 20, 8: 21}}.items():
        folder = root / "Annotations_6fps" / "sav_7" / k
        folder.mkdir(parents=True)
        for t, x in masks.items():
            Image.fromarray(mask(x).astype(np.uint8) * 255).save(folder / f"{t:05d}.png")

    assert import_sav(root, tmp_path / "w") == ["sav_7"]
    sequence = read(tmp_path / "w", "sav_7")
    for image, t in zip(sequence.images, (0, 4, 8), strict=True):
        assert image.read_bytes() == (root / "JPEGImages_24fps" / "sav_7" / f"{t:05d}.jpg").read_bytes()
    assert list(sequence.regions) == [1, 2]
    assert sequence.known(2).tolist() == [False, True, True]
    assert np.array_equal(sequence.masks(1)[2], mask(3))

    (root / "JPEGImages_24fps" / "sav_7" / "00004.jpg").unlink()
    with pytest.raises(Sam2rlError, match="no frame 00004"):
        import_sav(root, tmp_path / "w2")


def test_sav_in_no_known_layout(tmp_path):
    with pytest.raises(Sam2rlError, match="is not a folder of SA-V"):
        import_sav(tmp_path, tmp_path / "w")


# ---------------------------------------------------------------- frames and masks


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
    assert not [entry for entry in workspace.sequences.glob(".*") if entry.name != LOCK]

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
