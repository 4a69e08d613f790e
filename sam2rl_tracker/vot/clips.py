"""Clips to train on: one object of one sequence of a VOT workspace, with its ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import FEWEST_FRAMES, Clip
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.runs.shards import ALL, Shard
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.scored import find_scored
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence, stack_regions
from sam2rl_tracker.vot.workspace import Workspace, open_workspace

_TOO_SHORT = "it is given on the last frame but one, and there is a decision to take from the third frame on"


class SequenceObject(NamedTuple):
    """An object of a workspace: the sequence's name and the object's number in the ground truth."""

    sequence: str
    object_id: int


@dataclass(frozen=True)
class Shown:
    """What is known of an object, frame by frame.

    Attributes:
        known: bool [T], whether anybody knows where it is.
        seen: bool [T], whether it is known to be in the picture.
    """

    known: NDArray[np.bool_]
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class Objects:
    """The objects of a workspace, in its own order.

    Attributes:
        found: Those to learn from.
        not_scored: The sequences and objects that were left out, for want of truth or of frames.
    """

    found: list[SequenceObject]
    not_scored: list[NotScored]


def objects_of(
    folder: StrPath, sequences: Sequence[str] = (), object_id: int | None = None, shard: Shard = ALL
) -> Objects:
    """The objects of a workspace that can be learned from.

    Args:
        sequences: Only these; all of them by default.
        object_id: Only this object of each sequence.
        shard: Only its part of the sequences; no file of the others is read. It may be empty.

    Raises:
        Sam2rlError: A sequence or object that the workspace does not have, one whose truth are boxes, or there is
            nothing to learn from.
    """
    workspace = open_workspace(folder)
    known = workspace.names()
    for name in sequences:
        if name not in known:
            raise Sam2rlError(f"{workspace.folder} has no sequence {name}: it has {', '.join(known) or 'none'}.")
    names = shard.of(list(sequences or known))
    scored = find_scored(workspace, names)
    left_out = scored.left_out()
    found = []
    for name in scored.objects:
        video = read_sequence(workspace.sequences / name)
        ids = sorted(video.regions)
        if object_id is not None and object_id not in ids:
            raise Sam2rlError(f"{name} has no object {object_id}: it has {', '.join(map(str, ids))}.")
        for k in ids:
            if object_id not in (None, k) or not scored.has(name, k):
                continue
            _refuse_boxes(video, k)
            if len(video) - video.start(k) < FEWEST_FRAMES:
                left_out.append(NotScored(name, str(k), _TOO_SHORT))
                continue
            found.append(SequenceObject(name, k))
    if shard != ALL:
        return Objects(found, left_out)
    if names and not found:
        raise Sam2rlError(
            f"{workspace.folder} has nothing to learn from. {' '.join(map(str, left_out[:5]))} Add sequences whose "
            "truth is known on several frames."
        )
    if not found:
        raise Sam2rlError(
            f"{workspace.folder} has no sequences: add some with `sam2rl workspace generate` or `sam2rl workspace "
            "import`."
        )
    return Objects(found, left_out)


def _refuse_boxes(video: Video, object_id: int) -> None:
    """A box says too little: masks that fill it would be rewarded."""
    if not video.has_masks(object_id):
        raise Sam2rlError(
            f"{video.name}: the truth of object {object_id} are boxes, expected masks to learn from: name sequences "
            "that have masks by --sequence, or import masks (`sam2rl workspace import --help`)."
        )


def shown(video: Video, object_id: int) -> Shown:
    """What a sequence's truth says of an object, without decoding a mask: from the frame on which it first appears."""
    regions = video.regions[object_id][video.start(object_id) :]
    known = [isinstance(region, Region) for region in regions]
    return Shown(np.array(known), np.array([isinstance(region, Region) and not region.empty for region in regions]))


def load_clip(
    workspace: Workspace, sequence: str, object_id: int, part: Callable[[Shown], slice] = lambda shown: slice(None)
) -> Clip:
    """Read an object's clip: from the frame on which it first appears, as the toolkit starts it there.

    Args:
        part: Chooses a part of these frames; no other is read.

    Raises:
        Sam2rlError: Missing or damaged files, or a truth that cannot be learned from (see `Clip`).
    """
    source = read_sequence(workspace.sequences / sequence)
    if object_id not in source.regions:
        ids = ", ".join(map(str, sorted(source.regions)))
        raise Sam2rlError(f"{sequence} has no object {object_id}: it has {ids}.")
    _refuse_boxes(source, object_id)
    first = source.start(object_id)
    start, end, _ = part(shown(source, object_id)).indices(len(source) - first)
    frames = slice(first + start, first + end)
    ignored = stack_regions(source.ignored[frames], source.size)
    try:
        return Clip(
            images=[read_image(path) for path in source.images[frames]],
            masks=stack_regions(source.regions[object_id][frames], source.size),
            known=source.known(object_id)[frames],
            ignored=ignored if np.any(ignored) else None,
            start_counts=first > 0,
        )
    except Sam2rlError as error:
        raise Sam2rlError(f"{sequence}, object {object_id}: {error}") from error
