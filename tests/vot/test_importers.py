"""Importers of frames and of public data sets, on tiny folders of the same layouts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.locks import LOCK
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.vot.importers import Unmentioned, import_davis, import_frames, import_sav, import_vos
from sam2rl_tracker.vot.importing import IMPORT_FILE
from sam2rl_tracker.vot.sequences import check_sequence_name, read_sequence
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
    assert import_davis(davis, tmp_path / "w").added == ["bear", "bike", "dog"]
    bear = read(tmp_path / "w", "bear")
    assert list(bear.regions) == [1]
    assert np.array_equal(bear.masks(1)[2], mask(2))
    assert not bear.ignored_masks().any()
    assert list(read(tmp_path / "w", "bike").regions) == [1, 2]
    assert read(tmp_path / "w", "dog").known(1).tolist() == [True, False, False]


def test_davis_splits(davis, tmp_path):
    assert import_davis(davis, tmp_path / "w17", split="train").added == ["bike", "dog"]
    assert import_davis(davis, tmp_path / "w16", split="val").added == ["bear"]
    assert import_davis(davis, tmp_path / "w", sequences=["dog"]).added == ["dog"]
    with pytest.raises(Sam2rlError, match="no split test, expected one of train, val"):
        import_davis(davis, tmp_path / "w", split="test")
    with pytest.raises(Sam2rlError, match="no sequence cat, expected one of bear, bike, dog"):
        import_davis(davis, tmp_path / "w", sequences=["cat"])
    with pytest.raises(Sam2rlError, match="lacks JPEGImages or Annotations"):
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

    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "sav_000").symlink_to(folder)
    (folder / "around").symlink_to(folder)
    assert import_sav(linked, tmp_path / "w").added == ["sav_000001"]
    sequence = read(tmp_path / "w", "sav_000001")
    values = [np.asarray(Image.open(file)).mean() for file in sequence.images]
    assert values == pytest.approx([0, 80, 160], abs=4)
    assert list(sequence.regions) == [1, 4]
    assert [np.array_equal(sequence.masks(1)[t], masklet[t][0]) for t in range(3)] == [True] * 3
    assert sequence.known(4).tolist() == [False, True, True]
    assert np.array_equal(sequence.masks(4)[2], mask(24))

    for damaged in ("no json", "{}", '{"masklet_id": [0], "masklet": [[{"size": [2, 2], "counts": "9"}]]}'):
        (folder / "sav_000001_manual.json").write_text(damaged)
        failures = import_sav(tmp_path / "sav", tmp_path / "w2").failures
        assert "sav_000001_manual.json is not a manual annotation" in failures["sav_000001"]


def test_sav_frames(tmp_path):
    root = tmp_path / "sav_val"
    for t in range(9):
        write_image(root / "JPEGImages_24fps" / "sav_7" / f"{t:05d}.jpg", value=20 * t)
    for k, masks in {"000": {0: 1, 4: 2, 8: 3}, "001": {4: 20, 8: 21}}.items():
        folder = root / "Annotations_6fps" / "sav_7" / k
        folder.mkdir(parents=True)
        for t, x in masks.items():
            Image.fromarray(mask(x).astype(np.uint8) * 255).save(folder / f"{t:05d}.png")

    assert import_sav(root, tmp_path / "w").added == ["sav_7"]
    sequence = read(tmp_path / "w", "sav_7")
    for image, t in zip(sequence.images, (0, 4, 8), strict=True):
        assert image.read_bytes() == (root / "JPEGImages_24fps" / "sav_7" / f"{t:05d}.jpg").read_bytes()
    assert list(sequence.regions) == [1, 2]
    assert sequence.known(2).tolist() == [False, True, True]
    assert np.array_equal(sequence.masks(1)[2], mask(3))

    (root / "JPEGImages_24fps" / "sav_7" / "00004.jpg").unlink()
    assert "no frame 00004" in import_sav(root, tmp_path / "w2").failures["sav_7"]


def test_void_in_the_masks_of_an_object_is_not_the_object(tmp_path):
    write_image(tmp_path / "JPEGImages" / "v" / "00000.jpg", value=20)
    folder = tmp_path / "Annotations" / "v" / "001"
    folder.mkdir(parents=True)
    labels = mask(1).astype(np.uint8)
    labels[-1] = 255
    Image.fromarray(labels).save(folder / "00000.png")
    assert import_vos(tmp_path, tmp_path / "w").added == ["v"]
    assert np.array_equal(read(tmp_path / "w", "v").masks(2)[0], mask(1))
    folder.with_name("1").mkdir()
    Image.fromarray(labels).save(folder.with_name("1") / "00000.png")
    assert "two folders of one object among 001, 1" in import_vos(tmp_path, tmp_path / "w2").failures["v"]


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
    assert import_frames(source, tmp_path / "w").added == ["my video"]
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
    assert import_frames(tmp_path / "second", tmp_path / "w").kept == ["second"]


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


# ---------------------------------------------------------------- objects that a mask does not show


def video(
    root: Path, length: int, labels: dict[int, dict[int, int]], images: str = "color", masks: str = "masks"
) -> Path:
    """Frames, and masks of some of them."""
    for t in range(length):
        write_image(root / images / f"{t:05d}.jpg", value=10 * t)
    (root / masks).mkdir(parents=True)
    for t, objects in labels.items():
        drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, x in objects.items():
            drawn[mask(x)] = k
        write_index_mask(root / masks / f"{t:05d}.png", drawn)
    return root


def truth(folder: Path, name: str, k: int) -> str:
    """An object frame by frame: `#` visible, `.` absent, `?` unknown."""
    sequence = read(folder, name)
    seen, known = sequence.masks(k).any(axis=(1, 2)), sequence.known(k)
    return "".join("?" if not sure else "#" if there else "." for there, sure in zip(seen, known, strict=True))


NEW_ONE = {0: {3: 2}, 4: {7: 20}, 6: {7: 24}}
"""On frame 4 the mask shows the new object alone; on frame 6 it shows one that was seen before."""


@pytest.mark.parametrize(
    ("unmentioned", "first"),
    [
        (Unmentioned.NEW, "#?????.?"),
        (Unmentioned.SPARSE, "#???????"),
        (Unmentioned.UNKNOWN, "#???????"),
        (Unmentioned.ABSENT, "#???.?.?"),
    ],
)
def test_an_object_that_a_sparse_mask_does_not_show(tmp_path, unmentioned, first):
    import_frames(video(tmp_path / "s", 8, NEW_ONE), tmp_path / "w", unmentioned)
    assert truth(tmp_path / "w", "s", 3) == first
    assert truth(tmp_path / "w", "s", 7) == "????#?#?"


@pytest.mark.parametrize(
    ("unmentioned", "first"),
    [(Unmentioned.NEW, "##..#"), (Unmentioned.SPARSE, "##..#"), (Unmentioned.UNKNOWN, "##??#")],
)
def test_an_object_that_a_dense_mask_does_not_show_is_absent(tmp_path, unmentioned, first):
    labels = {0: {1: 2}, 1: {1: 2}, 2: {2: 20}, 3: {2: 20}, 4: {1: 2, 2: 20}}
    import_frames(video(tmp_path / "s", 5, labels), tmp_path / "w", unmentioned)
    assert truth(tmp_path / "w", "s", 1) == first


def test_black_and_white_masks_whose_object_comes_late(tmp_path):
    """The first masks say neither what 255 means, nor where the object is."""
    source = video(tmp_path / "s", 4, {0: {}, 1: {}, 2: {255: 4}, 3: {255: 5}})
    imported = import_frames(source, tmp_path / "w")
    assert truth(tmp_path / "w", "s", 1) == "##"
    assert imported.notes == ["s: 2 of 4 frames come before the first object and are left out."]


# ---------------------------------------------------------------- layouts


def layout(root: Path, images: str, annotations: str, names: tuple[str, ...] = ("a", "b"), masked=range(3)) -> Path:
    for name in names:
        labels = {t: {1: 2 + t} for t in masked}
        video(root, 3, labels, images=f"{images}/{name}", masks=f"{annotations}/{name}")
    return root


@pytest.mark.parametrize("importer", [import_davis, import_vos])
@pytest.mark.parametrize(
    ("images", "annotations"),
    [
        ("JPEGImages", "Annotations"),
        ("JPEGImages/480p", "Annotations/480p"),
        ("JPEGImages/1080p", "Annotations/1080p"),
        ("JPEGImages/Full-Resolution", "Annotations/Full-Resolution"),
        ("JPEGImages/Full-Resolution", "Annotations"),
        ("JPEGImages", "Annotations/480p"),
    ],
)
def test_layouts(tmp_path, importer, images, annotations):
    source = layout(tmp_path / "data", images, annotations)
    imported = importer(source, tmp_path / "w")
    assert (imported.added, imported.failures) == (["a", "b"], {})
    assert truth(tmp_path / "w", "b", 1) == "###"


def test_of_several_resolutions_480p_or_the_one_asked_for(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages/480p", "Annotations/480p", names=("a",))
    layout(source, "JPEGImages/1080p", "Annotations/1080p", names=("b",))
    assert import_davis(source, tmp_path / "w").added == ["a"]
    assert import_davis(source, tmp_path / "w", resolution="1080p").added == ["b"]
    with pytest.raises(Sam2rlError, match="no resolution 4K, expected one of those there: 1080p, 480p"):
        import_davis(source, tmp_path / "w", resolution="4K")


def test_masks_of_the_first_frames_only(tmp_path):
    """As in the validation sets of YouTube-VOS and MOSE: a second object is marked where it appears."""
    video(tmp_path / "vos", 6, {0: {1: 2}, 3: {2: 20}}, "JPEGImages/v", "Annotations/v")
    imported = import_vos(tmp_path / "vos", tmp_path / "w")
    assert imported.failures == {}
    assert (truth(tmp_path / "w", "v", 1), truth(tmp_path / "w", "v", 2)) == ("#?????", "???#??")


def test_folders_of_masks_per_object(tmp_path):
    root = tmp_path / "sav_val"
    for t in range(5):
        write_image(root / "JPEGImages_24fps" / "v" / f"{t:05d}.jpg")
    folder = root / "Annotations_6fps" / "v" / "000"
    folder.mkdir(parents=True)
    for t in (0, 4):
        Image.fromarray(mask(t).astype(np.uint8) * 255).save(folder / f"{t:05d}.png")
    import_vos(root, tmp_path / "w")
    assert truth(tmp_path / "w", "v", 1) == "#???#"


def test_a_folder_above_the_data_is_told_the_ones_below(tmp_path):
    layout(tmp_path / "lvos" / "valid", "JPEGImages", "Annotations")
    with pytest.raises(Sam2rlError, match=r"give one of .*lvos/valid"):
        import_vos(tmp_path / "lvos", tmp_path / "w")


def test_a_split_without_a_folder_of_its_own(tmp_path):
    source = layout(tmp_path / "vost", "JPEGImages", "Annotations")
    (source / "ImageSets").mkdir()
    (source / "ImageSets" / "val.txt").write_text("b\n")
    assert import_vos(source, tmp_path / "w", split="val").added == ["b"]


def test_a_sequence_that_a_split_names_and_that_is_missing_holds_back_no_other(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations")
    (source / "ImageSets").mkdir()
    (source / "ImageSets" / "val.txt").write_text("gone\na\n")
    imported = import_vos(source, tmp_path / "w", split="val")
    assert imported.added == ["a"]
    assert "There is no folder" in imported.failures["gone"]


def test_videos_of_one_name_are_not_taken_for_one(tmp_path):
    for name in ("1", "2"):
        (tmp_path / "sav" / name).mkdir(parents=True)
        (tmp_path / "sav" / name / "v_manual.json").write_text("{}")
    assert "several videos of this name" in import_sav(tmp_path / "sav", tmp_path / "w").failures["v"]


def test_an_object_that_is_too_thin_for_the_toolkit_is_named(tmp_path):
    source = video(tmp_path / "s", 2, {0: {1: 2}, 1: {1: 2}})
    labels = mask(2).astype(np.uint8)
    labels[20, 5:9] = 2
    write_index_mask(source / "masks" / "00001.png", labels)
    imported = import_frames(source, tmp_path / "w")
    assert imported.notes == ["s: object 2 is nowhere two pixels wide and tall, and is left out."]


def test_videos_without_masks_are_named(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations")
    write_image(source / "JPEGImages" / "c" / "00000.jpg")
    imported = import_davis(source, tmp_path / "w")
    assert imported.added == ["a", "b"]
    assert imported.notes[-1].endswith("has no masks of them: c.")


def test_clutter_is_skipped_and_counted(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages/480p", "Annotations/480p", names=("a",))
    for place in ("JPEGImages", "JPEGImages/480p", "Annotations/480p", "Annotations/480p/a"):
        (source / place / "@eaDir").mkdir()
        (source / place / ".DS_Store").write_text("x")
        (source / place / "Thumbs.db").write_text("x")
    (source / "Annotations/480p/a/._00000.png").write_text("x")
    (source / "ImageSets").mkdir()
    (source / "ImageSets" / "._val.txt").write_text("x")
    imported = import_davis(source, tmp_path / "w")
    assert (imported.added, imported.failures) == (["a"], {})
    assert imported.skipped == {"@eaDir": 3, ".DS_Store": 3, "Thumbs.db": 3, "._*": 1}


def test_clutter_beside_the_videos_of_sav(tmp_path):
    folder = tmp_path / "sav"
    for name in ("._v_manual.json", "@eaDir/v_manual.json", "__MACOSX/v_manual.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    with pytest.raises(Sam2rlError, match="is not a folder of SA-V"):
        import_sav(folder, tmp_path / "w")


def test_misnumbered_masks_are_refused(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations")
    for t in (2, 1, 0):
        (source / f"JPEGImages/b/{t:05d}.jpg").rename(source / f"JPEGImages/b/{t + 1:05d}.jpg")
    imported = import_davis(source, tmp_path / "w")
    assert imported.added == ["a"]
    assert "The mask 00000.png" in imported.failures["b"]
    assert "frames are 00001.jpg to 00003.jpg (3) while the masks are 00000.png to 00002.png" in imported.failures["b"]


@pytest.mark.parametrize("name", ["x[1]", "50%", "a*", "end ", " begin", "Tür", ".hidden"])
def test_names_that_the_toolkit_cannot_read_are_refused(tmp_path, name):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations", names=(name, "fine"))
    with pytest.raises(Sam2rlError, match="A sequence cannot be called"):
        check_sequence_name(name)
    imported = import_vos(source, tmp_path / "w")
    assert imported.added == ["fine"]
    assert set(imported.failures) == ({name} if name != ".hidden" else set())  # hidden files are clutter
    assert open_workspace(tmp_path / "w").names() == ["fine"]


def test_a_workspace_in_a_folder_that_the_toolkit_cannot_read(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations")
    for name in ("w[1]", "100%", "Tür", "it's"):
        with pytest.raises(Sam2rlError, match="The workspace cannot lie in"):
            import_vos(source, tmp_path / name / "w")
        assert not (tmp_path / name).exists()


# ---------------------------------------------------------------- again


def test_an_import_goes_on_past_a_damaged_sequence_and_from_there(tmp_path):
    source = layout(tmp_path / "data", "JPEGImages", "Annotations", names=("a", "b", "c"))
    damaged = source / "JPEGImages/b/00001.jpg"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    first = import_davis(source, tmp_path / "w")
    assert (first.added, list(first.failures)) == (["a", "c"], ["b"])
    damaged.write_bytes(whole)
    written = [file.stat().st_mtime_ns for file in sorted((tmp_path / "w/sequences/a").rglob("*"))]
    second = import_davis(source, tmp_path / "w")
    assert (second.added, second.kept, second.failures) == (["b"], ["a", "c"], {})
    assert [file.stat().st_mtime_ns for file in sorted((tmp_path / "w/sequences/a").rglob("*"))] == written
    assert open_workspace(tmp_path / "w").names() == ["a", "c", "b"]


@pytest.fixture
def again(tmp_path):
    """A source that was imported into `w`, and the new sequence's folder."""
    source = video(tmp_path / "s", 4, {t: {1: 2 + t} for t in range(4)})
    import_frames(source, tmp_path / "w")
    return source, tmp_path / "w", tmp_path / "w" / "sequences" / "s"


def test_other_times_and_no_note_do_not_make_another_sequence(again):
    source, workspace, folder = again
    os.utime(source / "color" / "00000.jpg", (1, 1))
    assert import_frames(source, workspace).kept == ["s"]
    (folder / IMPORT_FILE).unlink()  # as before imports could be repeated
    (folder / "mine.tag").write_text("1\n")
    assert import_frames(source, workspace).kept == ["s"]
    assert (folder / "mine.tag").is_file()


def test_another_sequence_of_the_same_name_is_refused_and_kept(again):
    source, workspace, folder = again
    before = (folder / "groundtruth_1.txt").read_text()
    write_index_mask(source / "masks" / "00003.png", mask(30).astype(np.uint8))
    with pytest.raises(Sam2rlError, match=r"has another sequence s already.*groundtruth_1\.txt differs"):
        import_frames(source, workspace)
    assert (folder / "groundtruth_1.txt").read_text() == before
    assert {entry.name for entry in folder.parent.iterdir() if entry.name.startswith(".")} <= {".lock"}


def test_an_unfinished_sequence_is_made_anew_unless_something_would_be_lost(again):
    source, workspace, folder = again
    whole = (folder / "color" / "00000004.jpg").read_bytes()
    (folder / "color" / "00000004.jpg").unlink()
    (folder / "color" / "00000003.jpg").write_bytes(whole[:0])
    imported = import_frames(source, workspace)
    assert (imported.added, imported.notes) == (["s"], ["s: it was there but not finished, and was made anew."])
    assert (folder / "color" / "00000004.jpg").read_bytes() == whole

    (folder / "sequence").unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(Sam2rlError, match=r"notes\.txt differs"):
        import_frames(source, workspace)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_sequence_that_is_not_listed_is_entered(again):
    source, workspace, folder = again
    (folder.parent / "list.txt").write_text("")
    assert import_frames(source, workspace).kept == ["s"]
    assert open_workspace(workspace).names() == ["s"]
    shutil.rmtree(folder)  # and one that is listed but gone is made again
    assert import_frames(source, workspace).added == ["s"]
    assert open_workspace(workspace).names() == ["s"]


def test_a_link_names_its_sequence(again):
    source, workspace, _ = again
    link = source.with_name("dog")
    link.symlink_to(source)
    assert import_frames(link, workspace).added == ["dog"]


def test_what_a_killed_import_left_is_removed(again):
    source, workspace, folder = again
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    numbers = (process.pid, os.getppid())
    names = (".s.{}", ".t.sam2rl-{}-01234567")  # as version 0.1.0 called them, and as they are called now
    leftovers = [folder.with_name(name.format(number)) for name in names for number in numbers]
    for leftover in leftovers:
        leftover.mkdir()
    (folder / f".import.sam2rl-{process.pid}-0123abcd.json").write_text("{")
    import_frames(source, workspace)
    assert [leftover.exists() for leftover in leftovers] == [False, True] * 2
    assert not list(folder.glob(".*"))
