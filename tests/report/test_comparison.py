"""Trackers side by side: the files written."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from compared import BOX, LENGTH, write_results
from conftest import scripted_frames
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.report.comparison import write_comparison
from sam2rl_tracker.report.panels import ORANGE
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracked import TrackedRun
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


def write_run(workspace: Workspace, folder: Path, corrected: int | None) -> TrackedRun:
    """Masks of object 9 of the sequence "several", from its truth, and a trace by hand."""
    video = read_sequence(workspace.sequences / "several")
    folder.mkdir()
    lines = []
    for t, image in enumerate(video.images):
        region = video.regions[9][t]
        mask = region.full(video.size) if isinstance(region, Region) else np.zeros(video.size, dtype=bool)
        write_index_mask(folder / f"{image.stem}.png", mask * np.uint8(9))
        memories = [[frame, 0] for frame in range(max(t - 3, 3), t)]
        lines.append(TraceLine(t, 9, memories, [], 0.5, 1.0, 9, True, "correction" if t == corrected else None))
    trace = folder / "trace.jsonl"
    trace.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines))
    return TrackedRun(folder, trace)


@pytest.mark.slow
def test_the_frame_of_a_correction_is_shown_and_marked(compared: Workspace, tmp_path: Path):
    """Also where trackers do not differ, and on the later frames that remember it."""
    orange = {}
    for corrected in (None, 7):
        run = write_run(compared, tmp_path / f"run-{corrected}", corrected)
        file = write_comparison(compared.folder, "several", ["Right"], tmp_path / f"{corrected}.mp4", 12, 9, [run])
        stills = np.asarray(Image.open(file.with_suffix(".png")))
        orange[corrected] = (stills == ORANGE).all(axis=2)
        with av.open(str(file)) as container:
            height = next(container.decode(video=0)).height
        assert len(stills) == (5 if corrected is None else 6) * height
    assert not orange[None].any()
    rows = np.split(orange[7], 6)
    assert [row.any() for row in rows][:3] == [False, False, False]
    assert any(row[:26].any() for row in rows), "the title says so"
    assert any(row[26:].any() for row in rows), "a picture of the bank is marked"


def test_runs_that_cannot_be_shown(compared: Workspace, tmp_path: Path):
    def refuse(message: str, *runs: TrackedRun) -> None:
        with pytest.raises(Sam2rlError, match=message):
            write_comparison(compared.folder, "several", ["Right"], tmp_path / "o.mp4", 12, 9, runs)

    (tmp_path / "empty").mkdir()
    refuse(r"empty has no mask for any frame of several, such as 00000001\.png", TrackedRun(tmp_path / "empty"))
    run = write_run(compared, tmp_path / "Right", None)
    refuse("Right is a tracker and a folder of masks", run)
    run.masks.rename(tmp_path / "other")
    (tmp_path / "other" / "trace.jsonl").write_text("a thesis\n")
    refuse("Line 1 of .* is none of a trace", TrackedRun(tmp_path / "other", tmp_path / "other" / "trace.jsonl"))
    refuse("cannot be read", TrackedRun(tmp_path / "other", tmp_path / "nowhere"))
    write_index_mask(tmp_path / "other" / "00000001.png", np.zeros((3, 4), dtype=np.uint8))
    refuse("is 4x3 pixels, but the images of several are 64x48", TrackedRun(tmp_path / "other"))
