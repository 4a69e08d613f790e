"""Frames and masks in and out: what is read, what is refused, and what a failure leaves behind."""

import errno
import os
import resource
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, prepare_output_folder
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.media.masks import object_masks, read_index_mask, write_index_mask


def picture(seed: int = 0, height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    PILImage.fromarray(pixels).save(path)
    return path


# ---------------------------------------------------------------- images


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


# ---------------------------------------------------------------- index masks


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
        read_index_mask(save(tmp_path / "lossy.jpg", picture()[..., 0]))
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


# ---------------------------------------------------------------- files and folders


def test_atomic_path_appears_complete_and_replaces(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def fail_halfway(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ValueError])
def test_atomic_path_leaves_nothing_on_failure(tmp_path, error):
    with pytest.raises(error):
        fail_halfway(tmp_path / "a.txt", error())
    assert not list(tmp_path.iterdir())


def test_full_disk_is_a_user_error(tmp_path):
    with pytest.raises(Sam2rlError, match="No space left"):
        fail_halfway(tmp_path / "a.txt", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not list(tmp_path.iterdir())


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


def test_output_folder_new_empty_and_own(tmp_path):
    folder = tmp_path / "deep" / "out"
    assert prepare_output_folder(folder) == folder
    assert (folder / ".sam2rl").is_file()
    (folder / "0001.png").write_text("result")
    prepare_output_folder(folder)  # ours: accepted with its files
    assert (folder / "0001.png").read_text() == "result"
    (tmp_path / "empty").mkdir()
    prepare_output_folder(tmp_path / "empty", marker=".mark")
    assert os.listdir(tmp_path / "empty") == [".mark"]


def test_output_folder_of_someone_else_is_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(Sam2rlError, match="not empty"):
        prepare_output_folder(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_output_folder_with_another_marker_is_foreign(tmp_path):
    prepare_output_folder(tmp_path / "out", marker=".benchmark")
    with pytest.raises(Sam2rlError, match="not empty"):
        prepare_output_folder(tmp_path / "out")


def test_output_folder_that_is_or_lies_in_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Sam2rlError, match="is a file"):
        prepare_output_folder(tmp_path / "file")
    with pytest.raises(Sam2rlError, match="Not a directory"):
        prepare_output_folder(tmp_path / "file" / "out")


def test_output_folder_not_writable(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:  # tests may run as root, whom permissions do not stop
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(Sam2rlError, match="Permission denied"):
        prepare_output_folder(tmp_path)


# ---------------------------------------------------------------- frame folders


def test_folder_is_read_in_natural_order(tmp_path):
    names = ["10", "9", "frame2", "frame10", "frame1", "a", "0008"]
    for value, name in enumerate(names):
        save(tmp_path / f"{name}.png", np.full((4, 4, 3), value, dtype=np.uint8))
    frames = [(name, int(image[0, 0, 0])) for name, image in open_frames(tmp_path)]
    expected = ["0008", "9", "10", "a", "frame1", "frame2", "frame10"]
    assert frames == [(name, names.index(name)) for name in expected]


def test_folder_can_be_read_twice_and_peeked(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", picture(number))
    frames = open_frames(tmp_path)
    assert (frames.count, frames.fps, frames.first_size()) == (3, None, (20, 30))
    assert frames.first()[0] == "0"
    assert [name for name, _ in frames] == [name for name, _ in frames] == ["0", "1", "2"]


def test_folder_skips_what_is_no_frame(tmp_path):
    save(tmp_path / "1.PNG", picture())
    (tmp_path / "._1.png").write_bytes(b"what macOS leaves")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "more.png").mkdir()
    assert [name for name, _ in open_frames(tmp_path)] == ["1"]


def test_folder_without_frames(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(Sam2rlError, match="holds no frames"):
        open_frames(tmp_path)


def test_frames_with_the_same_stem(tmp_path):
    save(tmp_path / "1.png", picture())
    save(tmp_path / "1.jpg", picture())
    with pytest.raises(Sam2rlError, match=r"1\.jpg, 1\.png|1\.png, 1\.jpg"):
        open_frames(tmp_path)


def test_size_change_names_the_frame(tmp_path):
    save(tmp_path / "1.png", picture())
    save(tmp_path / "2.png", picture(height=21))
    frames = iter(open_frames(tmp_path))
    assert next(frames)[0] == "1"
    with pytest.raises(Sam2rlError, match=r"Frame 2 .* 30x21 pixels but the first is 30x20"):
        next(frames)


def test_damaged_frame_is_reported_where_it_is(tmp_path):
    save(tmp_path / "1.png", picture())
    (tmp_path / "2.png").write_bytes(b"")
    frames = iter(open_frames(tmp_path))
    next(frames)
    with pytest.raises(Sam2rlError, match=r"2\.png"):
        next(frames)


def test_damaged_first_frame_is_reported_on_opening(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(Sam2rlError, match=r"1\.png"):
        open_frames(tmp_path)


def test_source_that_is_missing_or_a_single_image(tmp_path):
    with pytest.raises(Sam2rlError, match="does not exist"):
        open_frames(tmp_path / "none")
    with pytest.raises(Sam2rlError, match="single image"):
        open_frames(save(tmp_path / "1.png", picture()))


# ---------------------------------------------------------------- video files


def write_video(path: Path, frames: int = 12, height: int = 48, width: int = 64) -> Path:
    """Frames of rising brightness, whose left half is darker; a key frame every 4."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=10, options={"g": "4", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            image = np.full((height, width, 3), 40 + 10 * number, dtype=np.uint8)
            image[:, : width // 2] //= 2
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_video_file_is_read_in_order(tmp_path):
    frames = open_frames(write_video(tmp_path / "v.mp4"))
    assert (frames.count, frames.fps, frames.first_size()) == (12, 10.0, (48, 64))
    read = list(frames)
    assert [name for name, _ in read] == [f"{number:08d}" for number in range(1, 13)]
    for number, (_, image) in enumerate(read):
        assert image.dtype == np.uint8
        assert abs(int(image[20, 60, 1]) - (40 + 10 * number)) <= 3
        assert abs(int(image[20, 4, 1]) - (40 + 10 * number) // 2) <= 3


def test_video_file_can_be_read_twice(tmp_path):
    frames = open_frames(write_video(tmp_path / "v.mp4", frames=3))
    for (_, once), (_, again) in zip(frames, frames, strict=True):
        np.testing.assert_array_equal(once, again)


def test_video_name_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a:b.mp4", frames=2)
    assert len(list(open_frames("a:b.mp4"))) == 2


def test_rotated_video_is_upright(tmp_path):
    """A phone held upright stores the picture lying and a matrix in the track header (ISO 14496-12, 8.3.2)."""
    file = write_video(tmp_path / "phone.mp4", frames=1)
    data = file.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    start = data.index(identity, data.index(b"tkhd"))
    file.write_bytes(data[:start] + clockwise + data[start + len(clockwise) :])
    frames = open_frames(file)
    assert frames.first_size() == (64, 48)
    image = frames.first()[1]
    assert image[60, 24, 1] > 1.5 * image[4, 24, 1]  # a quarter turn clockwise takes the dark left half to the top


def test_video_that_is_cut_off(tmp_path):
    file = write_video(tmp_path / "v.mp4")
    file.write_bytes(file.read_bytes()[:-400])  # without its index, which the writer puts last
    with pytest.raises(Sam2rlError, match="cannot be read as a video"):
        open_frames(file)


def test_text_file_named_mp4(tmp_path):
    (tmp_path / "v.mp4").write_text("not a video\n" * 100)
    with pytest.raises(Sam2rlError, match=r"v\.mp4"):
        open_frames(tmp_path / "v.mp4")


def test_audio_without_video(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(Sam2rlError, match="no video stream"):
        open_frames(tmp_path / "a.wav")


def test_video_damaged_after_the_first_frame(tmp_path):
    """Damage further on ends in the error that says where, or in a decoder that conceals it; never in FFmpeg's own."""
    file = write_video(tmp_path / "v.mp4")
    data = bytearray(file.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start + (end - start) // 2 : end] = bytes(end - start - (end - start) // 2)
    file.write_bytes(bytes(data))
    with pytest.raises(Sam2rlError, match=r"cannot be decoded after frame \d+"):
        list(open_frames(file))
