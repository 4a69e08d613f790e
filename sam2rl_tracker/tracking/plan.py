"""The prompts of a video in order: which objects begin, are corrected and end on which frame.

All that can be known to be wrong before the first frame is tracked is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import FrameSource
from sam2rl_tracker.media.masks import IGNORED, MaskReader, PackedMask, object_masks
from sam2rl_tracker.tracking import checks
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Removal


@dataclass(frozen=True, eq=False)
class Given:
    """What a user shows of one object on one frame: a mask alone, or a box, points, or both.

    Attributes:
        object: Its number.
        mask: Of the frame's size.
        box: x, y, width, height in pixels.
        points: float32 [k, 3]: x, y in pixels, and 1 on the object or 0 beside it.
    """

    object: int
    mask: PackedMask | None = None
    box: tuple[float, float, float, float] | None = None
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.float32))


@dataclass(frozen=True)
class Step:
    """What a user wants on one frame.

    Attributes:
        removed: Objects that are not tracked into this frame.
        added: Objects that begin.
        corrected: Objects that are tracked into this frame, and then corrected.
    """

    removed: Sequence[int] = ()
    added: Sequence[Given] = ()
    corrected: Sequence[Given] = ()

    @property
    def given(self) -> list[Given]:
        """The objects that are given on this frame."""
        return [*self.added, *self.corrected]

    @property
    def events(self) -> list[tuple[int, str]]:
        """(object, what happens to it: "added", "corrected" or "removed")."""
        return [
            *((given.object, "added") for given in self.added),
            *((given.object, "corrected") for given in self.corrected),
            *((k, "removed") for k in self.removed),
        ]


NOTHING = Step()


@dataclass(frozen=True)
class Plan:
    """The prompts of a video.

    Attributes:
        steps: {frame of the video, counted from 0: what is wanted there}, in order of time.
        notes: What the user should know of how the mask files were read, a sentence each.
    """

    steps: Mapping[int, Step]
    notes: Sequence[str] = ()

    @cached_property
    def begins(self) -> dict[int, int]:
        """{object: the frame on which it is given first}."""
        return {given.object: frame for frame, step in self.steps.items() for given in step.added}

    @property
    def corrects(self) -> bool:
        """Whether an object is corrected."""
        return any(step.corrected for step in self.steps.values())

    @property
    def first_correction(self) -> str:
        """Which object is corrected first, and where, in words."""
        frame, step = next((frame, step) for frame, step in self.steps.items() if step.corrected)
        return f"object {step.corrected[0].object} is corrected on frame {frame}"

    def backwards(self, start: int) -> Plan:
        """What is wanted of a pass from the last object's first frame towards the first frame: each object's start.

        Args:
            start: The first frame; an object that begins there has no frame before it.
        """
        wanted = {frame: Step(added=step.added) for frame, step in self.steps.items() if step.added and frame > start}
        return Plan(dict(sorted(wanted.items(), reverse=True)))

    def changes(self, start: int, count: int) -> str:
        """What happened after the first frame, in a line; "" where nothing did.

        Args:
            start: The first frame.
            count: How many frames the video turned out to have.
        """
        told: dict[tuple[int, str], list[str]] = {}
        for frame, step in self.steps.items():
            if start < frame < count:
                for event in step.events:
                    told.setdefault(event, []).append(str(frame))
        return ", ".join(
            f"object {k} {what} on frame{'s' * (len(frames) > 1)} {' and '.join(frames)}"
            for (k, what), frames in told.items()
        )

    def missed(self, count: int) -> list[str]:
        """The prompts of frames that never came, a sentence each.

        Args:
            count: How many frames the video turned out to have.
        """
        return [
            f"Tracking ended with frame {count - 1}: object {k} was not {what} on frame {frame}, which never came."
            for frame, step in self.steps.items()
            if frame >= count
            for k, what in step.events
        ]


# ---------------------------------------------------------------- from prompts to a plan


def check_span(video: FrameSource, start: int, end: int | None) -> None:
    """Whether there are frames from `start` to `end`, both included, as far as that is known.

    Raises:
        Sam2rlError: There are none, or the video is known to be shorter.
    """
    if start < 0 or (end is not None and end < start):
        raise Sam2rlError(f"Frames {start} to {end} were asked for: frames count from 0, and --end must not be less.")
    for option, frame in (("--start", start), ("--end", end)):
        if frame is not None and video.count is not None and frame >= video.count:
            raise Sam2rlError(f"{option} is frame {frame}, but {_frames_of(video)}.")


def make_plan(
    prompts: Sequence[Prompt], video: FrameSource, size: tuple[int, int], start: int = 0, end: int | None = None
) -> Plan:
    """Check prompts and put them in order.

    Args:
        prompts: In any order.
        video: All frames, whose numbers prompts give.
        size: Height, width of its frames.
        start: The first frame that is tracked.
        end: The last one; None = the video's.

    Raises:
        Sam2rlError: There are none; one is on a frame that does not exist or is not tracked; a mask file is damaged,
            empty or of another size; a point or box lies outside of the image; two contradict; an object is corrected
            or removed that is not tracked, or begins with points beside it alone; an object is not named that must be.
    """
    if all(isinstance(prompt, Removal) for prompt in prompts):
        raise Sam2rlError("Give the objects to track: --init MASK.png, or --box X,Y,W,H or --point X,Y for each.")
    timed = [replace(prompt, frame=start) if prompt.frame is None else prompt for prompt in prompts]
    for prompt in timed:
        _check_frame(prompt, video, start, end)
    notes: list[str] = []
    masks = {prompt: _read_masks(prompt, video, size, notes) for prompt in timed if isinstance(prompt, MaskPrompt)}
    named = _named(timed, {k for own in masks.values() for k in own})
    grouped: dict[tuple[int, int], list[Prompt]] = {}
    for prompt in named:
        for k in masks[prompt] if isinstance(prompt, MaskPrompt) else [prompt.object]:
            grouped.setdefault((prompt.frame or 0, k or 0), []).append(prompt)
    for (_, k), own in grouped.items():
        if not 1 <= k < IGNORED:
            raise Sam2rlError(
                f"{own[0]} is of object {k}, but objects of an index PNG have numbers 1 to {IGNORED - 1}."
            )
    return Plan(_steps(grouped, masks, size), notes)


def _frames_of(video: FrameSource) -> str:
    return f"{video.path} has {video.count} frames, which count from 0 to {(video.count or 1) - 1}"


def _check_frame(prompt: Prompt, video: FrameSource, start: int, end: int | None) -> None:
    frame = prompt.frame or 0
    if frame < start:
        raise Sam2rlError(f"{prompt} is on frame {frame}, before the first one that is tracked, {start}.")
    if end is not None and frame > end:
        raise Sam2rlError(f"{prompt} is on frame {frame}, after the last one that is tracked, {end}.")
    if video.count is not None and frame >= video.count:
        raise Sam2rlError(f"{prompt} is on frame {frame}, but {_frames_of(video)}.")


def _read_masks(
    prompt: MaskPrompt, video: FrameSource, size: tuple[int, int], notes: list[str]
) -> dict[int, PackedMask]:
    """The objects in a mask file, {number: mask}. What is to be told of the file joins the notes."""
    reader = MaskReader([prompt.file])
    found = object_masks(reader.read(prompt.file))
    notes += [note for note in reader.notes if note not in notes]
    if not found:
        raise Sam2rlError(
            f"{prompt.file} is empty: it must show the objects of frame {prompt.frame}, pixel value k = object k, or "
            "one in white."
        )
    height, width = next(iter(found.values())).shape
    if (height, width) != size:
        raise Sam2rlError(
            f"{prompt.file} is {width}x{height} pixels but the first frame of {video.path} is {size[1]}x{size[0]}: "
            "a mask must have its frame's size."
        )
    packed = {k: PackedMask.pack(mask) for k, mask in found.items()}
    if prompt.object is None:
        return packed
    if len(found) > 1:
        raise Sam2rlError(
            f"{prompt.file} shows objects {_listed(found)}, but is to be of object {prompt.object} alone: leave the "
            "number out, or give a mask of one object."
        )
    return {prompt.object: packed.popitem()[1]}


def _named(prompts: Sequence[Prompt], in_masks: set[int]) -> list[Prompt]:
    """The prompts with the number of the object that each is of, where a user may leave it out.

    Args:
        in_masks: Numbers of the objects that mask files show.
    """
    boxed = _with_numbered_boxes(prompts, in_masks)
    known = set(in_masks)
    points: list[PointPrompt] = []
    for prompt in boxed:
        if isinstance(prompt, BoxPrompt | PointPrompt) and prompt.object is not None:
            known.add(prompt.object)
        if isinstance(prompt, PointPrompt):
            points.append(prompt)
    unnamed = [point for point in points if point.object is None]
    if unnamed and (len(known) > 1 or len(unnamed) < len(points)):
        raise Sam2rlError(
            f"{unnamed[0]} does not say of which object it is, and another prompt is of object {_listed(known)}: give "
            "--point X,Y,object=K."
        )
    only = min(known, default=1)
    return [replace(one, object=only) if isinstance(one, PointPrompt) and one.object is None else one for one in boxed]


def _with_numbered_boxes(prompts: Sequence[Prompt], in_masks: set[int]) -> list[Prompt]:
    named: list[Prompt] = []
    number = 0
    for prompt in prompts:
        if not isinstance(prompt, BoxPrompt) or prompt.object is not None:
            named.append(prompt)
            continue
        if in_masks:
            raise Sam2rlError(
                f"{prompt} does not say of which object it is: give either --init MASK.png, or --box X,Y,W,H for each "
                "object; beside a mask, --box X,Y,W,H,object=K."
            )
        number += 1
        named.append(replace(prompt, object=number))
    return named


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _steps(
    grouped: Mapping[tuple[int, int], Sequence[Prompt]],
    masks: Mapping[MaskPrompt, Mapping[int, PackedMask]],
    size: tuple[int, int],
) -> dict[int, Step]:
    """What is wanted on each frame, in order of time.

    Args:
        grouped: {(frame, object): its prompts}.
        masks: {mask prompt: {object: mask}}.
    """
    steps: dict[int, Step] = {}
    tracked: set[int] = set()
    removed: dict[int, int] = {}  # object: frame
    for (frame, k), prompts in sorted(grouped.items(), key=lambda item: item[0]):
        step = steps.setdefault(frame, NOTHING)
        if k in removed:
            raise Sam2rlError(
                f"Object {k} was removed on frame {removed[k]}, so on frame {frame} it can be neither corrected nor "
                "removed: give what comes back another number."
            )
        if any(isinstance(prompt, Removal) for prompt in prompts):
            _check_removal(k, frame, prompts, tracked)
            removed[k] = frame
            steps[frame] = replace(step, removed=[*step.removed, k])
            continue
        given = _merge(k, frame, prompts, masks, size)
        if k in tracked:
            steps[frame] = replace(step, corrected=[*step.corrected, given])
        else:
            _check_start(given, frame)
            tracked.add(k)
            steps[frame] = replace(step, added=[*step.added, given])
    return steps


def _check_removal(k: int, frame: int, prompts: Sequence[Prompt], tracked: set[int]) -> None:
    if len(prompts) > 1:
        raise Sam2rlError(f"Object {k} is removed on frame {frame} and given there too: leave out one of the two.")
    if k not in tracked:
        raise Sam2rlError(f"Object {k} cannot be removed on frame {frame}: it is given on no frame before.")


def _check_start(given: Given, frame: int) -> None:
    if given.mask is None and given.box is None and not given.points[:, 2].any():
        raise Sam2rlError(
            f"Object {given.object} begins on frame {frame} with nothing but points beside it: give a point on it, "
            "or a box."
        )


def _merge(
    k: int,
    frame: int,
    prompts: Sequence[Prompt],
    masks: Mapping[MaskPrompt, Mapping[int, PackedMask]],
    size: tuple[int, int],
) -> Given:
    """All prompts of one object on one frame as one."""
    drawn = [prompt for prompt in prompts if isinstance(prompt, MaskPrompt)]
    boxes = [prompt for prompt in prompts if isinstance(prompt, BoxPrompt)]
    points = [prompt for prompt in prompts if isinstance(prompt, PointPrompt)]
    for several in (drawn, boxes):
        if len(several) > 1:
            raise Sam2rlError(f"Object {k} is given twice on frame {frame}, {several[0]} and {several[1]}: give one.")
    if drawn:
        if boxes or points:
            raise Sam2rlError(
                f"Object {k} has a mask and something else on frame {frame}, {drawn[0]} and {[*boxes, *points][0]}: "
                "give either the mask, or a box and points."
            )
        return Given(k, mask=masks[drawn[0]][k])
    if boxes:
        checks.check_boxes(np.array([boxes[0].box]), size)
    for point in points:
        if not (0 <= point.x < size[1] and 0 <= point.y < size[0]):
            raise Sam2rlError(f"{point} on frame {frame} lies outside of the image of {size[1]}x{size[0]} pixels.")
    sides = {(point.x, point.y): point.on for point in points}
    for point in points:
        if sides[point.x, point.y] != point.on:
            raise Sam2rlError(
                f"Point {point.x:g},{point.y:g} on frame {frame} is said to lie on object {k} and beside it: "
                "leave out one of the two."
            )
    rows = np.array([(point.x, point.y, point.on) for point in points], dtype=np.float32).reshape(-1, 3)
    return Given(k, box=boxes[0].box if boxes else None, points=rows)
