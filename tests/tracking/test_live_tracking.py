"""Tracking live video: what is written, with which numbers, and how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from streams import FPS, encode, http_folder, http_part, one_answer, piped

from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError, StreamError
from sam2rl_tracker.media import receivers
from sam2rl_tracker.media.live import LiveSource
from sam2rl_tracker.tracking.passes import Tracked
from sam2rl_tracker.tracking.prompts import BoxPrompt, Removal
from sam2rl_tracker.tracking.video import Summary, default_folder, track_video

COUNT, SIZE = 12, 96
BOX = (30.0, 30.0, 30.0, 30.0)
PROMPTS = (BoxPrompt(BOX),)
Track = Callable[..., Summary]


def scene(count: int = COUNT, size: int = SIZE) -> Iterator[np.ndarray]:
    """A bright square that moves to the right."""
    for t in range(count):
        image = np.full((size, size, 3), 40, dtype=np.uint8)
        image[30:60, 30 + 2 * t : 60 + 2 * t] = (220, 160, 40)
        yield image


@pytest.fixture
def track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nano: Model) -> Iterator[Track]:
    """`track_video` of a live source with an overlay and a trace, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def call(source: LiveSource | bytes, prompts: Any = PROMPTS, **more: Any) -> Summary:
            if isinstance(source, bytes):
                monkeypatch.setattr(receivers, "_INPUT", stack.enter_context(piped(source)))
                source = LiveSource("-", every_frame=True)
            options = {"overlay_file": Path("o.mp4"), "trace_file": Path("t.jsonl"), "model": nano, **more}
            with closing(source):
                return track_video(source, Path("masks"), prompts=prompts, **options)

        yield call


def masks() -> list[int]:
    """Numbers of the frames that have a mask, from 0."""
    return sorted(int(path.stem) - 1 for path in Path("masks").glob("*.png"))


def traced() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]


def times() -> list[float]:
    """Of the overlay's frames, in seconds."""
    with av.open("o.mp4") as container:
        return [frame.time for frame in container.decode(video=0)]


def slowly(tracked: Tracked) -> bool:
    time.sleep(2.5 / FPS)
    return True


def test_a_pipe_is_tracked_as_the_file_would_be(track: Track, nano: Model) -> None:
    data = encode(scene(), "matroska")
    summary = track(data)
    assert (summary.frames, summary.dropped, summary.objects) == (COUNT, 0, [1])
    Path("film.mkv").write_bytes(data)
    track_video(Path("film.mkv"), Path("expected"), boxes=[BOX], model=nano, trace_file=Path("expected.jsonl"))
    assert masks() == list(range(COUNT))
    for path in Path("masks").glob("*.png"):
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(f"expected/{path.name}")))
    assert Path("t.jsonl").read_text() == Path("expected.jsonl").read_text()
    assert times() == pytest.approx([t / FPS for t in range(COUNT)], abs=1e-3)


def test_frames_that_are_dropped_leave_gaps(track: Track, tmp_path: Path) -> None:
    """In masks, trace and overlay alike; prompts have the stream's numbers, and their frames are not dropped."""
    Path("film.ts").write_bytes(encode(scene()))
    prompts = [BoxPrompt(BOX), BoxPrompt((36, 30, 30, 30), 2, 3), Removal(2, 7)]
    with http_folder(tmp_path) as address:
        summary = track(LiveSource(f"{address}/film.ts", keep={3, 7}), prompts, on_tracked=slowly)
    assert summary.dropped > 0
    assert summary.frames + summary.dropped == COUNT
    assert len(masks()) == summary.frames
    assert {0, 3, 7, COUNT - 1} <= set(masks())
    assert [line["frame"] for line in traced() if line["object"] == 1] == masks()
    assert [line["frame"] for line in traced() if line["object"] == 2] == [n for n in masks() if 3 <= n < 7]
    for line in traced():
        attended = {frame for frame, _ in [*line["memories"], *line["pointers"]]}
        assert attended <= set(masks())
    assert times() == pytest.approx([number / FPS for number in masks()], abs=1e-3)


def test_a_part_of_a_stream_is_tracked(track: Track, tmp_path: Path) -> None:
    Path("film.ts").write_bytes(encode(scene()))
    with http_folder(tmp_path) as address:
        source = LiveSource(f"{address}/film.ts", every_frame=True, start=2)
        summary = track(source, start=2, end=5)
    assert masks() == [2, 3, 4, 5]
    assert [line["frame"] for line in traced()] == masks()
    assert summary.missed == []


def test_a_prompt_that_never_comes(track: Track) -> None:
    summary = track(encode(scene()), [BoxPrompt(BOX), BoxPrompt(BOX, 2, COUNT)])
    assert len(summary.missed) == 1
    assert summary.objects == [1]
    assert masks() == list(range(COUNT))


def test_what_was_tracked_of_a_stream_that_breaks_off_is_kept(track: Track) -> None:
    data = encode(scene(), "matroska")
    with (
        one_answer(http_part(data, len(data) * 3 // 4)) as place,
        pytest.raises(StreamError, match=r"broke off after \d+ frames.* The masks of the \d+ frames before it are in"),
    ):
        track(LiveSource(f"http://{place}/x", every_frame=True))
    assert 1 < len(masks()) < COUNT
    assert len(traced()) == len(times()) == len(masks())


def test_what_was_tracked_before_a_size_changed_is_kept(track: Track) -> None:
    with pytest.raises(StreamError, match=r"changed its size from 96x96 to 64x64.* The masks of the 4 frames before"):
        track(encode(scene(4)) + encode(scene(4, 64)))
    assert masks() == [0, 1, 2, 3]
    assert len(traced()) == len(times()) == 4


def test_it_ends_when_nobody_wants_more(track: Track) -> None:
    summary = track(encode(scene()), on_tracked=lambda tracked: tracked.number < 3)
    assert summary.frames == 4
    assert len(traced()) == len(times()) == len(masks()) == 4


def test_what_needs_the_whole_video_is_refused(track: Track) -> None:
    data = encode(scene(6))
    with pytest.raises(Sam2rlError, match=r"^Policy 'sam2long:output=final' chooses its masks when .*\.$"):
        track(data, policy="sam2long:output=final")
    with pytest.raises(Sam2rlError, match=r"^Live video cannot be tracked backwards: .*\.$"):
        track(data, backward=True)
    assert not Path("masks").exists()


def test_every_live_run_has_a_folder_of_its_own(track: Track) -> None:
    assert default_folder(None) == Path("live-masks")
    track(encode(scene(6)))
    Path("masks").rename("live-masks")
    assert default_folder(None) == Path("live-masks-2")
