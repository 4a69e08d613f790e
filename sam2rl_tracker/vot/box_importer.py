"""Importer of data sets that mark one object by boxes: LaSOT, GOT-10k, OTB, and others with frames and a text file.

A sequence is a folder with `groundtruth.txt` or `groundtruth_rect.txt`, a line `x,y,width,height` in pixels per frame,
and images in it or in `img/`. With `groundtruth_rect.1.txt` and `.2.txt`, as in OTB, it is a sequence for each. Numbers
are taken as they are written; LaSOT and OTB count pixels from 1, and so do the answers that their evaluations expect.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import walk
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.frames import list_frames
from sam2rl_tracker.vot.importing import Imported, Recording, import_all
from sam2rl_tracker.vot.regions import EMPTY, UNKNOWN, Region, parse_line
from sam2rl_tracker.vot.sequences import AnnotatedFrame

TRUTHS = ("groundtruth.txt", "groundtruth_rect.txt")
IMAGES = ("img", "imgs", "color", "frames")
ABSENT_IF_1 = ("full_occlusion.txt", "out_of_view.txt", "absence.label")
"""LaSOT's and GOT-10k's flags, a 0 or 1 per frame: the object cannot be seen."""
ABSENT_IF_0 = ("cover.label",)
"""GOT-10k's visible share, in eighths."""

_DEEPEST = 3
"""Folders between the one that is given and a sequence: LaSOT has one for each class."""


def import_boxes(source: StrPath, folder: StrPath, sequences: Sequence[str] | None = None) -> Imported:
    """Add sequences with boxes to a workspace, which is created if it is new.

    Args:
        source: A sequence, or a folder of them, also by class.
        folder: The workspace.
        sequences: Names to take; None = all.

    Returns:
        What was added. Frames without a line are unknown and do not count; the object is absent on frames that the
        data set flags so, and where a box has no area.

    Raises:
        Sam2rlError: There is no such sequence, or the workspace is unsuitable.
    """
    source = Path(os.path.abspath(source))  # a link gives the sequence its own name
    found: dict[str, Path] = {}
    for name, truth in _find(source):
        if name in found:
            raise Sam2rlError(
                f"{found[name].parent} and {truth.parent} have the same name, which sequences of one workspace cannot "
                "have: import them into two workspaces."
            )
        found[name] = truth
    if not found:
        raise Sam2rlError(
            f"{source} holds no sequence, expected a folder with {' or '.join(TRUTHS)} and frames, in it or in img/: "
            "give the folder of one sequence or of several."
        )
    for name in sequences or ():
        if name not in found:
            some = ", ".join(list(found)[:10]) + (" and more" if len(found) > 10 else "")
            raise Sam2rlError(f"{source} has no sequence {name}, expected one of {some}.")
    chosen = {name: partial(_open, found[name]) for name in (sequences or found)}
    return import_all(folder, chosen, source.name, roots=[source])


def _find(source: Path) -> Iterator[tuple[str, Path]]:
    """Names of sequences and their truths, in natural order of their paths."""
    for place, below, files in walk(source):
        truths = _truths_in(place, files)
        yield from truths.items()
        if truths or len(place.relative_to(source).parts) == _DEEPEST:
            below.clear()
        below.sort(key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _truths_in(place: Path, files: Sequence[str]) -> dict[str, Path]:
    """{sequence: its truth} of a folder."""
    for name in TRUTHS:
        if name in files:
            return {place.name: place / name}
    numbered = [match for name in files if (match := re.fullmatch(r"groundtruth_rect\.(\d+)\.txt", name))]
    return {f"{place.name}-{match[1]}": place / match[0] for match in numbered}


def _open(truth: Path) -> Recording:
    """A sequence's frames and its truth."""
    place = truth.parent
    within = next((place / name for name in IMAGES if (place / name).is_dir()), place)
    images = list_frames(within)
    flags = [place / name for name in (*ABSENT_IF_1, *ABSENT_IF_0) if (place / name).is_file()]
    return Recording([place, within], [*images, truth, *flags], partial(_frames, images, truth, flags))


def _frames(images: Sequence[Path], truth: Path, flags: Sequence[Path], notes: list[str]) -> Iterator[AnnotatedFrame]:
    regions = [_region(truth, number, line) for number, line in enumerate(_lines(truth), start=1)]
    if len(regions) > len(images):
        raise Sam2rlError(
            f"{truth} has {len(regions)} lines for {len(images)} images in {images[0].parent}, expected one per image: "
            "copy the missing images, or cut the lines that belong to none."
        )
    if len(regions) < len(images):
        notes.append(f"{truth.name} has {len(regions)} lines for {len(images)} images: on the rest nothing is known.")
    absent = [_absent(file, len(images)) for file in flags]
    for t, image in enumerate(images):
        region = regions[t] if t < len(regions) else UNKNOWN
        if isinstance(region, Region) and any(found[t] for found in absent):
            region = EMPTY
        yield AnnotatedFrame(image, {1: region if isinstance(region, Region) else None})


def _lines(file: Path) -> list[str]:
    """Lines of a file without those that are blank at its end."""
    try:
        return file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Sam2rlError(f"{file} cannot be read ({error}): copy it again.") from error


def _region(truth: Path, number: int, line: str) -> Region | int:
    """A box, or a polygon; numbers are separated by commas, tabs or blanks."""
    words = [word for word in re.split(r"[,;\s]+", line.strip()) if word]
    try:
        region = parse_line(",".join(words))
        if len(words) in (4, 8):
            return region
    except ValueError:
        pass
    raise Sam2rlError(
        f"Line {number} of {truth} is {line.strip()[:60]!r}, expected x,y,width,height, or the corners of a box at an "
        "angle: mend the line."
    )


def _absent(file: Path, length: int) -> list[bool]:
    """On which frames a file of flags says that the object cannot be seen."""
    words = " ".join(_lines(file)).replace(",", " ").split()
    try:
        flags = [float(word) != 0 for word in words]
    except ValueError:
        flags = []
    if len(flags) < length:
        raise Sam2rlError(
            f"{file} has {len(flags)} numbers for {length} images, expected one for each: copy it again, or delete it "
            "to count every frame on which there is a box."
        )
    return [flag != (file.name in ABSENT_IF_0) for flag in flags[:length]]
