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

from sam2rl_tracker.engine import packaged_models
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import (
    OutputFolder,
    atomic_path,
    check_output_file,
    free_folder,
    output_folder,
    refuse_inputs,
    same_file,
)
from sam2rl_tracker.media.frames import FrameSource, open_frames
from sam2rl_tracker.media.masks import IGNORED, MaskReader, object_masks, write_index_mask
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker

CELL = 4  # input pixels that a pixel of the mask decoder's output is wide
_LONGEST_LINE = 1 << 20  # of a trace, in bytes: another file may be a single line
_COMMAND = "track"  # as the marker of a folder of masks names it


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
        notes: what the user should know of how the inputs were read and of the output folder, a sentence each.
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
        out: folder for one index PNG per frame, named like the frame; new, or written by this command before. Masks of
            an earlier run go once the first new frame has been tracked; what else lies there stays.
        init: index PNG of the first frame, k = object k; or a black and white one, white = object 1.
        boxes: instead of a mask, (x, y, width, height) in pixels per object; ids count from 1.
        model, policy, device, dtype, exact: as `Tracker` takes them.
        overlay_file: an .mp4 with the objects coloured.
        trace_file: a JSONL file, one line per frame and object (see `Tracker.trace`).
        on_frame: called after every frame with how many are done and how many there are (None: unknown).

    Raises:
        Sam2rlError: bad input, or an output that is an input, cannot be written, or would overwrite what somebody else
            wrote: found before the first frame is tracked. What was computed before a bad frame stays on disk, and the
            message says how much.
    """
    frames = open_frames(source, mask=init)
    masks, ids, notes = _read_init(init, boxes)
    _check_size(frames, masks, init)
    inputs = [source]
    if init:
        inputs.append(init)
    if model not in packaged_models():  # a folder, perhaps
        inputs.append(Path(model))
    refuse_inputs(out, inputs)

    done = 0
    failure: Sam2rlError | KeyboardInterrupt | None = None
    with ExitStack() as stack:
        folder = stack.enter_context(output_folder(out, _COMMAND, source))
        _check_masks(folder, frames, init)
        video = VideoWriter(overlay_file, frames.fps) if overlay_file else None
        if overlay_file:
            check_output_file(overlay_file, inputs)
        if trace_file:
            _check_trace(trace_file, inputs)
        tracker = Tracker(model, policy, device, dtype=dtype, exact=exact, non_overlap=True, num_frames=frames.count)

        started = time.perf_counter()
        if video:
            stack.enter_context(video)
        trace = stack.enter_context(stack.enter_context(atomic_path(trace_file)).open("w")) if trace_file else None

        def write(tracked: _Tracked, last_word: bool) -> None:
            with folder.write(f"{tracked.name}.png") as path:
                write_index_mask(path, tracked.labels)
            if video and last_word:
                video.write(overlay(tracked.image, tracked.labels), tracked.time)
            if trace and last_word:
                trace.writelines(json.dumps(line.to_json()) + "\n" for line in tracked.trace)

        first: _Tracked | None = None
        try:
            for tracked in _track(tracker, frames, masks, ids, boxes):
                if first is None:
                    folder.clear_old()  # masks of another run must not stay among the new ones
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
    notes = [*notes, *frames.notes, *_others(folder)]
    return Summary(done, tracker.ids, seconds, tracker.revises, tiny, size, notes)


def _tiny(labels: np.ndarray, ids: list[int], input_size: int) -> list[int]:
    """Which objects cover less than `CELL` x `CELL` pixels once the frame has the model's input size."""
    areas = np.bincount(labels.ravel(), minlength=IGNORED + 1) * (input_size**2 / labels.size)
    return [k for k in ids if areas[k] < CELL**2]


def default_folder(source: Path) -> Path:
    """Where masks go by default: NAME-masks here, or NAME-masks-2 and so on where that holds something else."""
    source = source.resolve()
    name = source.name if source.is_dir() else source.stem
    return free_folder(Path(f"{name}-masks"), _COMMAND, source)


def _check_masks(folder: OutputFolder, frames: FrameSource, init: Path | None) -> None:
    """Refuse to lose the first frame's mask, or one that somebody drew or corrected, to a mask of this run."""
    names = [path.name for path in folder.path.glob("*.png") if frames.may_name(path.stem)]
    if init and any(same_file(folder.path / name, init) for name in {*names, *folder.listed}):
        raise Sam2rlError(
            f"{init} is an input and lies where masks will be written: copy it to another place, or give another "
            "folder for the masks."
        )
    folder.refuse_others(names)


def _check_trace(path: Path, inputs: Sequence[Path]) -> None:
    if path.suffix.lower() in (".mp4", ".png"):
        raise Sam2rlError(f"{path} is no name for a trace, which is text: give one that ends in .jsonl.")
    check_output_file(path, inputs)
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        is_trace = "frame" in json.loads(line)
    except (ValueError, TypeError):
        is_trace = False
    if not is_trace:
        raise Sam2rlError(f"{path} is there already and is no trace, so it is not overwritten: give another name.")


def _others(folder: OutputFolder) -> list[str]:
    """Images that lie among the masks: somebody who reads the folder should know."""
    names = sorted({path.name for path in folder.path.glob("*.png")} - set(folder.written))
    if not names:
        return []
    return [f"{folder.path} also holds {_some(names)}, which this run did not write and left there."]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
