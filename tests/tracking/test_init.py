"""What `track_video` makes of the first frame's mask, and what it tells of its inputs."""

from pathlib import Path

import av
import numpy as np
import pytest
from pictures import picture, save
from PIL import Image as PILImage
from PIL import ImageFilter

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.tracking.video import track_video

SQUARE = np.zeros((40, 60), dtype=np.uint8)
SQUARE[8:30, 10:36] = 255


def test_soft_mask_among_the_frames(tmp_path):
    """It is one object and no frame, and both is told."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for name in ("1.jpg", "2.jpg"):
        save(frames / name, picture(height=40, width=60))
    PILImage.fromarray(SQUARE).filter(ImageFilter.GaussianBlur(1)).save(frames / "1.png")
    summary = track_video(frames, tmp_path / "out", init=frames / "1.png")
    assert (summary.frames, summary.objects) == (2, [1])
    assert sorted(file.name for file in (tmp_path / "out").glob("*.png")) == ["1.png", "2.png"]
    assert ["cut at half" in note for note in summary.notes] == [True, False]
    assert "was left out" in summary.notes[1]


def test_mask_without_anything_light_is_refused(tmp_path):
    save(tmp_path / "faint.png", np.arange(0, 100, dtype=np.uint8).reshape(10, 10))
    save(tmp_path / "1.jpg", picture(height=10, width=10))
    with pytest.raises(Sam2rlError, match=r"faint\.png is (empty|a picture)"):
        track_video(tmp_path, tmp_path / "out", init=tmp_path / "faint.png")


def write_uneven_video(path: Path, times: list[int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(picture(height=48, width=64), format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("policy", ["recency", "sam2long:output=final"])
def test_overlay_keeps_the_times_of_the_video(tmp_path, policy):
    times = [0, 1, 2, 9, 10, 30]
    write_uneven_video(tmp_path / "v.mp4", times)
    overlay = tmp_path / "overlay.mp4"
    track_video(tmp_path / "v.mp4", tmp_path / "out", boxes=[(5, 5, 30, 30)], policy=policy, overlay_file=overlay)
    np.testing.assert_allclose([frame.time for frame in open_frames(overlay)], np.array(times) / 10, atol=1e-3)
