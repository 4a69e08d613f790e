"""Mask files: ours written and read back, others' read for what they mean, and what is refused."""

import resource
from pathlib import Path

import numpy as np
import pytest
from pictures import picture, save
from PIL import Image as PILImage
from PIL import ImageFilter

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.masks import MaskReader, PackedMask, object_masks, read_index_mask, write_index_mask

# ---------------------------------------------------------------- our own files


def test_index_mask_round_trip(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_index_mask(tmp_path / "m.png", labels)
    np.testing.assert_array_equal(read_index_mask(tmp_path / "m.png"), labels)


def test_index_mask_has_the_davis_colours(tmp_path):
    write_index_mask(tmp_path / "m.png", np.array([[0, 1, 2, 3, 20, 255]]))
    image = PILImage.open(tmp_path / "m.png")
    assert image.mode == "P"
    colours = np.array(image.convert("RGB"))[0].tolist()
    assert colours == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 64, 128], [224, 224, 192]]


def test_index_mask_of_few_objects_keeps_eight_bits(tmp_path):
    write_index_mask(tmp_path / "m.png", np.eye(5, dtype=bool))
    np.testing.assert_array_equal(np.array(PILImage.open(tmp_path / "m.png")), np.eye(5))


def test_gray_and_one_bit_masks_are_read(tmp_path):
    labels = np.array([[0, 1], [7, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(read_index_mask(save(tmp_path / "gray.png", labels)), labels)
    PILImage.fromarray(labels > 0).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "bit.png"), labels > 0)


def test_mask_that_is_no_index_image_is_refused(tmp_path):
    with pytest.raises(Sam2rlError, match="mode RGB"):
        read_index_mask(save(tmp_path / "rgb.png", picture()))
    with pytest.raises(Sam2rlError, match="JPEG"):
        read_index_mask(save(tmp_path / "lossy.jpg", picture()[..., 0] % 3))
    with pytest.raises(Sam2rlError, match="does not exist"):
        read_index_mask(tmp_path / "none.png")


@pytest.mark.parametrize("labels", [np.zeros(4), np.array([[256]]), np.array([[-1]])])
def test_labels_out_of_range_are_a_programming_error(tmp_path, labels):
    with pytest.raises(ValueError, match="labels must be"):
        write_index_mask(tmp_path / "m.png", labels)
    assert not list(tmp_path.iterdir())


def test_object_masks_leave_out_background_and_ignored():
    labels = np.array([[0, 3, 3], [255, 1, 0]], dtype=np.uint8)
    masks = object_masks(labels)
    assert list(masks) == [1, 3]
    np.testing.assert_array_equal(masks[3], [[False, True, True], [False, False, False]])
    assert object_masks(np.zeros((2, 2), dtype=np.uint8)) == {}


def test_mask_that_does_not_fit_leaves_nothing(tmp_path):
    """A real refusal by the operating system, in the middle of PIL's own writing."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(Sam2rlError, match="cannot be written"):
            write_index_mask(tmp_path / "m.png", picture(height=100, width=100)[..., 0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not list(tmp_path.iterdir())


def test_writing_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(Sam2rlError, match="there is no folder"):
        write_index_mask(tmp_path / "none" / "m.png", np.zeros((2, 2)))


# ---------------------------------------------------------------- one object, in the ways of other tools

SQUARE = np.zeros((40, 60), dtype=np.uint8)
SQUARE[8:30, 10:36] = 1
EMPTY = np.zeros_like(SQUARE)
WHITE = PILImage.fromarray(255 * SQUARE)


def soft(softness: float = 1.0) -> PILImage.Image:
    return WHITE.filter(ImageFilter.GaussianBlur(softness))


def with_alpha(image: PILImage.Image, alpha: PILImage.Image) -> PILImage.Image:
    result = image.copy()
    result.putalpha(alpha)
    return result


def with_palette(index: np.ndarray, *colors: tuple[int, int, int]) -> PILImage.Image:
    image = PILImage.fromarray(index.astype(np.uint8))
    image.putpalette([channel for color in colors for channel in color])
    return image


def read(path: Path, image: PILImage.Image) -> tuple[np.ndarray, list[str]]:
    """What the mask file says on its own, and the notes on it."""
    image.save(path)
    reader = MaskReader([path])
    return reader.read(path), reader.notes


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_black_and_white_in_any_mode_is_one_object(tmp_path, mode):
    labels, notes = read(tmp_path / "m.png", WHITE.convert(mode))
    np.testing.assert_array_equal(labels, SQUARE)
    assert notes == []


def test_black_and_white_of_16_bits_is_one_object(tmp_path):
    labels, notes = read(tmp_path / "m.png", PILImage.fromarray(SQUARE.astype(np.uint16) * 65535))
    np.testing.assert_array_equal(labels, SQUARE)
    assert notes == []


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("softness", [0.5, 1, 3])
def test_soft_edges_are_cut_at_half_and_told(tmp_path, mode, softness):
    labels, notes = read(tmp_path / "m.png", soft(softness).convert(mode))
    np.testing.assert_array_equal(labels, np.asarray(soft(softness)) >= 128)
    assert len(notes) == 1
    assert "m.png: it has shades of gray between black and white, which were cut at half" in notes[0]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(WHITE.resize((45, 30), PILImage.Resampling.BILINEAR), id="made smaller"),
        pytest.param(WHITE.resize((150, 100), PILImage.Resampling.BICUBIC), id="enlarged"),
        pytest.param(
            WHITE.resize((45, 30), PILImage.Resampling.BOX).resize((180, 120), PILImage.Resampling.NEAREST),
            id="soft, then enlarged in blocks",
        ),
        pytest.param(PILImage.fromarray(np.pad(255 * SQUARE[8:30, 10:36], 1, constant_values=64)), id="a light rim"),
        pytest.param(soft(5), id="wide feather"),
    ],
)
def test_soft_masks_are_never_many_objects(tmp_path, image):
    labels, _ = read(tmp_path / "m.png", image)
    assert len(object_masks(labels)) == 1


def test_lossy_black_and_white_is_one_object(tmp_path):
    for name in ("m.jpg", "m.webp"):
        labels, notes = read(tmp_path / name, WHITE)
        np.testing.assert_array_equal(labels, SQUARE)
        assert len(notes) == 1


@pytest.mark.parametrize("first", [(255, 255, 255), (250, 250, 250)])
def test_palette_whose_first_colour_is_white(tmp_path, first):
    """What requantizing a black and white mask makes."""
    labels, notes = read(tmp_path / "m.png", with_palette(1 - SQUARE, first, (0, 0, 0)))
    np.testing.assert_array_equal(labels, SQUARE)
    assert "index 0 of its palette is the bright one" in notes[0]
    np.testing.assert_array_equal(
        read(tmp_path / "q.png", soft().convert("RGB").quantize(16))[0], np.asarray(soft()) >= 128
    )


def test_palette_on_white_paper_is_told(tmp_path):
    labels, notes = read(tmp_path / "m.png", with_palette(SQUARE, (255, 255, 255), (200, 0, 0)))
    np.testing.assert_array_equal(labels, SQUARE)
    assert "taken for the background" in notes[0]


def test_black_object_on_white_is_told(tmp_path):
    labels, notes = read(tmp_path / "m.png", PILImage.fromarray(255 * (1 - SQUARE)))
    np.testing.assert_array_equal(labels, 1 - SQUARE)
    assert "invert it if black is the object" in notes[0]


def test_object_in_the_alpha_channel(tmp_path):
    black, photo = PILImage.new("RGB", WHITE.size), PILImage.fromarray(picture(height=40, width=60))
    for name, image in {"black": black, "photo": photo}.items():
        labels, notes = read(tmp_path / f"{name}.png", with_alpha(image, WHITE))
        np.testing.assert_array_equal(labels, SQUARE)
        assert "opaque pixels are the object" in notes[0]
    white = PILImage.new("RGB", WHITE.size, "white")
    np.testing.assert_array_equal(read(tmp_path / "white.png", with_alpha(white, WHITE))[0], SQUARE)


def test_cut_out_of_a_gray_video_is_the_opaque_part(tmp_path):
    gray = PILImage.fromarray(picture(height=40, width=60)[..., 0])
    for mode in ("L", "RGB"):
        np.testing.assert_array_equal(read(tmp_path / "m.png", with_alpha(gray.convert(mode), WHITE))[0], SQUARE)


def test_soft_alpha_of_a_dark_brush_is_cut_at_half(tmp_path):
    brush = PILImage.new("RGB", WHITE.size, (60, 60, 60))
    np.testing.assert_array_equal(read(tmp_path / "m.png", with_alpha(brush, soft()))[0], np.asarray(soft()) >= 128)


@pytest.mark.parametrize("opaque", [0, 1])
@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_palette_of_one_colour_and_a_transparent_one(tmp_path, opaque, color):
    """What quantizing a shape on a transparent ground makes; which of the two comes first is chance."""
    image = with_palette(SQUARE if opaque else 1 - SQUARE, color, color)
    image.info["transparency"] = bytes([0, 255] if opaque else [255, 0])
    np.testing.assert_array_equal(read(tmp_path / "m.png", image)[0], SQUARE)


# ---------------------------------------------------------------- object ids, in the ways of other tools

IDS = SQUARE.copy()
IDS[30:38, 40:58] = 2
IDS[:4] = 255


def davis(labels: np.ndarray, folder: Path) -> PILImage.Image:
    write_index_mask(folder / "davis.png", labels)
    return PILImage.open(folder / "davis.png")


@pytest.mark.parametrize("way", ["gray", "16 bits", "gray in RGB", "RGB", "RGBA", "other order"])
def test_object_ids_are_read(tmp_path, way):
    image = {
        "gray": PILImage.fromarray(IDS),
        "16 bits": PILImage.fromarray(IDS.astype(np.uint16)),
        "gray in RGB": PILImage.fromarray(IDS).convert("RGB"),
        "RGB": davis(IDS, tmp_path).convert("RGB"),
        "RGBA": davis(IDS, tmp_path).convert("RGBA"),
        "other order": davis(IDS, tmp_path).convert("RGB").quantize(8),
    }[way]
    labels, notes = read(tmp_path / "m.png", image)
    np.testing.assert_array_equal(labels, IDS)
    assert bool(notes) == (way in ("RGB", "RGBA", "other order"))
    assert all("objects were told by their colours" in note for note in notes)


def test_tiny_objects_beside_void_stay_objects(tmp_path):
    tiny = IDS.copy()
    tiny[4:38] = 0
    tiny[20, 20] = 3
    tiny[30:32, 30] = 12
    labels, notes = read(tmp_path / "m.png", PILImage.fromarray(tiny))
    np.testing.assert_array_equal(labels, tiny)
    assert len(notes) == 1
    assert "few pixels of low values were taken for objects, and 255 for void" in notes[0]


def test_ids_without_background_are_told(tmp_path):
    """Such as black and white in the range of videos, 16 to 235."""
    labels, notes = read(tmp_path / "m.png", PILImage.fromarray(16 + 219 * SQUARE))
    assert np.unique(labels).tolist() == [16, 235]
    assert "none of its pixels is 0, which is background: every area was taken for an object" in notes[0]


def test_void_of_16_bits(tmp_path):
    wide = IDS.astype(np.uint16)
    wide[IDS == 255] = 65535
    labels, _ = read(tmp_path / "m.png", PILImage.fromarray(wide))
    np.testing.assert_array_equal(labels, IDS)


@pytest.mark.parametrize("color", [(224, 224, 224), (90, 90, 90)])
def test_tiny_object_whose_colour_is_gray(tmp_path, color):
    """Object 7 of DAVIS is gray, as are some of other palettes: no soft edge."""
    tiny = EMPTY.copy()
    tiny[5:7, 5:7] = 7
    write_index_mask(tmp_path / "m.png", tiny)
    np.testing.assert_array_equal(MaskReader([tmp_path / "m.png"]).read(tmp_path / "m.png"), tiny)
    colors = [(0, 0, 0), *[(200, 0, 0)] * 6, color]
    np.testing.assert_array_equal(read(tmp_path / "own.png", with_palette(tiny, *colors))[0], tiny)


@pytest.mark.parametrize(
    ("name", "image", "words"),
    [
        ("m.png", PILImage.fromarray(picture(height=64, width=64)[..., 0]), "is a picture of 254 shades of gray"),
        ("m.png", PILImage.fromarray(picture()), "neither black and white nor of the DAVIS colours"),
        ("m.png", PILImage.fromarray(picture()).quantize(200), "is a picture with a palette of 1.. colours"),
        ("m.png", PILImage.fromarray(picture()).convert("RGBA"), "shows a picture"),
        ("m.jpg", PILImage.fromarray(IDS % 255), "JPEG, whose compression alters object ids"),
        ("m.png", with_palette(1 - SQUARE, (250, 200, 0), (0, 0, 0)), r"colour \(250, 200, 0\) as index 0"),
        ("m.png", PILImage.fromarray(SQUARE.astype(np.uint16) * 300), "values from 0 to 300"),
        ("m.png", PILImage.merge("RGB", [PILImage.fromarray(i) for i in (IDS % 255, EMPTY, EMPTY)]), "mode RGB"),
        ("m.webp", PILImage.fromarray(IDS % 255), "WEBP, whose compression alters object ids"),
        ("m.png", PILImage.fromarray(100 * (IDS % 255)).resize((150, 100), PILImage.Resampling.BILINEAR), "interpol"),
        ("m.jpg", PILImage.new("CMYK", (8, 8)), "JPEG"),
    ],
)
def test_pictures_and_unknown_colours_are_refused(tmp_path, name, image, words):
    with pytest.raises(Sam2rlError, match=words):
        read(tmp_path / name, image)


# ---------------------------------------------------------------- sequences


def write_masks(folder: Path, *masks: np.ndarray | PILImage.Image) -> list[Path]:
    paths = [folder / f"{number:05d}.png" for number in range(len(masks))]
    for path, mask in zip(paths, masks, strict=True):
        (PILImage.fromarray(mask) if isinstance(mask, np.ndarray) else mask).save(path)
    return paths


def read_all(folder: Path, *masks: np.ndarray | PILImage.Image) -> list[list[int]]:
    """The values of every mask, as all of them are read together."""
    paths = write_masks(folder, *masks)
    reader = MaskReader(paths)
    return [np.unique(reader.read(path)).tolist() for path in paths]


def test_black_and_white_object_that_comes_late(tmp_path):
    assert read_all(tmp_path, EMPTY, EMPTY, 255 * SQUARE, EMPTY) == [[0], [0], [0, 1], [0]]


def test_void_stays_void_when_objects_come_later(tmp_path):
    assert read_all(tmp_path, 255 * SQUARE, EMPTY, IDS) == [[0, 255], [0], [0, 1, 2, 255]]


def test_void_stays_void_beside_tiny_objects(tmp_path):
    speck = 255 * SQUARE
    speck[0, 0] = 1
    assert read_all(tmp_path, 255 * SQUARE, speck) == [[0, 255], [0, 1, 255]]


def test_white_among_ids_is_told(tmp_path):
    """It may be void, or an object of a mask that was saved in another way."""
    paths = write_masks(tmp_path, SQUARE, 255 * SQUARE)
    reader = MaskReader(paths)
    assert [reader.read(path).max() for path in paths] == [1, 255]
    assert len(reader.notes) == 1
    assert reader.notes[0].startswith(f"{paths[1]}: 255 was taken for void")
    paths = write_masks(tmp_path, SQUARE, 255 * SQUARE, IDS)
    reader = MaskReader(paths)
    assert [reader.read(path).max() for path in paths] == [1, 255, 255]
    assert reader.notes == []  # the ids have void beside them


def test_modes_may_change_within_a_sequence(tmp_path):
    """PNG optimizers store every mask in the smallest way."""
    one_bit, empty = WHITE.convert("1"), PILImage.fromarray(EMPTY).convert("1")
    inverted = with_palette(1 - SQUARE, (255, 255, 255), (0, 0, 0))
    assert read_all(tmp_path, empty, one_bit, WHITE, inverted, WHITE.convert("LA")) == [[0], *[[0, 1]] * 4]
    assert read_all(tmp_path, one_bit, IDS) == [[0, 1], [0, 1, 2, 255]]


def test_soft_object_that_fades_in(tmp_path):
    faint = EMPTY.copy()
    faint[9, 9:12] = (3, 9, 40)
    paths = write_masks(tmp_path, faint, soft(), soft(3))
    reader = MaskReader(paths)
    assert [reader.read(path).max() for path in paths] == [0, 1, 1]
    assert reader.notes == [
        f"{paths[1]} and 1 more: it has shades of gray between black and white, which were cut at "
        "half: the lighter half is the object."
    ]


def test_mask_that_is_darker_than_half_is_told(tmp_path):
    labels, notes = read(tmp_path / "m.png", PILImage.fromarray(100 * SQUARE).filter(ImageFilter.GaussianBlur(1)))
    assert not labels.any()
    assert "all darker than half, so it was taken for empty" in notes[0]


@pytest.mark.parametrize("first", ["soft", "index"])
def test_soft_masks_among_index_masks_are_refused(tmp_path, first):
    masks = [soft(), PILImage.fromarray(IDS)][:: 1 if first == "soft" else -1]
    with pytest.raises(
        Sam2rlError, match=r"00001.png .*, but others of its sequence .*: save all masks of a sequence in one way"
    ):
        read_all(tmp_path, *masks)


def test_index_masks_are_decided_by_the_first(tmp_path):
    """The second is not even opened."""
    paths = write_masks(tmp_path, IDS)
    assert not MaskReader([*paths, tmp_path / "none.png"]).binary
    with pytest.raises(Sam2rlError, match="does not exist"):
        MaskReader([*write_masks(tmp_path, 255 * SQUARE), tmp_path / "none.png"])


def test_a_packed_mask_is_the_mask():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 13), (64, 48)):
        mask = rng.random(shape) < 0.5
        np.testing.assert_array_equal(PackedMask.pack(mask).unpack(), mask)
    assert len(PackedMask.pack(np.ones((1000, 1000), dtype=bool)).bits) < 2000
