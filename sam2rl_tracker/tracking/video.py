"""Track the objects of a video file or a folder of frames, and write what was found: masks, an overlay, a trace."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, prepare_output_folder
from sam2rl_tracker.media.frames import FrameSource, open_frames
from sam2rl_tracker.media.masks import IGNORED, MaskReader, object_masks, write_index_mask
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker

CELL = 4  # input pixels that a pixel of the mask decoder's output is wide


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        frames: how many were tracked.
        objects: ids.
        seconds: of tracking and writing, without loading the model.
        revised: whether the policy chose the masks when it had seen the whole video.
        tiny: objects that are smaller than a cell of the mask decoder's output on the first frame. They get lost.
        input_size: side of the model's input, in pixels.
        notes: what the user should know of how the inputs were read, a sentence each.
    """

    frames: int
    objects: list[int]
    seconds: float
    revised: bool
    tiny: list[int]
    input_size: int
    notes: list[str]


@dataclass(frozen=True)
class _Tracked:
    """One frame of the output."""

    name: str
    image: np.ndarray  # uint8 [height, width, 3]
    labels: np.ndarray  # uint8 [height, width]
    trace: list[TraceLine]
    time: float | None  # seconds, as `Frame` tells it


def track_video(
    source: Path,
    out: Path,
    init: Path | None = None,
    boxes: Sequence[Sequence[float]] = (),
    *,
    model: str = "nano",
    policy: str = "recency",
    device: str | None = None,
    dtype: str = "float32",
    exact: bool = False,
    overlay_file: Path | None = None,
    trace_file: Path | None = None,
    on_frame: Callable[[int, int | None], None] = lambda done, total: None,
) -> Summary:
    """Track from the first frame to the last.

    With a policy that revises its output, masks are written as they come and again at the end, in hindsight; overlay
    and trace show the final ones.

    Args:
        source: a folder of frames or a video file.
        out: folder for one index PNG per frame, named like the frame; new, or written by this command before.
        init: index PNG of the first frame, k = object k; or a black and white one, white = object 1.
        boxes: instead of a mask, (x, y, width, height) in pixels per object; ids count from 1.
        model, policy, device, dtype, exact: as `Tracker` takes them.
        overlay_file: an .mp4 with the objects coloured.
        trace_file: a JSONL file, one line per frame and object (see `Tracker.trace`).
        on_frame: called after every frame with how many are done and how many there are (None: unknown).

    Raises:
        Sam2rlError: bad input. What was computed before a bad frame stays on disk, and the message says how much.
    """
    if out.resolve() == source.resolve():
        raise Sam2rlError(f"{out} is the source: give another folder for the masks.")
    frames = open_frames(source, mask=init)
    masks, ids, notes = _read_init(init, boxes)
    _check_size(frames, masks, init)
    tracker = Tracker(model, policy, device, dtype=dtype, exact=exact, non_overlap=True, num_frames=frames.count)
    _clear_masks(prepare_output_folder(out))

    started = time.perf_counter()
    done = 0
    failure: Sam2rlError | KeyboardInterrupt | None = None
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(overlay_file, frames.fps)) if overlay_file else None
        trace = stack.enter_context(stack.enter_context(atomic_path(trace_file)).open("w")) if trace_file else None

        def write(tracked: _Tracked, last_word: bool) -> None:
            write_index_mask(out / f"{tracked.name}.png", tracked.labels)
            if video and last_word:
                video.write(overlay(tracked.image, tracked.labels), tracked.time)
            if trace and last_word:
                trace.writelines(json.dumps(line.to_json()) + "\n" for line in tracked.trace)

        first: _Tracked | None = None
        try:
            for tracked in _track(tracker, frames, masks, ids, boxes):
                write(tracked, last_word=not tracker.revises)
                first = first or tracked
                done += 1
                on_frame(done, frames.count)
        except (Sam2rlError, KeyboardInterrupt) as error:
            if done == 0:
                raise
            failure = error  # raised below: first the files are closed and get their names
        if tracker.revises and first:
            for tracked in _revise(tracker, frames, first, ids):
                write(tracked, last_word=True)
    if isinstance(failure, Sam2rlError):
        raise Sam2rlError(f"{failure} The masks of the {done} frames before it are in {out}.") from failure
    if failure:
        print(f"Interrupted: the masks of {done} frames are in {out}.", file=sys.stderr)
        raise failure
    seconds = time.perf_counter() - started
    size = tracker.model.network.image_size
    tiny = _tiny(first.labels, ids, size) if first else []
    return Summary(done, tracker.ids, seconds, tracker.revises, tiny, size, notes + frames.notes)


def _tiny(labels: np.ndarray, ids: list[int], input_size: int) -> list[int]:
    """Which objects cover less than `CELL` x `CELL` pixels once the frame has the model's input size."""
    areas = np.bincount(labels.ravel(), minlength=IGNORED + 1) * (input_size**2 / labels.size)
    return [k for k in ids if areas[k] < CELL**2]


def _clear_masks(folder: Path) -> None:
    """A folder of ours may be written again, but masks of another run must not stay among the new ones."""
    for path in folder.glob("*.png"):
        path.unlink()


def _track(
    tracker: Tracker,
    frames: FrameSource,
    masks: np.ndarray | None,
    ids: list[int],
    boxes: Sequence[Sequence[float]],
) -> Iterator[_Tracked]:
    """Every frame, as the tracker sees it when it comes."""
    for index, (name, image, time_shown) in enumerate(frames):
        if index == 0:
            given = {"masks": masks} if masks is not None else {"boxes": np.array(boxes, dtype=np.float32)}
            found = tracker.initialize(image, ids=ids, **given)
        else:
            found = tracker.track(image)
        yield _Tracked(name, image, _labels(found, ids), tracker.trace_lines(), time_shown)


def _revise(tracker: Tracker, frames: FrameSource, first: _Tracked, ids: list[int]) -> Iterator[_Tracked]:
    """Every frame that was tracked, as the tracker sees it at the end."""
    # What is known comes first in `zip`: a frame that was not tracked, as it is damaged, is not read again.
    known = chain([None], tracker.revised_frames())
    for revised, (name, image, time_shown) in zip(known, frames, strict=False):
        yield (
            first if revised is None else _Tracked(name, image, _labels(revised.masks, ids), revised.trace, time_shown)
        )


def _labels(masks: np.ndarray, ids: list[int]) -> np.ndarray:
    """bool [objects, height, width] -> uint8 [height, width]; where boxes gave overlapping masks, the highest id."""
    return (masks * np.array(ids, dtype=np.uint8)[:, None, None]).max(axis=0)


def _read_init(init: Path | None, boxes: Sequence[Sequence[float]]) -> tuple[np.ndarray | None, list[int], list[str]]:
    """The first frame's masks, bool [objects, height, width], or None for boxes; the ids; and notes."""
    if (init is None) == (not boxes):
        raise Sam2rlError("Give the objects of the first frame: either --init MASK.png, or --box X,Y,W,H for each.")
    if len(boxes) >= IGNORED:
        raise Sam2rlError(f"{len(boxes)} boxes were given, but an index PNG holds at most {IGNORED - 1} objects.")
    if init is None:
        return None, list(range(1, len(boxes) + 1)), []
    reader = MaskReader([init])
    objects = object_masks(reader.read(init))
    if not objects:
        raise Sam2rlError(
            f"{init} is empty: it must show the objects of the first frame, pixel value k = object k, or one in white."
        )
    return np.stack(list(objects.values())), list(objects), reader.notes


def _check_size(frames: FrameSource, masks: np.ndarray | None, init: Path | None) -> None:
    """Before the model is loaded: it takes long, and then fails all the same."""
    height, width = frames.first_size()
    if masks is not None and masks.shape[1:] != (height, width):
        raise Sam2rlError(
            f"{init} is {masks.shape[2]}x{masks.shape[1]} pixels but the first frame of {frames.path} is "
            f"{width}x{height}: a mask must have its frame's size."
        )
