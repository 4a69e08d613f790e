"""Frames of a folder or a video file: their order, what is refused, and where damage is reported."""

import re
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from pictures import picture, save

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import Frame, list_frames, open_frames

# ---------------------------------------------------------------- frame folders


def test_folder_is_read_in_natural_order(tmp_path):
    names = ["10", "9", "frame2", "frame10", "frame1", "a", "0008"]
    for value, name in enumerate(names):
        save(tmp_path / f"{name}.png", np.full((4, 4, 3), value, dtype=np.uint8))
    frames = [(frame.name, int(frame.image[0, 0, 0])) for frame in open_frames(tmp_path)]
    expected = ["0008", "9", "10", "a", "frame1", "frame2", "frame10"]
    assert frames == [(name, names.index(name)) for name in expected]


def test_order_of_names_that_are_alike(tmp_path):
    """Case does not count, leading zeros decide last, and only ASCII digits are numbers."""
    for name in ("b1", "A2", "a10", "01", "1", "a²", "x٣"):
        save(tmp_path / f"{name}.png", picture())
    assert [file.stem for file in list_frames(tmp_path)] == ["01", "1", "A2", "a10", "a²", "b1", "x٣"]


def test_folder_can_be_read_twice_and_peeked(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", picture(number))
    frames = open_frames(tmp_path)
    assert (frames.count, frames.fps, frames.first_size()) == (3, None, (20, 30))
    assert frames.first()[0] == "0"
    assert [frame.name for frame in frames] == [frame.name for frame in frames] == ["0", "1", "2"]


def test_folder_skips_what_is_no_frame(tmp_path):
    save(tmp_path / "1.PNG", picture())
    (tmp_path / "._1.png").write_bytes(b"what macOS leaves")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "more.png").mkdir()
    assert [frame.name for frame in open_frames(tmp_path)] == ["1"]


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


def test_mask_among_the_frames_is_no_frame(tmp_path):
    for name in ("1.jpg", "2.jpg", "1.png", "first_mask.png"):
        save(tmp_path / name, picture())
    (tmp_path / "link.png").symlink_to("1.png")
    with pytest.raises(Sam2rlError, match="several frames named 1"):
        open_frames(tmp_path)
    (tmp_path / "first_mask.png").unlink()
    frames = open_frames(tmp_path, mask=tmp_path / "link.png")
    assert [frame.name for frame in frames] == ["1", "2"]
    assert frames.notes == [
        f"{tmp_path / 'link.png'} lies among the frames of {tmp_path} and is no frame: it was left out."
    ]


def test_mask_elsewhere_changes_nothing(tmp_path):
    (tmp_path / "frames").mkdir()
    save(tmp_path / "frames" / "1.png", picture())
    for mask in (save(tmp_path / "1.png", picture()), tmp_path / "none.png"):
        frames = open_frames(tmp_path / "frames", mask)
        assert (frames.count, frames.notes) == (1, [])


def test_links_without_target_are_named_and_counted(tmp_path):
    save(tmp_path / "1.png", picture())
    for number in (9, 10):
        (tmp_path / f"{number}.png").symlink_to(tmp_path / "gone" / f"{number}.png")
    with pytest.raises(Sam2rlError, match=r"2 of the 3 images in .* do not exist, such as 9\.png to .*gone/9\.png"):
        open_frames(tmp_path)


def test_16_bit_frames_of_a_narrow_range_are_told(tmp_path):
    ten_bits = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    for number, values in enumerate((0 * ten_bits, ten_bits, 0 * ten_bits)):  # it fades in
        save(tmp_path / f"{number}.png", values)
    note = open_frames(tmp_path).notes[0]
    assert "have 16 bits, of whose range the first, middle and last use 0% to 2%" in note
    save(tmp_path / "2.png", 4 * ten_bits)  # a level of the first would cut the others
    assert "-level 0%,6.7% " in open_frames(tmp_path).notes[0]


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
    assert [frame.name for frame in read] == [f"{number:08d}" for number in range(1, 13)]
    for number, (_, image, time) in enumerate(read):
        assert time is None
        assert image.dtype == np.uint8
        assert abs(int(image[20, 60, 1]) - (40 + 10 * number)) <= 3
        assert abs(int(image[20, 4, 1]) - (40 + 10 * number) // 2) <= 3


def test_video_file_can_be_read_twice(tmp_path):
    frames = open_frames(write_video(tmp_path / "v.mp4", frames=3))
    for once, again in zip(frames, frames, strict=True):
        np.testing.assert_array_equal(once.image, again.image)


def test_video_name_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a:b.mp4", frames=2)
    assert len(list(open_frames("a:b.mp4"))) == 2


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        pytest.param((1, 0, 0, 1), [[3, 2], [1, 0]], id="as stored"),
        pytest.param((0, 1, -1, 0), [[1, 3], [0, 2]], id="a quarter turn clockwise, as of a phone held upright"),
        pytest.param((0, -1, 1, 0), [[2, 0], [3, 1]], id="a quarter turn counter-clockwise"),
        pytest.param((-1, 0, 0, -1), [[0, 1], [2, 3]], id="half a turn"),
        pytest.param((-1, 0, 0, 1), [[2, 3], [0, 1]], id="mirrored, as of a front camera"),
        pytest.param((1, 0, 0, -1), [[1, 0], [3, 2]], id="upside down"),
        pytest.param((0, 1, 1, 0), [[3, 1], [2, 0]], id="mirrored and turned"),
        pytest.param((0, -1, -1, 0), [[0, 2], [1, 3]], id="mirrored and turned the other way"),
    ],
)
def test_video_is_shown_as_players_do(tmp_path, matrix, shown):
    """A matrix in the track header (ISO 14496-12, 8.3.2) says where the four stored corners are shown."""
    file = tmp_path / "phone.mp4"
    corners = np.kron([[3, 2], [1, 0]], np.full((24, 32), 70)).astype(np.uint8)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.dstack([corners] * 3), format="rgb24")))
        container.mux(stream.encode(None))
    data = file.read_bytes()
    start = data.index(struct.pack(">5i", 1 << 16, 0, 0, 0, 1 << 16), data.index(b"tkhd"))
    a, b, c, d = (value << 16 for value in matrix)
    file.write_bytes(data[:start] + struct.pack(">5i", a, b, 0, c, d) + data[start + 20 :])
    frames = open_frames(file)
    assert frames.first_size() == ((64, 48) if matrix[1] else (48, 64))
    image = frames.first().image[..., 1]
    height, width = image.shape
    middles = image[height // 4 :: height // 2, width // 4 :: width // 2]
    np.testing.assert_array_equal(np.round(middles / 70), shown)


def test_largest_stream_is_read_and_told(tmp_path):
    """A preview may come first, and then is the default."""
    streams(tmp_path / "v.mp4", (32, 24, 4), (64, 48, 4))
    frames = open_frames(tmp_path / "v.mp4")
    assert frames.first_size() == (48, 64)
    assert "several video streams: the one of 64x48 pixels was read, not 32x24" in frames.notes[0]


def test_cover_picture_is_no_video(tmp_path):
    streams(tmp_path / "v.mp4", (128, 96, 1), (64, 48, 4))
    assert [frame.image.shape[:2] for frame in open_frames(tmp_path / "v.mp4")] == [(48, 64)] * 4


def streams(path: Path, *specs: tuple[int, int, int]) -> None:
    """A file with a video stream for each (width, height, frames)."""
    with av.open(str(path), "w") as container:
        made = []
        for width, height, _ in specs:
            made.append(container.add_stream("h264", rate=10))
            made[-1].width, made[-1].height, made[-1].pix_fmt = width, height, "yuv420p"
        for stream, (width, height, frames) in zip(made, specs, strict=True):
            for _ in range(frames):
                image = np.zeros((height, width, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".flv"])
def test_video_that_ends_too_early_is_told_with_counts(tmp_path, suffix):
    file = tmp_path / f"v{suffix}"
    codec = {".webm": "libvpx", ".avi": "mpeg4", ".flv": "flv1"}.get(suffix, "h264")
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    rng = np.random.default_rng(0)
    with av.open(str(file), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(30):
            image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    frames = open_frames(file)
    assert (len(list(frames)), frames.notes) == (30, [])
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 7 // 10])
    frames = open_frames(file)
    for _ in range(2):  # a second reading tells nothing twice
        number = len(list(frames))
        assert 10 < number < 28
        promised = (
            "of the 30 frames" if suffix in (".mp4", ".avi") else r"frames and ends after \d\.\d\d of the 3.00 seconds"
        )
        assert [bool(re.search(f"gave {number} {promised}", note)) for note in frames.notes][:1] == [True]
        assert len(frames.notes) == 1 + any("only in part" in note for note in frames.notes)


def test_frame_that_the_decoder_does_not_give_is_told(tmp_path):
    file = write_video(tmp_path / "v.mp4")
    with av.open(str(file)) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
    data = bytearray(file.read_bytes())
    data[last.pos : last.pos + last.size] = bytes(last.size)
    file.write_bytes(data)
    frames = open_frames(file)
    assert len(list(frames)) == 11
    assert len(frames.notes) == 1
    assert "only 11 of its 12 frames could be decoded" in frames.notes[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_of_a_varying_rate(tmp_path, suffix):
    times = [0, 1, 2, 3, 10, 11, 30, 31]
    with av.open(str(tmp_path / f"v{suffix}"), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = 100 * time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = open_frames(tmp_path / f"v{suffix}")
    np.testing.assert_allclose([frame.time for frame in frames], np.array(times) / 10, atol=1e-3)


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


def frame_values(frames: Iterable[tuple[int, Frame]]) -> list[tuple[int, str, int]]:
    return [(number, frame.name, int(frame.image[0, 0, 0])) for number, frame in frames]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_part_and_the_way_back(tmp_path: Path, kind: str):
    """Frames keep their names and are counted in the whole; backwards they are the same, the last one first."""
    if kind == "folder":
        (tmp_path / "clip").mkdir()
        for t in range(6):
            save(tmp_path / "clip" / f"{t + 8}.png", np.full((16, 16, 3), 40 * t, dtype=np.uint8))
        video, names = open_frames(tmp_path / "clip"), [str(t + 8) for t in range(6)]
    else:
        video, names = open_frames(write_video(tmp_path / "v.mp4", frames=6)), [f"{t + 1:08d}" for t in range(6)]
    whole = frame_values(enumerate(video))
    assert [name for _, name, _ in whole] == names
    part = video.part(2, 4)
    assert (part.start, part.count) == (2, 3)
    assert frame_values(enumerate(part, part.start)) == whole[2:5]
    assert part.first().name == names[2]
    assert frame_values(enumerate(video.part(3), 3)) == whole[3:]
    assert frame_values(part.backwards(2, tmp_path)) == whole[2:4][::-1]
    assert frame_values(video.backwards(6, tmp_path)) == whole[::-1]
    assert not list(tmp_path.glob(".frames*"))
    assert frame_values(enumerate(video)) == whole, "the whole is still there"
    with pytest.raises(Sam2rlError, match="has no frame 6, counted from 0: begin with an earlier one"):
        video.part(6).first_size()


def test_the_way_back_begins_before_what_cannot_be_decoded(tmp_path: Path):
    """Whoever goes forwards meets it and says so; in a folder the frames behind it are there."""
    (tmp_path / "clip").mkdir()
    for t in range(5):
        save(tmp_path / "clip" / f"{t}.png", picture())
    (tmp_path / "clip" / "2.png").write_bytes(b"broken")
    assert [number for number, _ in open_frames(tmp_path / "clip").backwards(5, tmp_path)] == [4, 3]


def test_several_masks_are_no_frames(tmp_path: Path):
    for name in ("1.jpg", "2.jpg", "a.png", "b.png"):
        save(tmp_path / name, picture())
    frames = open_frames(tmp_path, [tmp_path / "a.png", tmp_path / "b.png"])
    assert [frame.name for frame in frames] == ["1", "2"]
    assert len(frames.notes) == 2
