"""What tracking a video does with the user's files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.tracking import outputs, video
from sam2rl_tracker.tracking.video import Summary, default_folder, track_video

SIZE = 32
Track = Callable[..., Summary]


@pytest.fixture
def track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Track:
    """`track_video` of a folder `clip` of four frames, with `init.png`, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    draw_frames("clip", 4)
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    labels[8:20, 8:20] = 1
    Image.fromarray(labels).save("init.png")

    def call(source: str = "clip", out: str = "masks", init: str = "init.png", **more: object) -> Summary:
        return track_video(Path(source), Path(out), Path(init), device="cpu", **more)  # type: ignore[arg-type]

    return call


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("the model was loaded before the outputs were looked at")

    monkeypatch.setattr(video, "Tracker", fail)


def draw_frames(folder: str, count: int, first: int = 0) -> None:
    Path(folder).mkdir(parents=True)
    for t in range(first, first + count):
        Image.fromarray(np.full((SIZE, SIZE, 3), 40 * t, dtype=np.uint8)).save(f"{folder}/{t}.png")


def draw_video(path: str) -> None:
    with VideoWriter(path) as writer:
        for t in range(3):
            writer.write(np.full((SIZE, SIZE, 3), 40 * t, dtype=np.uint8))


def contents() -> dict[str, bytes]:
    """{path: bytes} of all that is there, hidden files too."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def masks(folder: str) -> list[str]:
    """That are complete: one that is being written has a hidden name, which `glob` would give, too."""
    return sorted(path.name for path in Path(folder).glob("[!.]*.png"))


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "film.mp4", "overlay_file": "film.mp4"}, "film.mp4 is an input"),
        ({"source": "film.mp4", "overlay_file": "link.mp4"}, "link.mp4 is an input of this command, film.mp4"),
        ({"source": "link.mp4", "overlay_file": "clip/../film.mp4"}, "film.mp4 is an input of this command, link.mp4"),
        ({"overlay_file": "clip/o.mp4"}, "lies in the input folder clip"),
        ({"trace_file": "frames/t.jsonl"}, "lies in the input folder clip"),
        ({"trace_file": "init.jsonl", "init": "init.jsonl"}, "init.jsonl is an input"),
        ({"out": "clip"}, "clip is an input"),
        ({"out": "frames"}, "frames is an input"),
        ({"out": "clip/masks"}, "lies in the input folder clip"),
        ({"out": "model/masks", "model": "model"}, "lies in the input folder model"),
        ({"overlay_file": "o.avi"}, "o.avi does not end in .mp4"),
        ({"overlay_file": "nowhere/o.mp4"}, "there is no folder nowhere, create it first"),
        ({"overlay_file": "folder.mp4"}, "folder.mp4 is a folder, expected a file"),
        ({"trace_file": "nowhere/t.jsonl"}, "there is no folder nowhere"),
        ({"trace_file": "model"}, "model is a folder, expected a file"),
        ({"trace_file": "notes.txt"}, "notes.txt is there already and is no trace"),
        ({"trace_file": "o.mp4", "overlay_file": "o.mp4"}, "o.mp4 is no name for a trace"),
        ({"out": "film.mp4"}, "film.mp4 is a file, expected a folder"),
    ],
)
def test_bad_outputs_are_found_before_the_model_is_loaded(track: Track, given: dict[str, str], message: str) -> None:
    draw_video("film.mp4")
    for link, target in {"link.mp4": "film.mp4", "frames": "clip"}.items():
        Path(link).symlink_to(target)
    for folder in ("model", "folder.mp4"):
        Path(folder).mkdir()
    Path("init.jsonl").write_bytes(Path("init.png").read_bytes())
    Path("notes.txt").write_text("thesis")
    before = contents()
    files = {key: Path(path) if key.endswith("_file") else path for key, path in given.items()}
    with pytest.raises(Sam2rlError, match=message):
        track(**files)
    assert contents() == before
    assert not Path("masks").exists()


def test_masks_of_before_go_once_there_are_new_ones(track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    assert track().notes == []
    before = contents()

    def fail(*_: object, **__: object) -> None:
        raise Sam2rlError("The device has no memory left.")

    with monkeypatch.context() as patch:
        patch.setattr(video.Tracker, "initialize", fail)
        with pytest.raises(Sam2rlError, match="no memory left"):
            track()
    assert contents() == before
    draw_frames("other", 2)
    track("other")
    assert masks("masks") == ["0.png", "1.png"]


def test_what_the_user_draws_stays_and_is_named(track: Track) -> None:
    track()
    Path("masks/corrected.png").write_bytes(Path("init.png").read_bytes())
    Path("masks/notes.txt").write_text("thesis")
    (note,) = track(init="masks/corrected.png").notes
    assert note.startswith("masks also holds corrected.png, which this run did not write")
    assert Path("masks/corrected.png").read_bytes() == Path("init.png").read_bytes()
    assert Path("masks/notes.txt").read_text() == "thesis"


def test_masks_that_the_user_corrected_are_not_written_over(track: Track) -> None:
    """Neither one that was changed in place, nor one that was drawn for a frame to come, nor the one that is given."""
    track()
    drawn = Path("init.png").read_bytes()
    for name, message in {
        "2.png": "was changed after sam2rl wrote it, and would be overwritten: move it away",
        "4.png": "was not written by sam2rl, and would be overwritten: move it away",
    }.items():
        kept = Path("masks", name).read_bytes() if name == "2.png" else None
        Path("masks", name).write_bytes(drawn)
        Path("clip/4.png").write_bytes(Path("clip/3.png").read_bytes())
        before = contents()
        with pytest.raises(Sam2rlError, match=rf"masks/{name} {message}"):
            track()
        with pytest.raises(Sam2rlError, match=rf"masks/{name} is an input and lies where masks will be written"):
            track(init=f"masks/{name}")
        assert contents() == before
        if kept:
            Path("masks", name).write_bytes(kept)


def test_a_given_mask_that_an_earlier_run_wrote_stays(track: Track) -> None:
    """Also where this run has no such frame, and would clear it away."""
    track()
    draw_frames("other", 2, first=5)
    with pytest.raises(Sam2rlError, match=r"masks/0\.png is an input and lies where masks will be written"):
        track("other", init="masks/0.png")
    assert masks("masks") == ["0.png", "1.png", "2.png", "3.png"]


def test_masks_of_a_video_have_numbers_that_others_do_not_lose(track: Track) -> None:
    draw_video("film.mp4")
    track("film.mp4")
    Path("masks/00000009.png").write_bytes(b"drawn")
    with pytest.raises(Sam2rlError, match=r"00000009\.png was not written by sam2rl"):
        track("film.mp4")
    Path("masks/00000009.png").rename("masks/mine.png")
    track("film.mp4")
    assert masks("masks") == ["00000001.png", "00000002.png", "00000003.png", "mine.png"]


def test_a_folder_in_which_a_command_is_at_work(track: Track) -> None:
    refused = []

    def second(done: int, total: int | None) -> None:
        before = masks("masks")
        with pytest.raises(Sam2rlError, match="Another sam2rl track is at work in masks: wait for it, or stop it"):
            track()
        refused.append(set(before) <= set(masks("masks")))

    track(on_frame=second)
    assert refused == [True] * 4
    assert masks("masks") == ["0.png", "1.png", "2.png", "3.png"]


def test_a_mask_that_cannot_be_written_ends_the_run_in_a_sentence(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are written while later ones are tracked; none is written behind one that is missing."""

    def write(path: Path, labels: np.ndarray) -> None:
        if len(masks("masks")) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        Image.fromarray(labels).save(path)

    draw_frames("long", 6)
    monkeypatch.setattr(outputs, "write_index_mask", write)
    with pytest.raises(
        Sam2rlError, match=r"2\.png cannot be written \(No space left.* The masks of the 2 frames before"
    ):
        track("long")
    assert masks("masks") == ["0.png", "1.png"]


def test_a_frame_that_cannot_be_read_ends_the_run_behind_those_before_it(track: Track) -> None:
    Path("clip/3.png").write_bytes(b"damaged")
    with pytest.raises(Sam2rlError, match=r"3\.png is not an image.* The masks of the 3 frames before it are in masks"):
        track(trace_file=Path("trace.jsonl"))
    assert masks("masks") == ["0.png", "1.png", "2.png"]
    assert Path("trace.jsonl").read_text().count("\n") == 3


def test_sources_of_the_same_name_have_folders_of_their_own(track: Track) -> None:
    made = {}
    for source in ("a/color", "b/color", "c/clip.001", "c/clip.002", "film.mp4", "film.mov"):
        if "film" in source:
            draw_video("film.mp4")
            os.replace("film.mp4", source)
        else:
            draw_frames(source, 2)
        made[source] = default_folder(Path(source))
        track(source, out=str(made[source]))
    assert list(map(str, made.values())) == [
        "color-masks",
        "color-masks-2",
        "clip.001-masks",
        "clip.002-masks",
        "film-masks",
        "film-masks-2",
    ]
    for source, folder in made.items():
        assert default_folder(Path("a", "..", source).absolute()) == folder
        assert masks(str(folder))
