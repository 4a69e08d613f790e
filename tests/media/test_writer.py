"""Video files, written frame by frame."""

import os
import resource

import av
import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.writer import VideoWriter, check_output_video

GRAY = np.full((40, 50, 3), 100, dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(40, 50), (41, 51)])
def test_video_round_trip(tmp_path, height, width):
    values = range(20, 220, 20)
    with VideoWriter(tmp_path / "v.mp4", fps=29.97) as writer:
        for value in values:
            writer.write(np.full((height, width, 3), (value, 100, 240 - value), dtype=np.uint8))
        assert not (tmp_path / "v.mp4").exists()
    assert os.listdir(tmp_path) == ["v.mp4"]
    frames = open_frames(tmp_path / "v.mp4")
    assert frames.first_size() == (40 + 2 * (height % 2), 50 + 2 * (width % 2))
    assert frames.fps == pytest.approx(29.97, abs=0.01)
    read = [frame.image.mean(axis=(0, 1)) for frame in frames]
    np.testing.assert_allclose(read, [(value, 100, 240 - value) for value in values], atol=6)


def test_unknown_rate_is_25(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", fps=None) as writer:
        writer.write(GRAY)
    assert open_frames(tmp_path / "v.mp4").fps == 25


def test_frames_keep_their_times(tmp_path):
    times = [0, 0.1, 0.2, 1.5, 1.6, 4]
    with VideoWriter(tmp_path / "v.mp4", fps=10) as writer:
        for time in times:
            writer.write(GRAY, time)
    np.testing.assert_allclose([frame.time for frame in open_frames(tmp_path / "v.mp4")], times, atol=1e-4)


def test_frames_at_one_time_are_all_kept(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", fps=10) as writer:
        for time in (0, 0.5, 0.5, 0.4, 1):
            writer.write(GRAY, time)
    assert len(list(open_frames(tmp_path / "v.mp4"))) == 5


def test_name_must_end_in_mp4(tmp_path):
    with pytest.raises(Sam2rlError, match="mp4"):
        VideoWriter(tmp_path / "v.avi")


def write_frames(path: os.PathLike[str], count: int, error: Exception | None = None) -> None:
    rng = np.random.default_rng(0)
    with VideoWriter(path) as writer:
        for _ in range(count):
            writer.write(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        if error:
            raise error


@pytest.mark.parametrize("count", [0, 1, 60])
def test_failed_block_leaves_nothing(tmp_path, count):
    with pytest.raises(RuntimeError, match="tracker"):
        write_frames(tmp_path / "v.mp4", count, RuntimeError("tracker"))
    assert not list(tmp_path.iterdir())


def test_failed_block_keeps_the_old_video(tmp_path):
    write_frames(tmp_path / "v.mp4", 2)
    old = (tmp_path / "v.mp4").read_bytes()
    with pytest.raises(RuntimeError):
        write_frames(tmp_path / "v.mp4", 5, RuntimeError())
    assert (tmp_path / "v.mp4").read_bytes() == old
    assert os.listdir(tmp_path) == ["v.mp4"]


def test_video_without_frames(tmp_path):
    with pytest.raises(Sam2rlError, match="no frame"):
        write_frames(tmp_path / "v.mp4", 0)
    assert not list(tmp_path.iterdir())


def test_video_into_a_missing_folder(tmp_path):
    with pytest.raises(Sam2rlError, match="there is no folder"):
        write_frames(tmp_path / "none" / "v.mp4", 1)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99, 0.9999])
def test_video_that_does_not_fit_leaves_nothing(tmp_path, share):
    """A real refusal by the operating system, at the header, in the middle and when the index is written."""
    write_frames(tmp_path / "v.mp4", 60)
    limit = int(share * (tmp_path / "v.mp4").stat().st_size)
    (tmp_path / "v.mp4").unlink()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        with pytest.raises(Sam2rlError, match="cannot be written"):
            write_frames(tmp_path / "v.mp4", 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not list(tmp_path.iterdir())


def test_frames_of_a_video_have_one_size(tmp_path):
    with VideoWriter(tmp_path / "v.mp4") as writer:
        writer.write(GRAY)
        with pytest.raises(ValueError, match="frame of shape"):
            writer.write(GRAY[:-2])


def test_only_what_a_writer_wrote_is_overwritten(tmp_path):
    ours, theirs = tmp_path / "ours.mp4", tmp_path / "theirs.mp4"
    write_frames(ours, 2)
    check_output_video(ours)
    check_output_video(tmp_path / "new.mp4")
    with av.open(str(ours)) as source, av.open(str(theirs), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    for content in (theirs.read_bytes(), b"no video"):
        theirs.write_bytes(content)
        with pytest.raises(Sam2rlError, match="not overwritten: give another name"):
            check_output_video(theirs)
        assert theirs.read_bytes() == content
