"""Images: what is read exactly, what is converted, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from pictures import picture, save
from PIL import ExifTags
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.images import narrow_range, read_image
from sam2rl_tracker.media.masks import read_mask


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_image_is_read_exactly(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", picture()))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture())


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_image_is_close(tmp_path, suffix):
    smooth = np.broadcast_to(np.arange(0, 240, 8, dtype=np.uint8)[None, :, None], (20, 30, 3))
    image = read_image(save(tmp_path / f"a{suffix}", np.ascontiguousarray(smooth)))
    assert np.abs(image.astype(int) - smooth).mean() < 3


def test_channels_keep_their_order(tmp_path):
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(read_image(save(tmp_path / "red.png", red)), red)


def test_gray_image_has_three_equal_channels(tmp_path):
    gray = picture()[..., 0]
    image = read_image(save(tmp_path / "gray.png", gray))
    np.testing.assert_array_equal(image, np.repeat(gray[..., None], 3, axis=2))


def test_16_bit_gray_is_scaled_not_clipped(tmp_path):
    gray = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    np.testing.assert_array_equal(read_image(save(tmp_path / "deep.png", gray))[0, :, 1], [0, 1, 128, 255])


def test_cmyk_palette_and_transparent_images_become_rgb(tmp_path):
    plain = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    image = PILImage.fromarray(plain)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    image.convert("P", palette=PILImage.Palette.ADAPTIVE).save(tmp_path / "palette.png", transparency=0)
    image.convert("RGBA").save(tmp_path / "alpha.png")
    for file in tmp_path.iterdir():
        read = read_image(file)
        assert read.shape == (16, 16, 3), file.name
        assert np.abs(read.astype(int) - plain).max() <= 3, file.name


def test_floating_point_image_is_refused(tmp_path):
    PILImage.fromarray(np.zeros((4, 4), dtype=np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(Sam2rlError, match="floating-point"):
        read_image(tmp_path / "f.tiff")


def save_turned(path: Path, orientation: int) -> Path:
    exif = PILImage.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    PILImage.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_exif_orientation_is_refused_for_images_and_masks_alike(tmp_path, name, orientation):
    file = save_turned(tmp_path / name, orientation)
    for read in (read_image, read_mask):
        with pytest.raises(Sam2rlError, match=r"a\.\w+ has an EXIF orientation .*(rotated|mirrored).* -auto-orient"):
            read(file)


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_upright_images_with_exif_are_read(tmp_path, orientation):
    assert read_image(save_turned(tmp_path / "a.jpg", orientation)).shape == (8, 8, 3)


def test_damaged_exif_data_do_no_harm(tmp_path):
    file = save_turned(tmp_path / "a.jpg", 6)
    data = file.read_bytes()
    start = data.index(b"Exif")
    file.write_bytes(data[: start + 6] + bytes(8) + data[start + 14 :])
    assert read_image(file).shape == (8, 8, 3)


def test_narrow_range_of_16_bits(tmp_path):
    """Of 12 bits in 16, and of an infrared camera around 30000."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert narrow_range(save(tmp_path / "twelve.png", values)) == (0, 17 / 255)
    low, high = narrow_range(save(tmp_path / "thermal.png", 28000 + values)) or (0, 0)
    assert low < 28000 / 65535
    assert high > 32095 / 65535
    assert narrow_range(save(tmp_path / "full.png", 16 * values)) is None
    assert narrow_range(save(tmp_path / "dark8.png", np.zeros((8, 8), dtype=np.uint8))) is None


def test_missing_image(tmp_path):
    with pytest.raises(Sam2rlError, match="does not exist"):
        read_image(tmp_path / "none.jpg")


def test_text_file_named_jpg(tmp_path):
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(Sam2rlError, match="not an image"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9])
def test_truncated_image(tmp_path, suffix, kept):
    file = save(tmp_path / f"a{suffix}", picture(height=64, width=64))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(Sam2rlError):
        read_image(file)


def test_corrupt_png_never_escapes_as_another_error(tmp_path):
    """Damage anywhere in a PNG is reported or harmless, whatever PIL raises for it."""
    rng = np.random.default_rng(0)
    file = save(tmp_path / "a.png", picture())
    intact = file.read_bytes()
    refused = 0
    for _ in range(150):
        data = bytearray(intact)
        for position in rng.integers(0, len(data), 3):
            data[position] = rng.integers(0, 256)
        file.write_bytes(bytes(data))
        try:
            read_image(file)
        except Sam2rlError:
            refused += 1
    assert refused > 100
