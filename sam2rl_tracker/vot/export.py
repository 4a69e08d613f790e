"""Results as the folders of index PNGs that the servers and evaluations of other benchmarks take."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, sweep, temporary_folder
from sam2rl_tracker.media.masks import write_index_mask
from sam2rl_tracker.vot.importing import IMPORT_FILE
from sam2rl_tracker.vot.regions import Region
from sam2rl_tracker.vot.sequences import Sequence as Video
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracks import read_answers
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace, progress


class Benchmark(str, Enum):
    """Whose server or evaluation is to read the folder."""

    DAVIS = "davis"
    YOUTUBE_VOS = "youtube-vos"
    MOSE = "mose"
    LVOS = "lvos"

    @property
    def videos(self) -> str:
        """The folder of the videos' folders within the export."""
        return "Annotations" if self is Benchmark.YOUTUBE_VOS else "."


@dataclass
class Export:
    """What was written.

    Attributes:
        folder: The export.
        videos: How many videos.
        renumbered: Those whose frames' names are not known, and count from 00000.
        shared: {video: how many pixels two objects claimed}.
    """

    folder: Path
    videos: int = 0
    renumbered: list[str] = field(default_factory=list)
    shared: dict[str, int] = field(default_factory=dict)


def export_results(folder: StrPath, tracker: str, benchmark: Benchmark, out: StrPath | None = None) -> Export:
    """Write a tracker's masks as `VIDEO/FRAME.png`, pixel value k = object k; the folder appears when it is complete.

    A pixel that several objects claim goes to the one with the lowest number, as in SAM 2's own tool. The masks that
    were given stand on the frames on which they were. Frames before the first object, which an import leaves out, are
    empty.

    Args:
        folder: The workspace.
        tracker: A tracker with complete results.
        benchmark: Whose layout to write.
        out: A new folder; by default `export/BENCHMARK/TRACKER` in the workspace.

    Raises:
        Sam2rlError: The results are incomplete or boxes, an object's number does not fit into an index PNG, or the
            folder is there already or lies among the sequences or results.
    """
    workspace = checked_workspace(folder, truth=False)
    target = Path(out) if out is not None else workspace.folder / "export" / benchmark.value / tracker
    _check_target(workspace, target)
    found = Export(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.name)
        with temporary_folder(target) as new:
            for name in progress(workspace.names(), f"Exporting {tracker}"):
                video = read_sequence(workspace.sequences / name)
                _write_video(workspace, tracker, video, new / benchmark.videos / name, found)
            if target.is_dir():
                target.rmdir()  # it is empty
            os.rename(new, target)
    except OSError as error:
        raise Sam2rlError(f"{target} cannot be written ({error.strerror}): give a folder you own by --out.") from error
    return found


def _check_target(workspace: Workspace, target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Sam2rlError(f"{target} is there already, expected a new folder: delete it, or give another by --out.")
    place = Path(os.path.realpath(target))
    for kept in (workspace.sequences, workspace.folder / "results"):
        if place.is_relative_to(os.path.realpath(kept)):
            raise Sam2rlError(f"{target} lies in {kept}, which the command reads: give another folder by --out.")


def _write_video(workspace: Workspace, tracker: str, video: Video, folder: Path, found: Export) -> None:
    answers = {k: _masks_of(workspace, tracker, video, k) for k in sorted(video.regions)}
    starts = {k: video.start(k) for k in answers}
    names = frame_names(workspace.sequences / video.name, len(video))
    if names is None:
        found.renumbered.append(video.name)
        names = [f"{t:05d}" for t in range(len(video))]
    folder.mkdir(parents=True)
    before = len(names) - len(video)
    for number, name in enumerate(names):
        t = number - before
        labels: NDArray[np.uint8] = np.zeros(video.size, dtype=np.uint8)
        for k in sorted(answers, key=lambda k: (starts[k] != t, k)):
            region = answers[k][t] if t >= 0 else None
            if isinstance(region, Region):
                mask = region.full(video.size)
                taken = mask & (labels > 0)
                if taken.any():
                    found.shared[video.name] = found.shared.get(video.name, 0) + int(taken.sum())
                labels[mask & (labels == 0)] = k
        write_index_mask(folder / f"{name}.png", labels)
    found.videos += 1


def _masks_of(workspace: Workspace, tracker: str, video: Video, object_id: int) -> list[Region | int]:
    """A tracker's masks for one object, with the one that it was given."""
    if not 1 <= object_id <= 254:
        raise Sam2rlError(
            f"{video.name} has an object {object_id}, which an index PNG cannot hold, expected 1 to 254: rename "
            f"groundtruth_{object_id}.txt, and evaluate again."
        )
    answers = read_answers(workspace, tracker, video, object_id)
    if answers is None:
        raise Sam2rlError(
            f"{tracker} has no complete results on {video.name}, object {object_id}: "
            f"`vot evaluate --workspace {workspace.folder} {tracker}` makes them."
        )
    start = video.start(object_id)
    regions = [*answers.regions]
    regions[start] = video.regions[object_id][start]
    if any(isinstance(region, Region) and region.outline for region in regions):
        raise Sam2rlError(
            f"The results of {tracker} on {video.name} are boxes, expected masks: these benchmarks take masks only, "
            "which trackers give where the truth are masks."
        )
    return regions


def frame_names(sequence: Path, length: int) -> list[str] | None:
    """The names, without suffix, of the frames that a sequence was made of, as its importer noted them.

    Those that come before the first object, and are no part of the sequence, come first.
    """
    try:
        note = json.loads((sequence / IMPORT_FILE).read_text())
        names = [*note.get("before", []), *note["frames"]]
        fit = len(note["frames"]) == length and len(set(names)) == len(names) and all(map(_is_plain, names))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return names if fit else None


def _is_plain(name: object) -> bool:
    """Whether a noted name is the name of a file, and of no folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def remarks(found: Export) -> Iterable[str]:
    """What was assumed, in sentences."""
    if found.renumbered:
        some = ", ".join(found.renumbered[:5]) + (" and others" if len(found.renumbered) > 5 else "")
        yield (
            f"The original names of the frames are not known of {some}: frames count from 00000. Rename them if the "
            "data set counts otherwise."
        )
    if found.shared:
        yield (
            f"In {len(found.shared)} videos objects share {sum(found.shared.values())} pixels over all frames, which "
            "went to the object with the lower number."
        )
