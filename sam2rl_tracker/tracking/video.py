"""Track the objects of a video file or a folder of frames, and write what was found: masks, an overlay, a trace."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sam2rl_tracker.engine import Model, packaged_models
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import FrameSource, open_frames
from sam2rl_tracker.media.live import LiveSource
from sam2rl_tracker.media.masks import IGNORED
from sam2rl_tracker.media.overlap import read_ahead
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.tracking.outputs import Outputs, Targets, default_folder, open_outputs
from sam2rl_tracker.tracking.passes import Backward, NumberedFrame, Pass, Tracked
from sam2rl_tracker.tracking.plan import Plan, check_span, make_plan
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, Prompt
from sam2rl_tracker.tracking.tracker import Tracker

__all__ = ["CELL", "Summary", "default_folder", "track_video"]

CELL = 4  # input pixels that a pixel of the mask decoder's output is wide


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        frames: how many were tracked.
        objects: ids of all that were tracked on some frame.
        seconds: of tracking and writing, without loading the model.
        network_seconds: of these, for which the network worked, or was waited for.
        revised: whether the policy chose the masks when it had seen the whole video.
        tiny: objects that are smaller than a cell of the mask decoder's output on their first frame. They get lost.
        input_size: side of the model's input, in pixels.
        notes: what the user should know of how the inputs were read and of the output folder, a sentence each.
        changes: which objects were added, corrected and removed after the first frame, in a line; "" = none.
        missed: prompts on frames that never came, a sentence each: the video turned out to be shorter.
        dropped: frames of a live source that came while another was tracked, and were passed over.
        dtype: the numbers that the network computed in.
        compile: whether its steps were compiled.
    """

    frames: int
    objects: list[int]
    seconds: float
    network_seconds: float
    revised: bool
    tiny: list[int]
    input_size: int
    notes: list[str]
    changes: str = ""
    missed: list[str] = field(default_factory=list)
    dropped: int = 0
    dtype: str = "float32"
    compile: bool = False

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    @property
    def network_share(self) -> float:
        """The network's part of the time, from 0 to 1."""
        return self.network_seconds / self.seconds

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "fps": round(self.fps, 2), "network_share": round(self.network_share, 3)}


def track_video(
    source: Path | LiveSource,
    out: Path,
    init: Path | None = None,
    boxes: Sequence[tuple[float, float, float, float]] = (),
    *,
    prompts: Sequence[Prompt] = (),
    start: int = 0,
    end: int | None = None,
    backward: bool = False,
    model: str | Model = "nano",
    policy: str = "recency",
    device: str | None = None,
    dtype: str = "float32",
    compile: bool = False,
    exact: bool = False,
    overlay_file: Path | None = None,
    trace_file: Path | None = None,
    on_frame: Callable[[int, int | None], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda note: None,
    on_tracked: Callable[[Tracked], bool] = lambda tracked: True,
) -> Summary:
    """Track objects, each from the frame on which it is shown first.

    Before the first prompt masks are empty, unless `backward` is set. With a policy that revises its output, masks are
    written as they come and again at the end, in hindsight; overlay and trace show the final ones.

    A live source is tracked until it ends or is stopped, also by Ctrl-C. The caller closes it.

    Args:
        source: a folder of frames, a video file, or a live source.
        out: folder for one index PNG per frame, named like the frame; new, or written by this command before. Masks of
            an earlier run go once the first new frame has been tracked; what else lies there stays.
        init: index PNG of the first frame, k = object k; or a black and white one, white = object 1.
        boxes: instead of a mask, (x, y, width, height) in pixels per object; ids count from 1.
        prompts: more of these on the first frame, and on others: what begins, corrects and ends objects.
        start: the first frame to track, counted from 0.
        end: the last one; None: the video's.
        backward: also track each object from its first prompt towards the first frame. Corrections play no part in
            that, and where objects meet, those that were tracked forwards keep their pixels.
        model, policy, device, dtype, compile, exact: as `Tracker` takes them.
        overlay_file: an .mp4 with the objects coloured, and with prompts marked.
        trace_file: a JSONL file, one line per frame and object (see `Tracker.trace`).
        on_frame: called after every frame with how many are done and how many there are (None: unknown).
        on_note: called with each of the notes at the end, also of a run that ends in an error.
        on_tracked: called with every frame forwards, as it is written; False ends tracking, as at the last frame.

    Raises:
        StreamError: a live source broke off, or changed its size.
        Sam2rlError: bad input, or an output that is an input, cannot be written, or would overwrite what somebody else
            wrote: found before the first frame is tracked. What was computed before a bad frame stays on disk, and the
            message says how much.
    """
    given = [*_first_prompts(init, boxes), *prompts]
    files = [prompt.file for prompt in given if isinstance(prompt, MaskPrompt)]
    video = source if isinstance(source, LiveSource) else open_frames(source, mask=files)
    path = None if isinstance(source, LiveSource) else source
    check_span(video, start, end)
    frames = video.part(start, end)
    plan = make_plan(given, video, frames.first_size(), start, end)
    _check_policy(policy, plan, backward)
    if video.is_live:
        check_live(policy, backward)
    inputs = files if path is None else [path, *files]
    name = model.name if isinstance(model, Model) else model
    if name not in packaged_models():  # a folder, perhaps
        inputs = [*inputs, Path(name)]

    back = Backward(plan if backward else Plan({}), frames)
    others: list[str] = []
    failure: Sam2rlError | KeyboardInterrupt | None = None
    try:
        with open_outputs(Targets(out, overlay_file, trace_file, path, files, inputs), frames) as outputs:
            how = partial(Tracker, policy=policy, dtype=dtype, compile=compile, exact=exact)
            make = partial(how, non_overlap=True, num_frames=frames.count)
            run = _Run(make(model, device=device), plan, frames, back, outputs, on_frame)
            with outputs.opened(), _stoppable(video), run.tracker.threads():
                try:
                    if backward:
                        run.go_back(make(run.tracker.model), out)
                    run.go_forwards(on_tracked)
                    outputs.flush()
                except (Sam2rlError, KeyboardInterrupt) as error:
                    if not outputs.written:
                        raise
                    failure = error  # raised below: first the files are closed and get their names
                run.revise()
            others = outputs.others()
        seconds = time.perf_counter() - run.started
        _raise(failure, outputs.written, out)
    finally:
        notes = [*plan.notes, *frames.notes, *others]
        for note in notes:
            on_note(note)
    return Summary(
        frames=run.done,
        objects=sorted(k for k, frame in plan.begins.items() if frame < run.after),
        seconds=seconds,
        network_seconds=run.network_seconds,
        revised=run.tracker.revises,
        tiny=run.tiny,
        input_size=run.tracker.model.network.image_size,
        notes=notes,
        changes=plan.changes(start, run.after),
        missed=plan.missed(run.after),
        dropped=source.dropped if isinstance(source, LiveSource) else 0,
        **asdict(run.tracker.arithmetic),
    )


class _Run:
    """A plan that is carried out: every frame that is tracked is written.

    Args:
        back: Tracks nothing where nobody wants to go back.
        on_frame: As `track_video` takes it.

    Attributes:
        tracker: Of the way forwards.
        started: When, by the performance counter.
        done: Frames of the way forwards.
        after: The number that follows the last one's.
        tiny: As `Summary` has it.
    """

    def __init__(
        self,
        tracker: Tracker,
        plan: Plan,
        frames: FrameSource,
        back: Backward,
        outputs: Outputs,
        on_frame: Callable[[int, int | None], None],
    ) -> None:
        self.tracker = tracker
        self._trackers = [tracker]
        self.started = time.perf_counter()
        self.done, self.after = 0, frames.start
        self.tiny: list[int] = []
        self._forward, self._back = Pass(tracker, plan), back
        self._frames, self._outputs = frames, outputs
        self._tell, self._told = on_frame, 0
        self._total = None if frames.count is None else back.length + frames.count

    @property
    def network_seconds(self) -> float:
        """Of the time since the start, the network's, in both directions."""
        return sum(tracker.network_seconds for tracker in self._trackers)

    def go_back(self, tracker: Tracker, scratch: Path) -> None:
        """As `Backward.track`; what is found joins the frames of the way forwards."""
        self._trackers.append(tracker)
        with closing(self._back.track(tracker, scratch)) as frames:
            for tracked in frames:
                self._outputs.write(tracked, last_word=False)
                self._step()

    def go_forwards(self, on_tracked: Callable[[Tracked], bool]) -> None:
        """To the last frame, or to that of which `on_tracked` says that it is the last."""
        with self._read() as frames:
            for tracked in self._forward.track(frames):
                self._outputs.write(self._back.join(tracked), last_word=not self.tracker.revises)
                self.tiny += _tiny(tracked, self.tracker.model.network.image_size)
                self.done, self.after = self.done + 1, tracked.number + 1
                self._step()
                if not on_tracked(tracked):
                    break

    def _read(self) -> AbstractContextManager[Iterator[NumberedFrame]]:
        """The frames, read in a thread while those before are tracked; a live source has a thread of its own."""
        frames = self._frames.numbered()
        return nullcontext(frames) if self._frames.is_live else self._forward.ahead(frames)

    def revise(self) -> None:
        """Write the frames again, as the policy sees them now, if it is one that revises."""
        if self.tracker.revises:
            with read_ahead(islice(self._frames.numbered(), self.done)) as frames:
                for tracked in self._forward.revise(frames):
                    self._outputs.write(self._back.join(tracked), last_word=True)
            self._outputs.flush()

    def _step(self) -> None:
        self._told += 1
        self._tell(self._told, self._total)


def _stoppable(video: FrameSource) -> AbstractContextManager[None]:
    """Within, Ctrl-C ends a live source; it interrupts the tracking of any other."""
    return video.stopped_by_signals() if isinstance(video, LiveSource) else nullcontext()


def _first_prompts(init: Path | None, boxes: Sequence[tuple[float, float, float, float]]) -> list[Prompt]:
    masks = [] if init is None else [MaskPrompt(init)]
    return [*masks, *(BoxPrompt(box) for box in boxes)]


def check_live(policy: str, backward: bool) -> None:
    """Refuse what cannot be done with a live source, which can be read once.

    Raises:
        Sam2rlError: The rule must see the whole video, or it is to be tracked backwards.
    """
    if make_policy(policy)().revises:
        raise Sam2rlError(
            f"Policy {policy!r} chooses its masks when it has seen the whole video, and live video has no end: take "
            "another policy, or record a file first."
        )
    if backward:
        raise Sam2rlError("Live video cannot be tracked backwards: leave out --backward, or record a file first.")


def _check_policy(policy: str, plan: Plan, backward: bool) -> None:
    """Refuse what a rule cannot do, before the model is loaded.

    Raises:
        Sam2rlError: The rule takes no corrections, or is run by an agent that knows one direction of time.
    """
    rule = make_policy(policy)()
    if plan.corrects and not rule.takes_corrections:
        raise Sam2rlError(
            f"Policy {policy!r} takes no corrections, but {plan.first_correction}: leave that out, or take another "
            "policy."
        )
    if backward and rule.agent_source is not None:
        raise Sam2rlError(
            f"Policy {policy!r} is run by agents, which were trained forwards: leave out --backward, or take another "
            "policy."
        )


def _raise(failure: Sam2rlError | KeyboardInterrupt | None, written: int, out: Path) -> None:
    """Say what there is where tracking broke off."""
    if isinstance(failure, Sam2rlError):
        raise type(failure)(f"{failure} The masks of the {written} frames before it are in {out}.") from failure
    if failure:
        print(f"Interrupted: the masks of {written} frames are in {out}.", file=sys.stderr)
        raise failure


def _tiny(tracked: Tracked, input_size: int) -> list[int]:
    """Which objects begin with less than `CELL` x `CELL` pixels once the frame has the model's input size."""
    if not tracked.step.added:
        return []
    areas = np.bincount(tracked.labels.ravel(), minlength=IGNORED + 1) * (input_size**2 / tracked.labels.size)
    return [shown.object for shown in tracked.step.added if areas[shown.object] < CELL**2]
