"""Sequences: what is written, that it reads back, and that the toolkit reads the same."""

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.sequences import AnnotatedFrame, read_sequence, write_sequence

SIZE = (20, 30)


def image(value: int = 7) -> np.ndarray:
    return np.full((*SIZE, 3), value, dtype=np.uint8)


def box(x: int, y: int = 2, width: int = 6, height: int = 5) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_ground_truth_lines(tmp_path):
    frames = [
        AnnotatedFrame(image(0), {1: box(1)}),
        AnnotatedFrame(image(1), {1: box(2), 5: box(9)}, ignored=box(0, 0)),
        AnnotatedFrame(image(2), {5: box(10)}),
        AnnotatedFrame(image(3), None),
        AnnotatedFrame(image(4), {1: None, 5: box(11)}),
    ]
    folder = tmp_path / "seq"
    write_sequence(folder, frames, fps=24)

    def lines(name: str) -> list[str]:
        return (folder / name).read_text().splitlines()

    assert lines("groundtruth_1.txt") == ["m1,2,6,5,0,30", "m2,2,6,5,0,30", "m0,0,0,0,0", "0", "0"]
    assert lines("groundtruth_5.txt") == ["0", "m9,2,6,5,0,30", "m10,2,6,5,0,30", "0", "m11,2,6,5,0,30"]
    assert lines("groundtruth__ignore.txt") == ["0", "m0,0,6,5,0,30", "0", "0", "0"]
    assert lines("evaluation.tag") == ["0", "1", "1", "1", "1"]
    assert "channels.color=color/%08d.png" in lines("sequence")
    assert not [entry for entry in tmp_path.iterdir() if entry != folder]

    sequence = read_sequence(folder)
    assert (sequence.name, sequence.size, len(sequence)) == ("seq", SIZE, 5)
    assert (sequence.start(1), sequence.start(5)) == (0, 1)
    assert sequence.known(1).tolist() == [True, True, True, False, False]
    assert np.array_equal(sequence.masks(5)[1], box(9))
    assert not sequence.masks(1)[2:].any()
    assert np.array_equal(sequence.ignored_masks()[1], box(0, 0))
    assert np.array_equal(np.asarray(Image.open(sequence.images[4])), image(4))


def test_the_toolkit_reads_the_same(tmp_path):
    from vot.dataset import load_sequence

    write_sequence(tmp_path / "seq", [AnnotatedFrame(image(), {3: box(t)}, box(20)) for t in range(4)])
    theirs = load_sequence(str(tmp_path / "seq"))
    assert (len(theirs), theirs.size) == (4, (30, 20))
    assert set(theirs.objects()) == {"3", "_ignore"}
    lines = (tmp_path / "seq" / "groundtruth_3.txt").read_text().splitlines()
    assert [str(region) for region in theirs.object("3")] == lines
    assert [theirs.tags(i) for i in range(4)] == [[], ["evaluation"], ["evaluation"], ["evaluation"]]


def test_frames_before_the_first_object_are_left_out(tmp_path):
    """The toolkit cannot start a tracker without an object."""
    frames = [AnnotatedFrame(image(0), None), AnnotatedFrame(image(1), {}), AnnotatedFrame(image(2), {2: box(3)})]
    write_sequence(tmp_path / "seq", frames)
    sequence = read_sequence(tmp_path / "seq")
    assert len(sequence) == 1
    assert np.asarray(Image.open(sequence.images[0])).max() == 2


def test_an_object_begins_where_the_toolkit_can_see_it(tmp_path):
    thin = AnnotatedFrame(image(), {1: box(1), 2: box(9, width=1)})
    write_sequence(tmp_path / "seq", [thin, AnnotatedFrame(image(), {1: box(1), 2: box(9)}), thin])
    assert (tmp_path / "seq" / "groundtruth_2.txt").read_text().splitlines() == ["0", "m9,2,6,5,0,30", "m9,2,1,5,0,5"]


def test_image_files_keep_their_bytes(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.jpeg")
    Image.fromarray(image()).convert("CMYK").save(tmp_path / "b.jpg")
    write_sequence(tmp_path / "seq", [AnnotatedFrame(tmp_path / name, {1: box(1)}) for name in ("a.jpeg", "b.jpg")])
    images = read_sequence(tmp_path / "seq").images
    assert [file.name for file in images] == ["00000001.jpg", "00000002.jpg"]
    assert images[1].read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_other_formats_become_png(tmp_path):
    for name in ("a.jpg", "b.bmp", "c.png"):
        Image.fromarray(image(90)).save(tmp_path / name)
    write_sequence(
        tmp_path / "seq", [AnnotatedFrame(tmp_path / name, {1: box(1)}) for name in ("a.jpg", "b.bmp", "c.png")]
    )
    images = read_sequence(tmp_path / "seq").images
    assert [file.suffix for file in images] == [".png"] * 3
    assert {Image.open(file).format for file in images} == {"PNG"}


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "seq has no frames"),
        ([AnnotatedFrame(image(), {}), AnnotatedFrame(image(), None)], "seq has no object in any of its masks"),
        ([AnnotatedFrame(image(), {1: box(1)[:, :9]})], "Frame 1 of seq is 30x20 pixels but its mask is 9x20"),
        (
            [AnnotatedFrame(image(), {1: box(1)}), AnnotatedFrame(image()[:9], {})],
            "Frame 2 of seq is 30x9 pixels but the first is 30x20",
        ),
    ],
)
def test_unsuitable_frames_leave_nothing_behind(tmp_path, frames, message):
    with pytest.raises(Sam2rlError, match=message):
        write_sequence(tmp_path / "seq", frames)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept(tmp_path):
    write_sequence(tmp_path / "seq", [AnnotatedFrame(image(1), {1: box(1)})])
    with pytest.raises(Sam2rlError, match="exists already"):
        write_sequence(tmp_path / "seq", [AnnotatedFrame(image(2), {1: box(1)})])
    assert np.asarray(Image.open(tmp_path / "seq" / "color" / "00000001.png")).max() == 1


def test_foreign_forms_of_ground_truth(tmp_path):
    write_sequence(tmp_path / "seq", [AnnotatedFrame(image(), {1: box(1)}) for _ in range(4)])
    (tmp_path / "seq" / "groundtruth_1.txt").rename(tmp_path / "seq" / "groundtruth.txt")
    (tmp_path / "seq" / "groundtruth.txt").write_text("1,2,3,4\n1\nnan,nan,nan,nan\n")
    (tmp_path / "seq" / "groundtruth__ignore.txt").unlink()
    sequence = read_sequence(tmp_path / "seq")
    assert list(sequence.regions) == [1]
    assert sequence.known(1).tolist() == [True, True, False, False]
    assert sequence.masks(1).sum(axis=(1, 2)).tolist() == [12, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("groundtruth_1.txt", "m1,2,6,5,0,30\n\n", "Line 2 of .*groundtruth_1.txt"),
        ("groundtruth_1.txt", "m1,2\n", "Line 1 of"),
        ("groundtruth_1.txt", "0\n0\n0\n", "3 lines for 2 images"),
        ("groundtruth_1.txt", "0\n0\n", "knows object 1 on no frame"),
        ("groundtruth_dog.txt", "0\n", "an object 'dog', expected a number"),
        ("sequence", "length=3\n", r"no image color/00000001\.jpg"),
    ],
)
def test_damaged_sequences(tmp_path, name, text, message):
    write_sequence(tmp_path / "seq", [AnnotatedFrame(image(), {1: box(1)}) for _ in range(2)])
    (tmp_path / "seq" / name).write_text(text)
    with pytest.raises(Sam2rlError, match=message):
        read_sequence(tmp_path / "seq")


def test_no_sequence_and_no_ground_truth(tmp_path):
    with pytest.raises(Sam2rlError, match="is not a sequence"):
        read_sequence(tmp_path)
    write_sequence(tmp_path / "seq", [AnnotatedFrame(image(), {1: box(1)})])
    (tmp_path / "seq" / "groundtruth_1.txt").unlink()
    with pytest.raises(Sam2rlError, match="has no ground truth"):
        read_sequence(tmp_path / "seq")
