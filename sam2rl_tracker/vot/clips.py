"""Clips to train on: one object of one sequence of a VOT workspace, with its ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.workspace import Workspace, open_workspace


class SequenceObject(NamedTuple):
    """An object of a workspace: the sequence's name and the object's number in the ground truth."""

    sequence: str
    object_id: int


def objects_of(folder: StrPath, sequences: Sequence[str] = (), object_id: int | None = None) -> list[SequenceObject]:
    """The objects of a workspace, in its own order.

    Args:
        sequences: Only these; all of them by default.
        object_id: Only this object of each sequence.

    Raises:
        Sam2rlError: A sequence or object that the workspace does not have.
    """
    workspace = open_workspace(folder)
    known = workspace.names()
    for name in sequences:
        if name not in known:
            raise Sam2rlError(f"{workspace.folder} has no sequence {name}: it has {', '.join(known) or 'none'}.")
    found = []
    for name in sequences or known:
        ids = sorted(read_sequence(workspace.sequences / name).regions)
        if object_id is not None and object_id not in ids:
            raise Sam2rlError(f"{name} has no object {object_id}: it has {', '.join(map(str, ids))}.")
        found += [SequenceObject(name, k) for k in ids if object_id in (None, k)]
    if not found:
        raise Sam2rlError(
            f"{workspace.folder} has no sequences: add some with `sam2rl workspace generate` or `sam2rl workspace "
            "import`."
        )
    return found


def load_clip(workspace: Workspace, sequence: str, object_id: int) -> Clip:
    """Read an object's clip: from the frame on which it first appears, as the toolkit starts it there.

    Raises:
        Sam2rlError: Missing or damaged files, or a truth that cannot be learned from (see `Clip`).
    """
    source = read_sequence(workspace.sequences / sequence)
    if object_id not in source.regions:
        ids = ", ".join(map(str, sorted(source.regions)))
        raise Sam2rlError(f"{sequence} has no object {object_id}: it has {ids}.")
    start = source.start(object_id)
    ignored = source.ignored_masks()[start:]
    try:
        return Clip(
            images=[read_image(path) for path in source.images[start:]],
            masks=source.masks(object_id)[start:],
            known=source.known(object_id)[start:],
            ignored=ignored if np.any(ignored) else None,
            start_counts=start > 0,
        )
    except Sam2rlError as error:
        raise Sam2rlError(f"{sequence}, object {object_id}: {error}") from error
