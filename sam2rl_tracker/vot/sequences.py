"""Sequences of a VOT workspace: written from frames and masks, read back for training.

A sequence is a folder: numbered images, one `groundtruth_<id>.txt` per object with a region per line, the ignored areas
in `groundtruth__ignore.txt`, and `evaluation.tag`, which says which frames count. A line `0` means that nobody knows
where the object is. An object's lines are `0` until it first appears: there the toolkit starts to track it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, temporary_folder
from sam2rl_tracker.media.images import Image, Mask, read_image
from sam2rl_tracker.vot.regions import EMPTY, UNKNOWN, Region, bounding_box, encode, parse_line

IGNORE_FILE = "groundtruth__ignore.txt"
EVALUATION_TAG = "evaluation"

_KEPT_SUFFIXES = {".jpg": ".jpg", ".jpeg": ".jpg", ".png": ".png"}  # the toolkit's formats, by what files are called


@dataclass(frozen=True)
class AnnotatedFrame:
    """One frame to write.

    Attributes:
        image: An image file, or pixels, uint8 [h, w, 3].
        masks: {object id: bool [h, w], or a `Region` such as a box, or None where this object is not annotated}. An
            object without an entry is absent. None in place of the dictionary = nobody annotated this frame.
        ignored: bool [h, w], the pixels that do not count; None = all count.
    """

    image: Path | Image
    masks: Mapping[int, Mask | Region | None] | None
    ignored: Mask | None = None


# ---------------------------------------------------------------- names


_PATTERNS = "[]*?%\\"
"""The toolkit takes brackets, stars and question marks of a path for a pattern, and % for a frame's number."""

_QUOTES = "'\""
"""They end the command by which the toolkit starts a tracker, which holds the workspace's path."""


def check_sequence_name(name: str) -> None:
    """Refuse a name under which the toolkit could not find a sequence, or not tell a tracker of it.

    Raises:
        Sam2rlError: It holds brackets, %, or letters beyond ASCII, begins or ends with a blank, or begins with a dot.
    """
    unreadable = _unreadable(name, _PATTERNS)
    reason = None
    if unreadable:
        reason = f"the VOT toolkit cannot read paths with {unreadable!r}"
    elif name != name.strip():
        reason = "it begins or ends with a blank, which the VOT toolkit cuts off in list.txt"
    elif name.startswith("."):
        reason = "it begins with a dot, as hidden files do"
    if reason:
        raise Sam2rlError(f"A sequence cannot be called {name!r}: {reason}. Rename its folder.")


def check_path(folder: Path) -> None:
    """Refuse a folder in which the toolkit could not work.

    Raises:
        Sam2rlError: A folder on its path holds brackets, %, quotes, or letters beyond ASCII.
    """
    for part in folder.parts[1:]:
        if unreadable := _unreadable(part, _PATTERNS + _QUOTES):
            raise Sam2rlError(
                f"The workspace cannot lie in {folder}: the VOT toolkit cannot read paths with {unreadable!r}, as in "
                f"{part!r}. Take another folder, or rename that one."
            )


def _unreadable(name: str, refused: str) -> str | None:
    """A character that the toolkit cannot read; its protocol, TraX, knows printable ASCII alone."""
    return next((sign for sign in name if sign in refused or not (sign.isascii() and sign.isprintable())), None)


# ---------------------------------------------------------------- writing


def write_sequence(folder: StrPath, frames: Iterable[AnnotatedFrame], fps: float = 30, suffix: str = ".png") -> None:
    """Write a sequence; the folder appears when it is complete, and not at all after an error.

    Image files keep their bytes when all are JPEG or all are PNG, and become PNG otherwise. An object begins on the
    first frame where its mask is at least 2 pixels wide and tall, as the toolkit takes thinner masks for empty; one
    that is never that large is left out. So are frames before the first object: the toolkit must give a tracker an
    object with the first image.

    Args:
        folder: The new sequence's folder, whose name is the sequence's.
        frames: At least one, all of the same size; consumed one by one.
        fps: Frames per second, for the record.
        suffix: The format, .png or .jpg, for images that are given as pixels.

    Raises:
        Sam2rlError: The folder exists or cannot be written, an image cannot be read, sizes differ, there is no frame,
            a mask has another size, no object is ever seen, or the toolkit could not read the folder's path.
    """
    folder = Path(folder)
    check_sequence_name(folder.name)
    check_path(folder.absolute().parent)
    _refuse_taken(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as temporary:
            (temporary / "color").mkdir()
            _write(temporary, folder.name, frames, fps, suffix)
            _refuse_taken(folder)  # another command may have been faster
            os.rename(temporary, folder)
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror or error}): give a folder you own.") from error


def _refuse_taken(folder: Path) -> None:
    if folder.exists():
        raise Sam2rlError(f"{folder} exists already, expected a new sequence: delete it or take another workspace.")


def _write(folder: Path, name: str, frames: Iterable[AnnotatedFrame], fps: float, suffix: str) -> None:
    size: tuple[int, int] | None = None
    objects: dict[int, list[str]] = {}  # lines so far
    started: set[int] = set()
    ignored: list[str] = []
    number = 0
    for number, frame in enumerate(frames, start=1):
        regions = {k: _region(frame, k) for k in {*(frame.masks or {}), *objects}}
        started |= {k for k, region in regions.items() if region and k not in started and _is_seen(region, frame.image)}
        if not started:
            continue
        index = len(ignored)  # the frame's position in the sequence
        found = _write_image(folder / "color" / f"{index + 1:08d}", frame.image, suffix)
        size = size or found
        _check_sizes(f"Frame {number} of {name}", frame, found, size)
        ignored.append(str(UNKNOWN) if frame.ignored is None else encode(frame.ignored).line())
        for k, region in regions.items():
            line = region.line() if region and k in started else str(UNKNOWN)
            objects.setdefault(k, [str(UNKNOWN)] * index).append(line)
    if number == 0:
        raise Sam2rlError(f"{name} has no frames, expected at least one: check the folder it was made from.")
    if size is None:
        raise Sam2rlError(f"{name} has no object in any of its masks: nothing can be tracked in it, check its masks.")

    for k in started:
        _write_lines(folder / f"groundtruth_{k}.txt", objects[k])
    _write_lines(folder / IGNORE_FILE, ignored)
    # The prompted frame does not count; the toolkit would take it for a miss of every tracker.
    _write_lines(folder / f"{EVALUATION_TAG}.tag", ["0"] + ["1"] * (len(ignored) - 1))
    height, width = size
    _write_lines(
        folder / "sequence",
        [
            f"channels.color=color/%08d{_unify_images(folder / 'color')}",
            f"fps={round(fps)}",
            f"width={width}",
            f"height={height}",
            f"length={len(ignored)}",
        ],
    )


def _region(frame: AnnotatedFrame, k: int) -> Region | None:
    """Where object k is on a frame, None when nobody knows."""
    if frame.masks is None:
        return None
    if k not in frame.masks:
        return EMPTY
    mask = frame.masks[k]
    return mask if mask is None or isinstance(mask, Region) else encode(mask)


def _is_seen(region: Region, image: Path | Image) -> bool:
    """Whether an object is at least 2 pixels wide and tall in the image, of which boxes may lie outside."""
    if min(region.width, region.height) < 2:
        return False
    if not region.outline:
        return True
    height, width = (read_image(image) if isinstance(image, Path) else image).shape[:2]
    inside = bounding_box(region.full((height, width)))
    return inside is not None and min(inside[2:]) > 1


def _check_sizes(what: str, frame: AnnotatedFrame, found: tuple[int, int], first: tuple[int, int]) -> None:
    if found != first:
        raise Sam2rlError(
            f"{what} is {found[1]}x{found[0]} pixels but the first is {first[1]}x{first[0]}: all frames must have the "
            "same size, resize them first."
        )
    for mask in [*(frame.masks or {}).values(), frame.ignored]:
        if mask is not None and not isinstance(mask, Region) and mask.shape != found:
            raise Sam2rlError(
                f"{what} is {found[1]}x{found[0]} pixels but its mask is {mask.shape[1]}x{mask.shape[0]}: give masks "
                "of the images' size."
            )


def _write_image(stem: Path, image: Path | Image, suffix: str) -> tuple[int, int]:
    """Store one image under `stem` and a suffix; its (height, width)."""
    if not isinstance(image, Path):
        PILImage.fromarray(image).save(stem.with_suffix(suffix), quality=95, compress_level=1)  # each format takes one
        return image.shape[0], image.shape[1]
    pixels = read_image(image)  # all of it, so that a damaged file is noticed here
    kept = _KEPT_SUFFIXES.get(image.suffix.lower())
    if kept:
        shutil.copyfile(image, stem.with_suffix(kept))
    else:
        PILImage.fromarray(pixels).save(stem.with_suffix(".png"))
    return pixels.shape[0], pixels.shape[1]


def _unify_images(folder: Path) -> str:
    """Give all images one suffix, which the toolkit demands, and return it."""
    suffixes = {file.suffix for file in folder.iterdir()}
    if len(suffixes) == 1:
        return suffixes.pop()
    for file in folder.glob("*.jpg"):
        PILImage.fromarray(read_image(file)).save(file.with_suffix(".png"))
        file.unlink()
    return ".png"


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")  # the toolkit crashes on blank lines


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class Sequence:
    """A sequence as it lies on disk; images and masks are decoded when asked for.

    Attributes:
        name: Its folder's name.
        images: The image files, in order.
        size: (height, width) in pixels.
        regions: {object id: the region of every frame, or `UNKNOWN`}, of the objects that are known on some frame.
        ignored: The ignored area of every frame, `UNKNOWN` = none.
    """

    name: str
    images: list[Path]
    size: tuple[int, int]
    regions: dict[int, list[Region | int]]
    ignored: list[Region | int]

    def __len__(self) -> int:
        return len(self.images)

    def start(self, object_id: int) -> int:
        """Index of the frame on which an object first appears, where trackers are given its mask."""
        return next(t for t, region in enumerate(self.regions[object_id]) if isinstance(region, Region))

    def has_masks(self, object_id: int) -> bool:
        """Whether an object's truth are masks; boxes and polygons say only roughly which pixels are the object's."""
        return not any(isinstance(region, Region) and region.outline for region in self.regions[object_id])

    def has_boxes(self, object_id: int) -> bool:
        """Whether an object's truth are upright rectangles."""
        seen = [region for region in self.regions[object_id] if isinstance(region, Region) and not region.empty]
        return bool(seen) and all(len(region.outline) == 4 for region in seen)

    def masks(self, object_id: int) -> NDArray[np.bool_]:
        """An object's masks, bool [T, h, w]; all False where it is absent or unknown."""
        return stack_regions(self.regions[object_id], self.size)

    def known(self, object_id: int) -> NDArray[np.bool_]:
        """On which frames an object's truth is known, bool [T]."""
        return np.array([isinstance(region, Region) for region in self.regions[object_id]])

    def ignored_masks(self) -> NDArray[np.bool_]:
        """The pixels that do not count, bool [T, h, w]."""
        return stack_regions(self.ignored, self.size)


def stack_regions(regions: list[Region | int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Regions as masks, bool [T, h, w] at `size`; special codes become empty masks."""
    stack = np.zeros((len(regions), *size), dtype=bool)
    for mask, region in zip(stack, regions, strict=True):
        if isinstance(region, Region):
            mask[:] = region.full(size)
    return stack


def read_sequence(folder: StrPath) -> Sequence:
    """Read a sequence of a workspace; `groundtruth.txt`, the form for a single object, is object 1.

    Raises:
        Sam2rlError: The folder is no sequence, a file is missing or damaged, or there is no ground truth.
    """
    folder = Path(folder)
    fields = _read_fields(folder)
    images = _image_files(folder, fields)
    files = _truth_files(folder, fields)
    if not files:
        raise Sam2rlError(
            f"{folder} has no ground truth, expected groundtruth_<id>.txt: it cannot be trained or evaluated on."
        )
    everything = {k: _read_regions(files[k], len(images)) for k in sorted(files)}
    regions = {k: found for k, found in everything.items() if any(isinstance(region, Region) for region in found)}
    if not regions:
        k, file = min(files.items())
        raise Sam2rlError(f"{file} knows object {k} on no frame: delete the file or annotate a frame.")
    ignored = folder / IGNORE_FILE
    return Sequence(
        name=folder.name,
        images=images,
        size=_image_size(fields, images[0]),
        regions=regions,
        ignored=_read_regions(ignored, len(images)) if ignored.is_file() else [UNKNOWN] * len(images),
    )


def object_names(folder: Path) -> list[str]:
    """Names of a sequence's objects as the toolkit's result files use them, sorted; "object" for `groundtruth.txt`."""
    found = _named_objects(folder)
    if found or not is_sequence(folder):
        return found
    return ["object"] if _single_truth(folder, _read_fields(folder)).is_file() else []


def object_numbers(folder: Path) -> dict[int, str]:
    """{number: name} of a sequence's objects; where no name is a number, they are counted from 1, in order.

    Raises:
        Sam2rlError: Some are numbers and some are not.
    """
    names = object_names(folder)
    if not any(name.isdecimal() for name in names):
        return dict(enumerate(names, start=1))
    for name in names:
        if not name.isdecimal():
            raise Sam2rlError(f"{folder} has an object {name!r}, expected a number: rename groundtruth_{name}.txt.")
    return {int(name): name for name in names}


def is_sequence(folder: Path) -> bool:
    """Whether the toolkit takes a folder for a sequence: it has `sequence`, or in the old form a `groundtruth.txt`."""
    return (folder / "sequence").is_file() or (folder / "groundtruth.txt").is_file()


def sequence_length(folder: Path) -> int:
    """How many frames a sequence has; errors as in `read_sequence`."""
    fields = _read_fields(folder)
    return int(fields["length"]) if fields.get("length", "").isdecimal() else len(_image_files(folder, fields))


def anchors(folder: Path) -> dict[int, bool]:
    """{frame: whether tracking goes forward} of a sequence's `anchor.value`: where a multi-start experiment begins."""
    file = folder / "anchor.value"
    values = [float(line or 0) for line in file.read_text().splitlines()] if file.is_file() else []
    return {t: value > 0 for t, value in enumerate(values) if value}


def known_frames(folder: Path) -> dict[str, NDArray[np.bool_]]:
    """On which frames an object's truth is known: {object's name: bool [T]}, without reading the masks.

    A line that is damaged counts as known: who reads the region tells.

    Raises:
        Sam2rlError: The folder is no sequence.
    """
    fields = _read_fields(folder)
    names = object_names(folder)
    files = {name: folder / f"groundtruth_{name}.txt" for name in names}
    if names == ["object"]:
        files = {"object": _single_truth(folder, fields)}
    lines = {name: file.read_text().splitlines() for name, file in files.items()}
    most = max(map(len, lines.values()), default=0)
    length = int(fields["length"]) if fields.get("length", "").isdecimal() else most
    known = {name: np.zeros(max(length, most), dtype=bool) for name in names}
    for name, own in lines.items():
        known[name][: len(own)] = [_is_known(line) for line in own]
    return known


def _is_known(line: str) -> bool:
    """Whether a line of a ground truth tells where the object is, or that it is absent."""
    if line.startswith("m"):
        return True
    try:
        return parse_line(line) != UNKNOWN
    except ValueError:
        return True


def _named_objects(folder: Path) -> list[str]:
    names = (re.fullmatch(r"groundtruth_(?!_)(.+)\.txt", file.name) for file in folder.glob("groundtruth_*.txt"))
    return sorted(match[1] for match in names if match)


def _single_truth(folder: Path, fields: dict[str, str]) -> Path:
    return folder / fields.get("groundtruth", "groundtruth.txt")


def _truth_files(folder: Path, fields: dict[str, str]) -> dict[int, Path]:
    if _named_objects(folder):
        return {k: folder / f"groundtruth_{name}.txt" for k, name in object_numbers(folder).items()}
    file = _single_truth(folder, fields)
    return {1: file} if file.is_file() else {}


def _read_fields(folder: Path) -> dict[str, str]:
    if not (folder / "sequence").is_file() and (folder / "groundtruth.txt").is_file():
        return {"channels.color": "%08d.jpg"}  # the old form, in which images lie beside the truth
    try:
        lines = (folder / "sequence").read_text().splitlines()
    except OSError as error:
        raise Sam2rlError(
            f"{folder} is not a sequence: its file `sequence` cannot be read ({error.strerror})."
        ) from error
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _image_files(folder: Path, fields: dict[str, str]) -> list[Path]:
    pattern = fields.get("channels.color", "color/%08d.jpg")
    if not Path(pattern).suffix:
        pattern += "/%08d.jpg"  # as the toolkit reads a pattern that names a folder
    images: list[Path] = []
    while (image := folder / (pattern % (len(images) + 1))).is_file():
        images.append(image)
    length = int(fields["length"]) if fields.get("length", "").isdecimal() else len(images)
    if not images or len(images) < length:
        raise Sam2rlError(f"{folder} has no image {pattern % (len(images) + 1)}: copy the missing images into it.")
    return images[:length]


def _image_size(fields: dict[str, str], image: Path) -> tuple[int, int]:
    height, width = fields.get("height", ""), fields.get("width", "")
    if height.isdecimal() and width.isdecimal():
        return int(height), int(width)
    pixels = read_image(image)
    return pixels.shape[0], pixels.shape[1]


def _read_regions(path: Path, length: int) -> list[Region | int]:
    """A region or `UNKNOWN` per frame; a missing tail is unknown, other special codes mean absent."""
    regions: list[Region | int] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            region = parse_line(line)
        except ValueError as error:
            raise Sam2rlError(
                f"Line {number} of {path} is not a mask, rectangle or polygon ({error}): mend the line."
            ) from error
        regions.append(region if isinstance(region, Region) or region == UNKNOWN else EMPTY)
    if len(regions) > length:
        raise Sam2rlError(f"{path} has {len(regions)} lines for {length} images, expected one per image: cut the rest.")
    return regions + [UNKNOWN] * (length - len(regions))
