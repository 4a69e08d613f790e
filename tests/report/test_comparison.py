"""Trackers side by side: the files written."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from compared import BOX, LENGTH, write_results
from conftest import scripted_frames
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.comparison import write_comparison
from sam2rl_tracker.vot.workspace import Workspace, create


@pytest.mark.slow
def test_the_video_and_the_stills(compared: Workspace, tmp_path: Path):
    plain = write_comparison(compared.folder, "several", ["SAM2", "Right"], tmp_path / "plain.mp4")
    file = write_comparison(compared.folder, "several", ["SAM2", "Right"], tmp_path / "bank.mp4", object_id=9)
    sizes = []
    for path in (plain, file):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == LENGTH
        sizes.append(frames[0].shape)
        stills = Image.open(path.with_suffix(".png"))
        assert (stills.height, stills.width) == (5 * sizes[-1][0], sizes[-1][1])
        tracker = np.asarray(stills)[:, sizes[-1][1] // 3 : 2 * sizes[-1][1] // 3]
        marked = (tracker == (0, 114, 178)).all(axis=2).any()  # the border of a frame that came into the bank
        assert marked == (path == file)
    assert sizes == [(218, 780, 3), (478, 1548, 3)]  # images of 64 x 48, 4 and 8 times enlarged


def test_no_comparison_takes_the_place_of_anything(compared: Workspace, tmp_path: Path):
    def refuse(path: Path, message: str) -> None:
        with pytest.raises(Sam2rlError, match=message):
            write_comparison(compared.folder, "several", ["SAM2", "Right"], path)

    (tmp_path / "photo.png").write_bytes(b"mine")
    (tmp_path / "taken.png").mkdir()
    refuse(tmp_path / "photo.mp4", r"photo\.png is there already, and stills of photo\.mp4 would take its place")
    refuse(tmp_path / "taken.mp4", r"taken\.png is a folder")
    refuse(tmp_path / "none" / "o.mp4", "there is no folder")
    refuse(compared.sequences / "several" / "color" / "o.mp4", "lies in the input folder")
    assert (tmp_path / "photo.png").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["photo.png", "taken.png"]


def test_large_images_are_made_smaller(tmp_path: Path):
    workspace = create(tmp_path / "W")
    frames = [
        type(frame)(frame.image.repeat(20, axis=0).repeat(20, axis=1), {1: frame.masks[1].repeat(20, 0).repeat(20, 1)})
        for frame in scripted_frames(3, {1: (0, range(0))})
    ]
    workspace.add("large", frames)
    for tracker in ("A", "B"):
        write_results(workspace, tracker, "large", {1: ["1", BOX, BOX]})
    file = write_comparison(workspace.folder, "large", ["A", "B"], tmp_path / "large.mp4", object_id=1)
    with av.open(str(file)) as container:
        frame = next(container.decode(video=0))
    assert frame.width <= 1620
