"""What tracking writes: a mask for each frame, an overlay, a trace. Nobody's files are lost to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, check_output_file, refuse_inputs, same_file
from sam2rl_tracker.media.frames import FrameSource
from sam2rl_tracker.media.images import Image
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.media.output_folder import OutputFolder, free_folder, output_folder
from sam2rl_tracker.media.overlap import WriteBehind
from sam2rl_tracker.media.overlay import draw_caption, draw_prompt, overlay
from sam2rl_tracker.media.writer import VideoWriter, check_output_video
from sam2rl_tracker.tracking.passes import Tracked

_LONGEST_LINE = 1 << 20  # of a trace, in bytes: another file may be a single line
_COMMAND = "track"  # as the marker of a folder of masks names it


@dataclass(frozen=True)
class Targets:
    """Where a run writes, and what it reads.

    Attributes:
        masks: Folder of the masks.
        overlay: An .mp4, or None.
        trace: A JSONL file, or None.
        source: The video; None = a live source, which is no path, and of which no run is like another.
        prompts: Mask files that are prompts: no mask of the run may take the place of one.
        inputs: All that is read: no output may be one of these, or lie in one.
    """

    masks: Path
    overlay: Path | None
    trace: Path | None
    source: Path | None
    prompts: Sequence[Path]
    inputs: Sequence[Path]


class Outputs:
    """The files of a run while it goes on; `open_outputs` makes one.

    They are written in a thread, in the order of the frames, while the next frames are tracked.
    """

    def __init__(self, folder: OutputFolder, targets: Targets, frames: FrameSource) -> None:
        self._folder, self._targets = folder, targets
        self._video = VideoWriter(targets.overlay, frames.fps) if targets.overlay else None
        self._captions = _Captions(frames.start, round(frames.fps or 25))
        self._trace: TextIO | None = None
        self._open = ExitStack()
        self._behind = WriteBehind()
        self._is_first = True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Overlay and trace appear under their names when the block ends without an exception, and not otherwise."""
        with self._open, self._behind:
            yield

    def write(self, tracked: Tracked, last_word: bool) -> None:
        """Have a frame written, within `opened`.

        With the first one, masks of an earlier run go: they must not stay among new ones.

        Args:
            tracked: The frame.
            last_word: Whether its mask is final: then it comes into overlay and trace, too. For this, frames must be
                given in order of time, each once.

        Raises:
            Sam2rlError: This frame or one before could not be written.
        """
        self._behind.submit(partial(self._write, tracked, last_word))

    def flush(self) -> None:
        """Wait until all frames are written; errors as those of `write`."""
        self._behind.flush()

    def _write(self, tracked: Tracked, last_word: bool) -> None:
        if not self._folder.written:
            self._folder.clear_old()
        with self._folder.write(f"{tracked.name}.png") as path:
            write_index_mask(path, tracked.labels)
        if last_word:
            self._write_last(tracked)

    def _write_last(self, tracked: Tracked) -> None:
        if self._is_first:  # not before: of a run without a frame there is no file
            if self._video:
                self._open.enter_context(self._video)
            if self._targets.trace:
                temporary = self._open.enter_context(atomic_path(self._targets.trace))
                self._trace = self._open.enter_context(temporary.open("w"))
            self._is_first = False
        if self._video:
            self._video.write(self._draw(tracked), tracked.time)
        if self._trace:
            self._trace.writelines(json.dumps(line.to_json()) + "\n" for line in tracked.trace)

    def _draw(self, tracked: Tracked) -> Image:
        image = draw_caption(overlay(tracked.image, tracked.labels), self._captions.of(tracked))
        for given in tracked.step.given:
            mask = None if given.mask is None else given.mask.unpack()
            image = draw_prompt(image, given.object, mask, given.box, given.points)
        return image

    @property
    def written(self) -> int:
        """How many frames have a mask, once those are written that were given."""
        self._behind.wait()
        return len(set(self._folder.written))

    def others(self) -> list[str]:
        """Images that lie among the masks: somebody who reads the folder should know."""
        names = sorted({path.name for path in self._folder.path.glob("*.png")} - set(self._folder.written))
        if not names:
            return []
        return [f"{self._folder.path} also holds {_some(names)}, which this run did not write and left there."]


@contextmanager
def open_outputs(targets: Targets, frames: FrameSource) -> Iterator[Outputs]:
    """Make the folder of the masks; it goes again where nothing was written.

    Raises:
        Sam2rlError: An output is an input, cannot be written, or would cost somebody a file.
    """
    refuse_inputs(targets.masks, targets.inputs)
    with output_folder(targets.masks, _COMMAND, targets.source) as folder:
        _check_masks(folder, frames, targets.prompts)
        outputs = Outputs(folder, targets, frames)
        if targets.overlay:
            check_output_video(targets.overlay, targets.inputs)
        if targets.trace:
            _check_trace(targets.trace, targets.inputs)
        yield outputs


def default_folder(source: Path | None) -> Path:
    """Where masks go by default: NAME-masks here, or NAME-masks-2 and so on where that holds something else.

    Args:
        source: The video; None = a live source, each of whose runs has a folder of its own: live-masks and so on.
    """
    if source is None:
        return free_folder(Path("live-masks"), _COMMAND)
    source = source.resolve()
    name = source.name if source.is_dir() else source.stem
    return free_folder(Path(f"{name}-masks"), _COMMAND, source)


def _check_masks(folder: OutputFolder, frames: FrameSource, prompts: Sequence[Path]) -> None:
    """Refuse to lose a mask that is given, or one that somebody drew or corrected, to a mask of this run."""
    names = [path.name for path in folder.path.glob("*.png") if frames.may_name(path.stem)]
    for mask in prompts:
        if any(same_file(folder.path / name, mask) for name in {*names, *folder.listed}):
            raise Sam2rlError(
                f"{mask} is an input and lies where masks will be written: copy it to another place, or give another "
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


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class _Captions:
    """What was wanted on a frame after the first one, in words; it stays for a second.

    Args:
        start: The first frame.
        length: Of a second, in frames.
    """

    def __init__(self, start: int, length: int) -> None:
        self._start, self._length = start, length
        self._until = 0
        self._lines: list[str] = []

    def of(self, tracked: Tracked) -> list[str]:
        """The lines that a frame of the overlay shows."""
        events = tracked.step.events
        if events and tracked.number > self._start:
            self._lines = [f"frame {tracked.number}", *(f"object {k} {what}" for k, what in events)]
            self._until = tracked.number + self._length
        return self._lines if tracked.number < self._until else []
