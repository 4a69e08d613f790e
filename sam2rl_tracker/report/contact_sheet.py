"""Contact sheets: many scenes at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path, check_output_file
from sam2rl_tracker.media.images import Image
from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.synthetic.scenes import generate_scene

COLUMNS = 10
_GAP = 2  # pixels between pictures
_DIGIT = 8  # width of a seed's digit in pixels
_WHITE = 255


def contact_sheet(
    seeds: Sequence[int],
    preset: str = "default",
    frames: int = 80,
    size: int = 128,
    columns: int = COLUMNS,
    objects: int = 1,
) -> Image:
    """Draw a row for every scene: its seed and equally spaced frames, with the targets outlined.

    Args:
        seeds: Of the scenes.
        preset: As in `generate_scene`, like frames, size and objects.
        frames: Length of the scenes.
        size: Side of a picture in pixels.
        columns: Pictures in a row, the first and the last frame among them; no more than there are frames.
        objects: Targets in a scene.

    Returns:
        uint8 [h, w, 3].

    Raises:
        Sam2rlError: An argument is out of range.
    """
    if not seeds or columns < 1:
        raise Sam2rlError(f"A contact sheet cannot have {len(seeds)} rows and {columns} columns, expected at least 1.")
    chosen = np.linspace(0, frames - 1, min(columns, frames)).round().astype(int)
    margin = _DIGIT * len(str(max(seeds))) + 2 * _GAP
    pitch = size + _GAP
    sheet = np.full((len(seeds) * pitch, margin + len(chosen) * pitch, 3), _WHITE, dtype=np.uint8)
    for row, seed in enumerate(seeds):
        scene = generate_scene(seed, frames, size, objects, preset=preset)
        top = row * pitch
        place = (_GAP, top + size // 2)
        cv2.putText(sheet, str(seed), place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), lineType=cv2.LINE_AA)
        for column, frame in enumerate(chosen):
            left = margin + column * pitch
            picture = overlay(scene.images[frame], scene.labels[frame], alpha=0)
            sheet[top : top + size, left : left + size] = picture
    return sheet


def write_contact_sheet(path: StrPath, seeds: Sequence[int], preset: str, frames: int, size: int, objects: int) -> Path:
    """Write a contact sheet as a PNG; arguments as in `contact_sheet`.

    Raises:
        Sam2rlError: An argument is out of range, the name does not end in .png, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise Sam2rlError(f"{path} does not end in .png, the only format of contact sheets: give a name that does.")
    check_output_file(path)
    sheet = contact_sheet(seeds, preset, frames, size, objects=objects)
    with atomic_path(path) as temporary:
        PILImage.fromarray(sheet).save(temporary)
    return path
