"""Prompts on any frame of a video, from and to any frame, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media import frames
from sam2rl_tracker.media.frames import open_frames
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.tracking import outputs
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Removal
from sam2rl_tracker.tracking.video import Summary, track_video

FRAMES = 12
BOX = (60.0, 70.0, 30.0, 25.0)
OTHER = (10.0, 15.0, 40.0, 30.0)
CLOSE = (50.0, 60.0, 40.0, 30.0)
FINAL = "sam2long:uncertainty=1000,output=2"  # in hindsight the third hypothesis was right
Track = Callable[..., Summary]


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()


@pytest.fixture
def track(tmp_path: Path, video: Video, monkeypatch: pytest.MonkeyPatch) -> Track:
    """`track_video` of the folder `clip`, 0.png to 11.png, in a folder of their own; `init.png` holds object 3."""
    monkeypatch.chdir(tmp_path)
    Path("clip").mkdir()
    for t in range(FRAMES):
        Image.fromarray(video.images[t]).save(f"clip/{t}.png")
    Image.fromarray(video.truth[0].astype(np.uint8) * 3).save("init.png")

    def call(*prompts: Prompt, source: str = "clip", out: str = "masks", **more: object) -> Summary:
        return track_video(Path(source), Path(out), prompts=prompts, device="cpu", **more)  # type: ignore[arg-type]

    return call


def masks(folder: str = "masks") -> dict[str, np.ndarray]:
    """{name: labels} in order of time."""
    files = sorted(Path(folder).glob("*.png"), key=lambda path: int(path.stem))
    return {file.stem: np.asarray(Image.open(file)) for file in files}


def lines(file: str = "t.jsonl") -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def given(labels: np.ndarray) -> set[int]:
    return set(np.unique(labels).tolist()) - {0}


def test_two_objects_are_added_on_different_frames_and_one_is_removed(track: Track, video: Video, nano: Model) -> None:
    """Masks, trace and what is told are those of a tracker that is told the same."""
    prompts = [MaskPrompt(Path("init.png"), 2), BoxPrompt(BOX, 1, 5), PointPrompt(30, 30, object=1, frame=8)]
    summary = track(*prompts, Removal(3, 9), trace_file=Path("t.jsonl"))
    assert (summary.frames, summary.objects) == (FRAMES, [1, 3])
    assert summary.changes == (
        "object 3 added on frame 2, object 1 added on frame 5, object 1 corrected on frame 8, "
        "object 3 removed on frame 9"
    )

    tracker = Tracker(nano, non_overlap=True, num_frames=FRAMES)
    expected = {0: {}, 1: {}}
    expected[2] = {3: tracker.initialize(video.images[2], video.truth[:1], [3])[0]}
    for t in range(3, FRAMES):
        if t == 9:
            tracker.remove(3)
        found = tracker.track(video.images[t])
        expected[t] = dict(zip(tracker.ids, found, strict=True))
        if t == 5:
            expected[t][1] = tracker.add(ids=[1], boxes=np.array([BOX]))[0]
        if t == 8:
            expected[t][1] = tracker.correct(1, points=np.array([[30, 30, 1]]))
    written = masks()
    assert list(written) == [str(t) for t in range(FRAMES)]
    for t, labels in enumerate(written.values()):
        shown = np.zeros_like(labels)
        for k, mask in expected[t].items():
            shown[mask] = k
        assert np.array_equal(labels, shown), t
    assert [(line["frame"], line["object"]) for line in lines()] == [
        (t, k) for t in range(2, FRAMES) for k in (3, 1) if (k == 3 and t < 9) or (k == 1 and t >= 5)
    ]
    marked = {(line["frame"], line["object"]): line["prompt"] for line in lines() if line["prompt"]}
    assert marked == {(2, 3): "init", (5, 1): "init", (8, 1): "correction"}
    last = lines()[-1]
    assert last["memories"][:2] == [[5, 6], [8, 6]], "frames of a trace are the video's"


def test_a_part_is_tracked_as_a_video_of_its_own(track: Track, video: Video) -> None:
    """With the names of its frames, and with numbers of the whole in the trace."""
    summary = track(MaskPrompt(Path("init.png")), BoxPrompt(BOX, 1, 7), start=4, end=9, trace_file=Path("t.jsonl"))
    assert summary.frames == 6
    Path("part").mkdir()
    for t in range(4, 10):
        Path("part", f"{t}.png").write_bytes(Path("clip", f"{t}.png").read_bytes())
    track(MaskPrompt(Path("init.png")), BoxPrompt(BOX, 1, 3), source="part", out="of-part", trace_file=Path("p.jsonl"))
    assert list(masks()) == [str(t) for t in range(4, 10)]
    for (name, labels), (other, same) in zip(masks().items(), masks("of-part").items(), strict=True):
        assert name == other
        assert np.array_equal(labels, same)
    for line, other in zip(lines(), lines("p.jsonl"), strict=True):
        assert line["frame"] == other["frame"] + 4
        assert line["memories"] == [[frame + 4, slot] for frame, slot in other["memories"]]
        assert line["pointers"] == [[frame + 4, distance] for frame, distance in other["pointers"]]


@pytest.mark.parametrize("policy", ["recency", FINAL])
def test_backwards_is_the_video_reversed(track: Track, video: Video, nano: Model, policy: str) -> None:
    """Two objects whose first frames differ; what is tracked forwards does not change and stays on top."""
    prompts = [BoxPrompt(BOX, 1, 4), BoxPrompt(CLOSE, 2, 7), PointPrompt(30, 30, object=1, frame=9)]
    track(*prompts, policy=policy, trace_file=Path("plain.jsonl"))
    forth = masks()
    track(*prompts, policy=policy, trace_file=Path("t.jsonl"), backward=True, overlay_file=Path("o.mp4"))
    both = masks()

    tracker = Tracker(nano, policy, non_overlap=True, num_frames=FRAMES)
    back = {7: {2: tracker.initialize(video.images[7], boxes=np.array([CLOSE]), ids=[2])[0]}}
    first = {}
    for t in range(6, -1, -1):
        back[t] = dict(zip(tracker.ids, tracker.track(video.images[t]), strict=True))
        if t == 4:
            first = {1: tracker.add(ids=[1], boxes=np.array([BOX]))[0]}
            back[t].update(first)
    if tracker.revises:
        for t, (found, trace) in zip(range(6, -1, -1), tracker.revise(), strict=True):
            back[t] = dict(zip((line["object"] for line in trace), found, strict=True)) | (first if t == 4 else {})
    assert (back[5][2] & (forth["5"] == 1)).any(), "the objects never meet: this test shows less than it says"
    for t in range(FRAMES):
        expected = forth[str(t)].copy()
        for k, mask in back.get(t, {}).items():
            expected[mask & (forth[str(t)] == 0)] = k
        assert np.array_equal(both[str(t)], expected), t
    assert given(both["0"]) == {1, 2}, "nothing was found backwards: this test shows nothing"

    there = [(line["frame"], line["object"]) for line in lines()]
    assert sorted(there) == [(t, k) for t in range(FRAMES) for k in (1, 2)]
    assert [frame for frame, _ in there] == sorted(frame for frame, _ in there)
    assert [line for line in lines() if line["frame"] >= (4 if line["object"] == 1 else 7)] == lines("plain.jsonl")
    early = next(line for line in lines() if (line["frame"], line["object"]) == (2, 2))
    assert {frame for frame, _ in early["memories"]} == {3, 4, 5, 6, 7}
    assert len(list(open_frames("o.mp4"))) == FRAMES


def write_lossless(path: str, images: list[np.ndarray]) -> None:
    """An .avi says how many frames there are, an .mkv does not."""
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "bgr0"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_video_file_is_tracked_backwards_as_a_folder_is(
    track: Track, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frames lie beside the masks meanwhile, one is held at a time, and nothing of them stays."""
    write_lossless("film.avi", video.images[:FRAMES])
    prompts = [BoxPrompt(BOX, 1, 6), BoxPrompt(OTHER, 2, 3)]
    options = {"start": 1, "end": 8, "backward": True}
    track(*prompts, **options)
    read, written = [], []  # how many lie there when one is read, and when a mask is written

    def count() -> int:
        try:
            return len(list(Path("film").glob(".frames.*/*")))
        except FileNotFoundError:  # masks are written in a thread of their own: the folder may go meanwhile
            return 0

    monkeypatch.setattr(frames, "read_image", lambda path: (read.append(count()), read_image(path))[1])
    monkeypatch.setattr(
        outputs,
        "write_index_mask",
        lambda path, labels: (written.append(count()), Image.fromarray(labels).save(path)),
    )
    summary = track(*prompts, source="film.avi", out="film", **options)
    assert (summary.frames, summary.missed) == (8, [])
    assert read == [6] * 6
    assert len(written) == 14
    assert written[-1] == 0
    of_folder, of_file = masks(), masks("film")
    assert list(of_file) == [f"{t + 1:08d}" for t in range(1, 9)]
    for one, other in zip(of_folder.values(), of_file.values(), strict=True):
        assert np.array_equal(one, other)
    assert not list(Path("film").glob(".frames*"))


def test_the_final_masks_hold_what_was_prompted_and_corrected(track: Track, video: Video, nano: Model) -> None:
    """With a rule that looks back: the rest is what the tracker says at the end."""
    Image.fromarray(video.truth[5].astype(np.uint8)).save("correction.png")
    prompts = [BoxPrompt(BOX, 1, 0), BoxPrompt(OTHER, 2, 3), MaskPrompt(Path("correction.png"), 5)]
    track(*prompts, policy=FINAL, trace_file=Path("t.jsonl"))
    final = masks()

    tracker = Tracker(nano, FINAL, non_overlap=True, num_frames=FRAMES)
    first = {1: tracker.initialize(video.images[0], boxes=np.array([BOX]))[0]}
    for t in range(1, FRAMES):
        live = tracker.track(video.images[t])
        if t == 3:
            added = {2: tracker.add(ids=[2], boxes=np.array([OTHER]))[0]}
        if t == 5:
            tracker.correct(1, mask=video.truth[5])
    expected = [first]
    for t, (found, trace) in enumerate(tracker.revise(), start=1):
        expected.append(dict(zip((line["object"] for line in trace), found, strict=True)))
        if t == 3:
            expected[t].update(added)
        if t == 5:
            expected[t][1] = video.truth[5]
    for labels, shown in zip(final.values(), expected, strict=True):
        assert all(np.array_equal(labels == k, mask) for k, mask in shown.items() if k == max(shown) or k == 2)
        assert not (labels[~np.any(list(shown.values()), axis=0)]).any()
    assert np.array_equal(final["5"] == 1, video.truth[5])
    assert not np.array_equal(expected[-1][1], live[0]), "the last word is the first one: this test shows nothing"
    marked = {(line["frame"], line["object"]): line["prompt"] for line in lines() if line["prompt"]}
    assert marked == {(0, 1): "init", (3, 2): "init", (5, 1): "correction"}
    assert sorted((line["frame"], line["object"]) for line in lines()) == [
        (t, k) for t in range(FRAMES) for k in (1, 2) if k == 1 or t >= 3
    ]


def test_a_stream_that_ends_too_soon_is_tracked_and_says_what_never_came(track: Track, video: Video) -> None:
    write_lossless("film.mkv", video.images[:4])
    summary = track(BoxPrompt(BOX), PointPrompt(40, 40, frame=4), source="film.mkv")
    assert summary.frames == 4
    assert summary.missed == ["Tracking ended with frame 3: object 1 was not corrected on frame 4, which never came."]
    assert len(masks()) == 4


def test_notes_are_told_of_a_run_that_ends_in_an_error(track: Track) -> None:
    soft = np.zeros((128, 128), dtype=np.uint8)
    soft[30:60, 30:60] = 255
    soft[29, 30:60] = soft[60, 30:60] = 100
    soft[28, 30:60] = soft[61, 30:60] = 40
    Image.fromarray(soft).save("soft.png")
    Path("clip/5.png").write_bytes(b"broken")
    notes: list[str] = []
    with pytest.raises(Sam2rlError, match="The masks of the 5 frames before it are in masks"):
        track(MaskPrompt(Path("soft.png")), on_note=notes.append)
    assert len(notes) == 1
    assert "cut at half" in notes[0]
    with pytest.raises(Sam2rlError, match="is no name for a trace"):
        track(MaskPrompt(Path("soft.png")), trace_file=Path("t.png"), on_note=notes.append)
    assert len(notes) == 2


def test_a_damaged_frame_ends_both_directions(track: Track) -> None:
    """What was found on the way back, and on the way to it, is kept."""
    Path("clip/3.png").write_bytes(b"broken")
    with pytest.raises(Sam2rlError, match=r"3\.png is not an image.* The masks of the 7 frames before it are in masks"):
        track(BoxPrompt(BOX, 1, 0), BoxPrompt(OTHER, 2, 7), backward=True, overlay_file=Path("o.mp4"))
    assert [sorted(given(labels)) for labels in masks().values()][3:] == [[2]] * 4
    assert list(masks()) == ["0", "1", "2", "4", "5", "6", "7"]
    assert len(list(open_frames("o.mp4"))) == 3


def test_interrupted_on_the_way_back(track: Track, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(done: int, total: int | None) -> None:
        assert total == FRAMES + 6
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track(BoxPrompt(BOX, 1, 5), backward=True, on_frame=interrupt, overlay_file=Path("o.mp4"))
    assert list(masks()) == ["3", "4", "5"]
    assert "the masks of 3 frames are in masks" in capsys.readouterr().err
    assert not Path("o.mp4").exists()


def test_what_a_policy_cannot_do_is_refused_before_the_model_is_loaded(track: Track) -> None:
    with pytest.raises(Sam2rlError, match="takes no corrections, but object 1 is corrected on frame 4"):
        track(BoxPrompt(BOX), PointPrompt(40, 40, frame=4), policy="sam2rl", model="nowhere")
    with pytest.raises(Sam2rlError, match="is run by agents, which were trained forwards: leave out --backward"):
        track(BoxPrompt(BOX, 1, 4), policy="sam2rl", model="nowhere", backward=True)


def test_a_prompt_that_shows_nothing_ends_tracking_and_says_where(track: Track, video: Video) -> None:
    Path("clip/7.png").unlink()
    Image.fromarray(np.zeros_like(video.images[0])).save("clip/7.png")
    message = r"Prompt of frame 7: No object was found .* The masks of the 7 frames before it are in masks\."
    with pytest.raises(Sam2rlError, match=message):
        track(BoxPrompt(BOX), BoxPrompt((0, 0, 2, 2), frame=7), trace_file=Path("t.jsonl"))
    assert list(masks()) == [str(t) for t in range(7)]
    assert lines()[-1]["frame"] == 6


def test_the_overlay_marks_prompts_on_their_frame_and_says_for_a_second_what_happened(track: Track) -> None:
    """The caption is black; it is told of what happens after the first frame."""
    with VideoWriter("film.mp4", fps=3) as writer:
        for t in range(FRAMES):
            writer.write(np.asarray(Image.open(f"clip/{t}.png")))
    track(BoxPrompt(BOX), PointPrompt(80, 80, frame=6), source="film.mp4", overlay_file=Path("o.mp4"))
    seen = [frame.image.astype(int) for frame in open_frames("o.mp4")]
    plain = [frame.image.astype(int) for frame in open_frames("film.mp4")]
    assert [bool((image[1, 1:60] < 60).all()) for image in seen] == [t in (6, 7, 8) for t in range(FRAMES)]
    x, y = int(BOX[0]), int(BOX[1])
    changes = [np.abs(a - b)[y - 1, x : x + 10].mean() > 60 for a, b in zip(seen, plain, strict=True)]
    assert changes[:2] == [True, False], "the white edge of the box, above it"
