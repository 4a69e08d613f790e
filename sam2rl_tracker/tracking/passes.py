"""Ways through a video: from the first frame to the last as a plan of prompts wants it, and back to the first."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import Frame, FrameSource
from sam2rl_tracker.media.images import Image, Labels, Mask
from sam2rl_tracker.media.masks import PackedMask
from sam2rl_tracker.media.overlap import read_ahead
from sam2rl_tracker.tracking.plan import NOTHING, Given, Plan, Step
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker

NumberedFrame = tuple[int, Frame]


@dataclass(frozen=True, eq=False)
class Tracked:
    """One frame of the output.

    Attributes:
        number: Of the frame, counted from 0.
        name: Stem of its mask's file.
        image: uint8 [height, width, 3].
        labels: uint8 [height, width].
        trace: Of each object; frames are numbers of the video.
        time: When it is shown in seconds, as `Frame` tells it.
        step: What the user wanted on it.
    """

    number: int
    name: str
    image: Image
    labels: Labels
    trace: list[TraceLine]
    time: float | None
    step: Step = NOTHING


class _Prompted(NamedTuple):
    """What prompts of one frame gave: {object: mask}, and the objects' lines of the trace."""

    masks: dict[int, PackedMask]
    trace: list[TraceLine]


class Pass:
    """One way through frames that follow each other, in either direction of time.

    Frames before the first prompt are not looked at: their masks are empty.

    Args:
        tracker: Nothing else may use it.
        plan: What is wanted on which frame.
        backwards: Whether the numbers of the frames go down.
    """

    def __init__(self, tracker: Tracker, plan: Plan, backwards: bool = False) -> None:
        self._tracker, self._plan = tracker, plan
        self._direction = -1 if backwards else 1
        self._numbers = array("q")  # of the tracker's frames, in the order that it got them
        self._prompted: dict[int, _Prompted] = {}

    def expect(self, frames: Iterable[NumberedFrame]) -> Iterator[NumberedFrame]:
        """The frames for `track`, each made ready; another thread may take them."""
        for number, frame in frames:
            self._tracker.expect(frame.image)
            yield number, frame

    def encode(self, frames: Iterable[NumberedFrame]) -> Iterator[NumberedFrame]:
        """The frames for `track`, encoded where that saves time; another thread may take them."""
        for number, frame in frames:
            self._tracker.encode_ahead(frame.image)
            yield number, frame

    @contextmanager
    def ahead(self, frames: Iterable[NumberedFrame]) -> Iterator[Iterator[NumberedFrame]]:
        """The frames for `track`, read in one thread and encoded in another while those before are tracked."""
        with read_ahead(self.expect(frames)) as read, read_ahead(self.encode(read)) as encoded:
            yield encoded

    def track(self, frames: Iterable[NumberedFrame]) -> Iterator[Tracked]:
        """Every frame, as the tracker sees it when it comes."""
        for number, (name, image, time) in frames:
            step = self._plan.steps.get(number, NOTHING)
            masks = self._advance(number, image, step)
            lines = [self._renumbered(line) for line in self._tracker.trace_lines()] if masks else []
            if self._tracker.revises and step.given:
                kept = {given.object: PackedMask.pack(masks[given.object]) for given in step.given}
                self._prompted[number] = _Prompted(kept, [line for line in lines if line.object in kept])
            yield Tracked(number, name, image, _labels(masks, image), lines, time, step)

    def revise(self, frames: Iterable[NumberedFrame]) -> Iterator[Tracked]:
        """Every frame that was tracked, as the tracker sees it now, after the last one."""
        revised = self._tracker.revised_frames()
        for number, (name, image, time) in frames:
            masks: dict[int, Mask] = {}
            lines: list[TraceLine] = []
            if self._is_tracked(number):
                one = next(revised, None)
                if one is None:
                    return
                lines = [self._renumbered(line) for line in one.trace]
                masks = {line.object: mask for line, mask in zip(lines, one.masks, strict=True)}
            prompted = self._prompted.get(number, _Prompted({}, []))  # what a user has shown stands
            lines = [line for line in lines if line.object not in prompted.masks] + prompted.trace
            masks = _on_top(masks, {k: mask.unpack() for k, mask in prompted.masks.items()})
            step = self._plan.steps.get(number, NOTHING)
            yield Tracked(number, name, image, _labels(masks, image), lines, time, step)

    def _is_tracked(self, number: int) -> bool:
        """Whether the tracker went from another frame to this one."""
        return len(self._numbers) > 0 and self._direction * (number - self._numbers[0]) > 0

    def _advance(self, number: int, image: Image, step: Step) -> dict[int, Mask]:
        """{object: mask} of the next frame, those that the user showed on it last."""
        tracker = self._tracker
        for k in step.removed:
            tracker.remove(k)
        if self._numbers:
            found = tracker.track(image)
            masks = dict(zip(tracker.ids, found, strict=True))
        elif step.added:
            tracker.initialize(image)
            masks = {}
        else:
            return {}
        self._numbers.append(number)
        try:
            return _on_top(masks, {**_correct(tracker, step.corrected), **_add(tracker, step.added)})
        except Sam2rlError as error:
            if number == self._numbers[0]:
                raise
            raise Sam2rlError(f"Prompt of frame {number}: {error}") from error

    def _renumbered(self, line: TraceLine) -> TraceLine:
        """A line of the tracker's, which counts the frames that it got, in numbers of the video."""
        numbers = self._numbers
        return replace(
            line,
            frame=numbers[line.frame],
            memories=[[numbers[frame], slot] for frame, slot in line.memories],
            pointers=[[numbers[frame], distance] for frame, distance in line.pointers],
        )


def _add(tracker: Tracker, added: Sequence[Given]) -> dict[int, Mask]:
    """Begin objects on the tracker's most recent frame: those given by masks at once, and then the others."""
    found: dict[int, Mask] = {}
    masks = {given.object: given.mask.unpack() for given in added if given.mask is not None}
    if masks:
        found.update(zip(masks, tracker.add(np.stack(list(masks.values())), list(masks)), strict=True))
    others = [given for given in added if given.mask is None]
    if others:
        ids = [given.object for given in others]
        boxes = np.array([given.box or [np.nan] * 4 for given in others], dtype=np.float32)
        points = [given.points for given in others]
        found.update(zip(ids, tracker.add(ids=ids, boxes=boxes, points=points), strict=True))
    return found


def _correct(tracker: Tracker, corrected: Sequence[Given]) -> dict[int, Mask]:
    """Correct objects on the tracker's most recent frame."""
    masks: dict[int, Mask] = {}
    for given in corrected:
        box = None if given.box is None else np.array(given.box)
        points = given.points if len(given.points) else None
        mask = None if given.mask is None else given.mask.unpack()
        masks[given.object] = tracker.correct(given.object, mask, box, points)
    return masks


def _on_top(masks: Mapping[int, Mask], prompted: Mapping[int, Mask]) -> dict[int, Mask]:
    """{object: mask}, with those that were prompted last and among them the highest number: there it lies on top."""
    below = {k: mask for k, mask in masks.items() if k not in prompted}
    return {**below, **dict(sorted(prompted.items()))}


def _labels(masks: Mapping[int, Mask], image: Image) -> Labels:
    """{object: bool [height, width]} -> uint8 [height, width]; where masks overlap, the later one."""
    labels = np.zeros(image.shape[:2], dtype=np.uint8)
    for k, mask in masks.items():
        labels[mask] = k
    return labels


class _Found(NamedTuple):
    """What a pass backwards found on a frame: its labels, deflated, and its trace."""

    labels: bytes
    trace: list[TraceLine]


class Backward:
    """Objects tracked from their first prompts towards the first frame, to be joined with the pass forwards.

    What is kept of a frame is about as large as its mask's PNG.

    Args:
        plan: Of the whole video. Of its prompts only those count that objects begin with.
        frames: Those that are tracked forwards.
    """

    def __init__(self, plan: Plan, frames: FrameSource) -> None:
        self._plan, self._frames = plan.backwards(frames.start), frames
        self._found: dict[int, _Found] = {}

    @property
    def length(self) -> int:
        """How many frames the pass goes through."""
        start = self._frames.start
        return max(self._plan.steps, default=start - 1) - start + 1

    def track(self, tracker: Tracker, scratch: Path) -> Generator[Tracked, None, None]:
        """Every frame, from the last prompt on which an object begins to the first frame.

        Args:
            tracker: Nothing else may use it.
            scratch: A folder on a disk with room for frames of a video file.
        """
        if not self.length:
            return
        back = Pass(tracker, self._plan, backwards=True)
        seen: list[NumberedFrame] = []  # without the images, which nobody looks at again
        with back.ahead(self._frames.backwards(self.length, scratch)) as frames:
            for tracked in back.track(frames):
                self._keep(tracked)
                yield tracked
                seen.append((tracked.number, Frame(tracked.name, np.broadcast_to(np.uint8(0), tracked.image.shape))))
        if tracker.revises:
            for tracked in back.revise(seen):
                self._keep(tracked)

    def _keep(self, tracked: Tracked) -> None:
        labels = zlib.compress(tracked.labels.tobytes(), level=1)
        self._found[tracked.number] = _Found(labels, tracked.trace)

    def join(self, tracked: Tracked) -> Tracked:
        """A frame of the pass forwards, and behind its objects those that were found backwards."""
        found = self._found.get(tracked.number)
        if found is None:
            return tracked
        labels = np.frombuffer(zlib.decompress(found.labels), dtype=np.uint8).reshape(tracked.labels.shape)
        own = {line.object for line in tracked.trace}
        return replace(
            tracked,
            labels=np.where(tracked.labels == 0, labels, tracked.labels),
            trace=[*tracked.trace, *(line for line in found.trace if line.object not in own)],
        )
