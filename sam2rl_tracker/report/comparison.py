"""Trackers side by side on one sequence, as a video and as a picture of some of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.fallbacks import beyond_memory
from sam2rl_tracker.evaluation.overlaps import Overlaps
from sam2rl_tracker.evaluation.tracks import mean_overlaps, overlap_spread
from sam2rl_tracker.media.files import StrPath, atomic_path, check_output_file
from sam2rl_tracker.media.images import read_image
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.media.writer import VideoWriter, check_output_video
from sam2rl_tracker.report.bank_row import BankRow, draw_legend
from sam2rl_tracker.report.panels import (
    BLACK,
    ORANGE,
    RED,
    draw_labels,
    fitted_size,
    grid,
    resized,
    titled,
    truth_state,
)
from sam2rl_tracker.report.slots import places
from sam2rl_tracker.report.words import labelled
from sam2rl_tracker.vot.differences import read_shown
from sam2rl_tracker.vot.registry import namesakes, that_saw_truth
from sam2rl_tracker.vot.results import agents_used
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.tracked import TrackedRun, read_runs
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace

_PANEL = 256  # pixels of a panel's larger side without a bank,
_WIDTH = 1600  # or of a whole row of panels with one
_ABREAST, _ABREAST_BANK = 5, 4  # panels in a row at most: more would be too wide for a screen, and for some players
_PLACES = 7  # of a bank at least: SAM 2's
_STILLS = 5  # frames in the picture


def write_comparison(
    folder: StrPath,
    sequence: str,
    trackers: Sequence[str],
    path: Path,
    fps: float = 12,
    object_id: int | None = None,
    runs: Sequence[TrackedRun] = (),
) -> Path:
    """Draw the true masks and each tracker's, frame by frame, with each tracker's mean IoU of the frame.

    Frames count from 0, the prompted one, as in traces and in the results' `memory_frames`. Those on which somebody
    corrected an object say so.

    Args:
        folder: A workspace with results of these trackers.
        sequence: One of its sequences.
        trackers: From left to right, behind the truth.
        path: The .mp4 to write; a .png beside it shows the frames on which the trackers differ most, and the first
            that were corrected.
        fps: Frames per second.
        object_id: Show this object alone, and below each tracker the frames in its memory bank: a frame keeps its
            place while it is there. None = all objects, without banks.
        runs: Runs of `sam2rl track` on the sequence's images, behind the trackers.

    Returns:
        The video's path.

    Raises:
        Sam2rlError: There are no such results, the files cannot be written or lie among the workspace's data, or the
            picture would take the place of somebody else's.
    """
    workspace = checked_workspace(folder, truth=False)
    video = VideoWriter(path, fps)
    check_comparison_files(workspace, path)
    truth = read_sequence(workspace.sequences / sequence)
    objects = list(truth.regions) if object_id is None else [object_id]
    shown = {name: {k: read_shown(workspace, name, truth, k) for k in objects} for name in trackers}
    if twice := shown.keys() & {run.name for run in runs}:
        raise Sam2rlError(f"{min(twice)} is a tracker and a folder of masks: rename the folder.")
    shown |= read_runs(runs, truth, objects)
    corrections = {name: {t for one in own.values() for t in one.corrections} for name, own in shown.items()}
    overlaps = {name: mean_overlaps([one.overlaps for one in own.values()]) for name, own in shown.items()}
    corrected = sorted(set().union(*corrections.values()))
    chosen = {*_stills(overlap_spread(list(overlaps.values()))), *corrected[:_STILLS]}

    count = 1 + len(shown)
    rows = -(-count // (_ABREAST if object_id is None else _ABREAST_BANK))
    columns = -(-count // rows)
    size = fitted_size(truth.size, _PANEL if object_id is None else _WIDTH // columns)
    banks: dict[str, BankRow] = {}
    if object_id is not None:
        starts = {name: own[object_id].given for name, own in shown.items()}
        kept = {name: own[object_id].answers.banks or [()] * len(truth) for name, own in shown.items()}
        rooms = {name: places(bank, starts[name]) for name, bank in kept.items()}
        most = max(_PLACES, *(len(row) for room in rooms.values() for row in room))
        banks = {
            name: BankRow(rooms[name], starts[name], overlaps[name], size, most, corrections[name], bool(corrected))
            for name in shown
        }
    stills = []
    trained, others = that_saw_truth(workspace, trackers), namesakes(workspace, trackers)
    controls = beyond_memory({name: used for name in trained if (used := agents_used(workspace, name))})
    with video:
        for t, file in enumerate(truth.images):
            image = resized(read_image(file), size)
            true = {k: truth.regions[k][t] for k in objects}
            state = truth_state(true)
            title = f"truth  frame {t}{state and f': {state}'}"
            panels = [titled(overlay(image, draw_labels(true, truth.size, size)), title, RED if state else BLACK)]
            if banks:
                legend = draw_legend(panels[0].shape[1], next(iter(banks.values())).height, bool(corrected))
                panels[0] = np.concatenate([panels[0], legend])
            for name, own in shown.items():
                labels = draw_labels({k: one.answers.regions[t] for k, one in own.items()}, truth.size, size)
                title = labelled(name, trained, others, controls)
                if any(t > truth.start(k) for k in objects):  # before, nothing was predicted
                    score = overlaps[name][t]
                    title += ("" if np.isnan(score) else f"  {score:.2f}") + ("" if labels.any() else "  says absent")
                is_corrected = t in corrections[name]
                title += "  corrected" * is_corrected
                panel = titled(overlay(image, labels), title, ORANGE if is_corrected else BLACK)
                panels.append(np.concatenate([panel, banks[name].draw(t, image, labels)]) if banks else panel)
            video.write(grid(panels, columns))
            if t in chosen:
                stills.append(np.concatenate(panels, axis=1))
    with atomic_path(path.with_suffix(".png")) as temporary:
        PILImage.fromarray(np.concatenate(stills)).save(temporary)
    return path


def check_comparison_files(workspace: Workspace, path: Path) -> None:
    """Refuse a video, or the picture beside it, that could not be written or would cost somebody a file.

    Raises:
        Sam2rlError: As in `write_comparison`.
    """
    picture = path.with_suffix(".png")
    check_output_video(path, workspace.inputs)
    check_output_file(picture, workspace.inputs)
    if picture.exists() and not path.exists():  # a comparison leaves both
        raise Sam2rlError(
            f"{picture} is there already, and stills of {path.name} would take its place: give another name."
        )


def _stills(spread: Overlaps) -> list[int]:
    """Frames on which trackers differ most, one in each fifth of the video."""
    spread = np.nan_to_num(spread)
    parts = [part for part in np.array_split(np.arange(1, len(spread)), _STILLS) if part.size]
    return [int(part[spread[part].argmax()]) for part in parts] or [0]
