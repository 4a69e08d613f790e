"""Where trackers differ most in a workspace: the object that is worth looking at."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.methods import REFERENCE
from sam2rl_tracker.evaluation.overlaps import Overlaps
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.evaluation.tracks import overlap_spread
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.results import tracked_names
from sam2rl_tracker.vot.scored import find_scored
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracks import Answers, compare_with_truth, read_answers
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace


@dataclass(frozen=True)
class DifferingObject:
    """An object on which trackers were found to differ.

    Attributes:
        sequence: The sequence's name.
        object_id: The object's number in the ground truth.
        qualities: {tracker: mean overlap with the truth, from the second frame on}; nan where nothing is scored.
        size: How far the best and the worst of them are apart on a frame, averaged over the frames.
        not_scored: What was left out of the search for want of truth; of an object that is not scored itself, shown as
            it was asked for, it says why.
    """

    sequence: str
    object_id: int
    qualities: dict[str, float]
    size: float
    not_scored: list[NotScored]


@dataclass(frozen=True)
class ShownAnswers:
    """A tracker's answers as they are shown.

    Attributes:
        answers: With the mask that was given on the frame on which it was given: of that frame the toolkit keeps none.
        overlaps: float [T], with the truth; nan where the truth is unknown.
        given: The frame on which the object was given.
        corrections: Frames on which a user corrected it.
    """

    answers: Answers
    overlaps: Overlaps
    given: int
    corrections: Collection[int] = ()


def find_difference(
    folder: StrPath, sequence: str | None = None, trackers: Sequence[str] = (), object_id: int | None = None
) -> DifferingObject:
    """Find where trackers differ most; whatever is given is kept.

    Args:
        folder: A workspace with results.
        sequence: One of its sequences; None = the one on which the trackers differ most.
        trackers: Two or more with results; none given = the two that differ most.
        object_id: One of the sequence's objects; None = the one on which they differ most.

    Raises:
        Sam2rlError: There is no such sequence, object or tracker, or no two trackers have complete results.
    """
    workspace = checked_workspace(folder, truth=False)
    names = workspace.names()
    if sequence is not None and sequence not in names:
        raise Sam2rlError(f"{workspace.folder} has no sequence {sequence!r}: give one of {_listed(names)}.")
    known = sorted(tracked_names(workspace), key=lambda name: (name != REFERENCE, name))
    for name in trackers:
        if name not in known:
            raise Sam2rlError(
                f"{workspace.folder} has no results of a tracker {name!r}: there are those of "
                f"{_listed(known) or 'none'}. `vot evaluate --workspace {workspace.folder} {name}` makes them."
            )
    if trackers and len(set(trackers)) < 2:
        raise Sam2rlError(f"{trackers[0]} is alone: give two trackers or more of {_listed(known)}.")
    scored = find_scored(workspace, names if sequence is None else [sequence])
    found: list[DifferingObject] = []
    lacking = " ".join(map(str, scored.left_out()))
    for name in scored.objects if sequence is None else [sequence]:
        video = read_sequence(workspace.sequences / name)
        if object_id is not None and object_id not in video.regions:
            lacking = f"{name} has no object {object_id}: its objects are {_listed(video.regions)}."
            continue
        chosen = list(video.regions) if object_id is None else [object_id]
        measured = [k for k in chosen if scored.has(name, k)]
        if sequence is not None and not measured:
            measured = chosen  # they were asked for: the masks can be seen
        for k in measured:
            shown = {tracker: _read_shown(workspace, tracker, video, k) for tracker in trackers or known}
            overlaps = {tracker: one.overlaps for tracker, one in shown.items() if one}
            incomplete = [tracker for tracker in trackers if tracker not in overlaps]
            if incomplete or len(overlaps) < 2:
                lacking = _lacking(workspace, video, incomplete or known)
                continue
            for group in [tuple(trackers)] if trackers else combinations(overlaps, 2):
                has_truth = scored.has(name, k)
                qualities = {tracker: quality(overlaps[tracker]) if has_truth else math.nan for tracker in group}
                size = quality(overlap_spread([overlaps[tracker] for tracker in group]))
                found.append(DifferingObject(name, k, qualities, size, scored.left_out()))
    if not found:
        raise Sam2rlError(lacking)
    return max(found, key=lambda one: one.size)


def read_shown(workspace: Workspace, tracker: str, video: Video, object_id: int) -> ShownAnswers:
    """A tracker's answers for one object, to be shown.

    Raises:
        Sam2rlError: They are incomplete.
    """
    shown = _read_shown(workspace, tracker, video, object_id)
    if shown is None:
        raise Sam2rlError(_lacking(workspace, video, [tracker]))
    return shown


def _read_shown(workspace: Workspace, tracker: str, video: Video, object_id: int) -> ShownAnswers | None:
    answers = read_answers(workspace, tracker, video, object_id)
    if answers is None:
        return None
    start = video.start(object_id)
    answers.regions[start] = video.regions[object_id][start]
    return ShownAnswers(answers, compare_with_truth(answers.regions, video, object_id).overlaps, start)


def _lacking(workspace: Workspace, video: Video, trackers: Sequence[str]) -> str:
    """An error's text: which trackers there are to compare."""
    names = tracked_names(workspace)
    complete = [name for name in names if all(read_answers(workspace, name, video, k) for k in video.regions)]
    wanted = [name for name in trackers if name not in complete]
    return (
        f"{', '.join(wanted) or 'Too few trackers'}: no complete results on {video.name} in {workspace.folder}, where "
        f"those of {_listed(complete) or 'no tracker'} are complete. "
        f"`vot evaluate --workspace {workspace.folder} {' '.join(wanted) or 'SAM2 SAMURAI'}` makes them."
    )


def _listed(names: Iterable[object]) -> str:
    """Names for an error's text, of many the first ones."""
    first = [str(name) for name in names]
    return ", ".join(first[:10]) + (f" and {len(first) - 10} more" if len(first) > 10 else "")
