"""What of a workspace can be scored, and a view of it that holds nothing else, for the toolkit.

The toolkit gives 0 to an object without known truth and fails altogether at a video of one frame. It is handed a
workspace of links to what can be scored: so its numbers of the rest are what they would be without the other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import yaml

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.scoring import NotScored, unknown_frames, why_not_scored
from sam2rl_tracker.media.images import Mask
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.results import result_starts
from sam2rl_tracker.vot.sequences import is_sequence, known_frames, object_names, object_numbers, read_sequence
from sam2rl_tracker.vot.workspace import Workspace

_SAME = 0.5
"""IoU above which a region that was given is the truth's: a tracker gets corners that are rounded differently."""


@dataclass(frozen=True)
class Scored:
    """What of a workspace can be scored.

    Attributes:
        objects: {sequence: the names of its objects that are scored}, in the workspace's order.
        numbers: The same by the objects' numbers.
        not_scored: What is left out. Frames of scored objects come last.
    """

    objects: dict[str, list[str]]
    numbers: dict[str, list[int]]
    not_scored: list[NotScored]

    def has(self, sequence: str, object_id: int) -> bool:
        """Whether an object is scored, by its number."""
        return object_id in self.numbers.get(sequence, [])

    def left_out(self) -> list[NotScored]:
        """The sequences and objects, without the frames."""
        return [one for one in self.not_scored if one.frames is None]


def find_scored(workspace: Workspace, sequences: Sequence[str] | None = None) -> Scored:
    """Read the ground truth of sequences for what is known; by default of all in use."""
    objects: dict[str, list[str]] = {}
    left_out: list[NotScored] = []
    frames: list[NotScored] = []
    for name in workspace.names() if sequences is None else sequences:
        known = known_frames(workspace.sequences / name)
        reasons = {k: why_not_scored(flags) for k, flags in known.items()}
        if found := [k for k, reason in reasons.items() if reason is None]:
            objects[name] = found
        if not known:
            left_out.append(NotScored(name, None, "it has no ground truth"))
        elif not found and len(set(reasons.values())) == 1:
            left_out.append(NotScored(name, None, str(next(iter(reasons.values())))))
        else:
            left_out += [NotScored(name, k, reason) for k, reason in reasons.items() if reason is not None]
        for k in found:
            if count := unknown_frames(known[k]):
                of = len(known[k]) - int(np.argmax(known[k])) - 1
                text = f"the truth is unknown on {count} of the {of} frames after the one on which it is given"
                frames.append(NotScored(name, k, text, count))
    numbers = {
        name: [k for k, known in object_numbers(workspace.sequences / name).items() if known in found]
        for name, found in objects.items()
    }
    return Scored(objects, numbers, left_out + frames)


def given_without_score(image: Path, mask: Mask) -> NotScored | None:
    """Which object of a sequence a tracker was given, if it is one that is not scored.

    Args:
        image: The frame of the sequence on which the object was given.
        mask: bool [h, w], the region that was given: the toolkit tells no names.

    Returns:
        None where the object is scored, or nothing is known of it.
    """
    folder = next((parent for parent in image.absolute().parents if is_sequence(parent)), None)
    if folder is None:
        return None
    try:
        video = read_sequence(folder)
        t = video.images.index(image.absolute())
    except (Sam2rlError, ValueError):  # the toolkit made a sequence of its own
        return None
    overlaps = {k: _overlap(mask, regions[t]) for k, regions in video.regions.items()}
    best = max(overlaps.values())
    likely = [k for k, overlap in overlaps.items() if overlap == best and best > _SAME]
    reasons = [why_not_scored(video.known(k)) for k in likely]
    if not reasons or None in reasons:  # of two with the same mask, one is scored
        return None
    return NotScored(video.name, object_numbers(folder)[likely[0]], str(reasons[0]))


def _overlap(mask: Mask, truth: Region | int) -> float:
    """IoU of bool [h, w] with a region of that size."""
    true = truth.full((mask.shape[0], mask.shape[1])) if isinstance(truth, Region) else np.zeros_like(mask)
    return int((mask & true).sum()) / max(int((mask | true).sum()), 1)


@contextmanager
def scored_view(workspace: Workspace, scored: Scored, trackers: Sequence[str]) -> Iterator[Path]:
    """A workspace, while the context lasts, that holds only what is scored and the results of some trackers on it.

    Where everything is scored it is the workspace itself.
    """
    if all(scored.objects.get(name) == object_names(workspace.sequences / name) for name in workspace.names()):
        yield workspace.folder
        return
    with tempfile.TemporaryDirectory(prefix="sam2rl-") as temporary:
        view = Path(temporary)
        config = {
            "registry": [str(path) for path in workspace.registries],
            "stack": str(workspace.stack),
            "sequences": "sequences",
        }
        (view / "config.yaml").write_text(yaml.safe_dump(config))
        (view / "sequences").mkdir()
        (view / "sequences" / "list.txt").write_text("".join(f"{name}\n" for name in scored.objects))
        for name, objects in scored.objects.items():
            _link_sequence(workspace.sequences / name, view / "sequences" / name, objects)
            everything = object_names(workspace.sequences / name)
            for tracker, experiment in product(trackers, workspace.experiments()):
                starts = result_starts(workspace.folder, tracker, experiment, name, everything)
                for k, start in result_starts(view, tracker, experiment, name, objects).items():
                    _link_results(starts[k], start)
        yield view


def _link_sequence(source: Path, target: Path, objects: Sequence[str]) -> None:
    target.mkdir()
    left_out = {f"groundtruth_{k}.txt" for k in object_names(source) if k not in objects}
    for entry in source.iterdir():
        if entry.name not in left_out:
            os.symlink(entry, target / entry.name)


def _link_results(source: Path, target: Path) -> None:
    """Link an object's result files, if there are any; both say how their paths start."""
    if not source.parent.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    for entry in source.parent.iterdir():
        if entry.name.startswith(f"{source.name}_"):
            os.symlink(entry, target.with_name(target.name + entry.name.removeprefix(source.name)))
