"""What `sam2rl track` wrote for the frames of a sequence, as answers beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.masks import read_index_mask
from sam2rl_tracker.tracking.trace import TraceLine, read_trace
from sam2rl_tracker.vot.differences import ShownAnswers
from sam2rl_tracker.vot.regions import EMPTY, Region, encode
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.tracks import Answers, compare_with_truth


@dataclass(frozen=True)
class TrackedRun:
    """A run of `sam2rl track` on a sequence's images.

    Attributes:
        masks: The folder of its masks, by whose name the run is called.
        trace: Its trace, which tells of memories and corrections; None = there is none.
    """

    masks: Path
    trace: Path | None = None

    @property
    def name(self) -> str:
        return self.masks.resolve().name


def read_runs(runs: Sequence[TrackedRun], video: Video, objects: Sequence[int]) -> dict[str, dict[int, ShownAnswers]]:
    """{name of a run: {object: its answers}}. A frame without a mask counts as one without the object.

    Raises:
        Sam2rlError: A run has no mask for any of the frames or one of another size, or a trace cannot be read.
    """
    return {run.name: _read_run(run, video, objects) for run in runs}


def _read_run(run: TrackedRun, video: Video, objects: Sequence[int]) -> dict[int, ShownAnswers]:
    regions: dict[int, list[Region | int]] = {k: [EMPTY] * len(video) for k in objects}
    found = False
    for t, image in enumerate(video.images):
        file = run.masks / f"{image.stem}.png"
        if not file.is_file():
            continue
        found = True
        labels = read_index_mask(file)
        if labels.shape != video.size:
            raise Sam2rlError(
                f"{file} is {labels.shape[1]}x{labels.shape[0]} pixels, but the images of {video.name} are "
                f"{video.size[1]}x{video.size[0]}: track the sequence's own images."
            )
        for k in np.intersect1d(labels, objects).tolist():
            regions[k][t] = encode(labels == k)
    if not found:
        raise Sam2rlError(
            f"{run.masks} has no mask for any frame of {video.name}, such as {video.images[0].stem}.png: track its "
            f"images with `sam2rl track {video.images[0].parent} --out {run.masks}`."
        )
    lines = [] if run.trace is None else read_trace(run.trace)
    return {k: _answers(own, [line for line in lines if line.object == k], video, k) for k, own in regions.items()}


def _answers(regions: list[Region | int], lines: Sequence[TraceLine], video: Video, object_id: int) -> ShownAnswers:
    banks: list[tuple[int, ...]] = [()] * len(video)
    for line in lines:
        if line.frame < len(video):  # a picture of a frame that is still to come cannot be shown
            banks[line.frame] = tuple(sorted(frame for frame, _ in line.memories if frame < line.frame))
    answers = Answers(regions, banks if any(banks) else None, None)
    given = next((line.frame for line in lines if line.prompt == "init"), video.start(object_id))
    corrections = frozenset(line.frame for line in lines if line.prompt == "correction")
    return ShownAnswers(answers, compare_with_truth(regions, video, object_id).overlaps, given, corrections)
