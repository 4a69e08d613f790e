"""Frames of a folder or a video file: their order, what is refused, and where damage is reported."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from pictures import picture, save

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import list_frames, open_frames

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
