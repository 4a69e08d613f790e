"""Trackers side by side on one sequence, as a video and as a picture of some of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from sam2rl_tracker.measures import frame_overlaps
from sam2rl_tracker.report.overlay import VideoWriter, overlay
from sam2rl_tracker.report.table import labelled
from sam2rl_tracker.video import Image, StrPath, atomic_path, read_image
from sam2rl_tracker.vot.sequences import read_sequence
from sam2rl_tracker.vot.toolkit import checked_workspace, read_results

_PANEL = 256  # pixels that the larger side of a panel has at least
_TITLE = 26  # pixels
_STILLS = 5  # frames in the picture
_ABREAST = 5  # panels in a row of the video at most: more would be too wide for a screen, and for some players


def write_comparison(folder: StrPath, sequence: str, trackers: Sequence[str], path: Path, fps: float = 12) -> Path:
    """Draw the true masks and each tracker's, frame by frame, with each tracker's mean IoU of the frame.

    Args:
        folder: A workspace with results of these trackers.
        path: The .mp4 to write; a .png beside it shows the frames on which the trackers differ most.

    Returns:
        The video's path.

    Raises:
        Sam2rlError: There are no such results, or the files cannot be written.
    """
    workspace = checked_workspace(folder)
    truth = read_sequence(workspace.sequences / sequence)
    columns = {"truth": {k: truth.masks(k) for k in truth.regions}}
    for name in trackers:
        columns[name] = read_results(folder, name, sequence)
    overlaps = {
        name: np.mean([frame_overlaps(masks[k], columns["truth"][k], truth.known(k)) for k in masks], axis=0)
        for name, masks in columns.items()
    }  # {column: [T]}
    spread = np.ptp(np.stack([overlaps[name] for name in trackers]), axis=0)  # [T]
    chosen = _stills(np.nan_to_num(spread))
    stills = []
    with VideoWriter(path, fps) as video:
        for t, file in enumerate(truth.images):
            image = read_image(file)
            panels = []
            for name, masks in columns.items():
                labels = np.zeros(truth.size, dtype=np.uint8)
                for k, stack in masks.items():
                    labels[stack[t]] = k
                # The toolkit keeps no mask of the first frame: it is the given one.
                title = (
                    f"{name}  frame {t + 1}"
                    if name == "truth"
                    else labelled(name) + ("" if t == 0 else f"  {overlaps[name][t]:.2f}")
                )
                panels.append(_panel(overlay(image, labels), title))
            video.write(_grid(panels))
            if t in chosen:
                stills.append(np.concatenate(panels, axis=1))
    with atomic_path(path.with_suffix(".png")) as temporary:
        PILImage.fromarray(np.concatenate(stills)).save(temporary)
    return path


def _stills(spread: np.ndarray) -> list[int]:
    """Frames on which trackers differ most, one in each fifth of the video."""
    parts = [part for part in np.array_split(np.arange(1, len(spread)), _STILLS) if part.size]
    return [int(part[spread[part].argmax()]) for part in parts] or [0]


def _grid(panels: list[Image]) -> Image:
    """Panels in as few rows as they fit into, as even as can be; what stays free is white."""
    rows = -(-len(panels) // _ABREAST)
    columns = -(-len(panels) // rows)
    filled = panels + [np.full_like(panels[0], 255)] * (rows * columns - len(panels))
    return np.concatenate([np.concatenate(filled[i : i + columns], axis=1) for i in range(0, len(filled), columns)])


def _panel(image: Image, title: str) -> Image:
    """Enlarge an image by a whole factor and put a title above it."""
    factor = max(1, round(_PANEL / max(image.shape[:2])))
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = large.shape[:2]
    canvas = PILImage.new("RGB", (width + 4, height + _TITLE), "white")
    canvas.paste(PILImage.fromarray(large), (2, _TITLE))
    ImageDraw.Draw(canvas).text((6, 5), title, fill="black", font=ImageFont.load_default(14))
    return np.asarray(canvas)
