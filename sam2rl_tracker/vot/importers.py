"""Importers: folders of frames and masks, DAVIS, the layout of YouTube-VOS and its kin, and SA-V."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import is_clutter, subfolders, walk
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.frames import list_frames, open_frames
from sam2rl_tracker.media.images import IMAGE_SUFFIXES, Mask
from sam2rl_tracker.media.masks import IGNORED, MaskReader, object_masks
from sam2rl_tracker.vot.coco import decode_coco
from sam2rl_tracker.vot.importing import Imported, Recording, import_all
from sam2rl_tracker.vot.sequences import AnnotatedFrame

DAVIS_FPS = 24
SAV_ANNOTATED_FPS = 6
SAV_STEP = 4
"""SA-V's videos have 24 frames per second, of which every fourth is annotated."""


class Unmentioned(str, Enum):
    """What is known of an object that was seen before, on a frame whose mask does not show it.

    Masks are sparse where a third or more of the frames, from the first mask on, have none.

    Attributes:
        ABSENT: It is absent.
        NEW: Unknown where masks are sparse and this mask shows an object for the first time; absent elsewhere.
        SPARSE: Unknown where masks are sparse, absent elsewhere.
        UNKNOWN: Nobody knows.
    """

    ABSENT = "absent"
    NEW = "new"
    SPARSE = "sparse"
    UNKNOWN = "unknown"


# ---------------------------------------------------------------- frames and masks


def import_frames(source: StrPath, folder: StrPath, unmentioned: Unmentioned = Unmentioned.NEW) -> Imported:
    """Add a folder of frames and masks to a workspace, which is created if it is new.

    Args:
        source: A folder with `color/` (images in natural order) and `masks/`: index PNGs with the images' names, where
            k = object k and 255 = does not count; in black and white masks 255 = object 1. Frames without a mask are
            unknown and do not count.
        folder: The workspace.
        unmentioned: What is known of objects that a mask does not show.

    Returns:
        The new sequence, whose name is the source folder's, or the same one that was there.

    Raises:
        Sam2rlError: A folder, all masks or all objects are missing, a file cannot be read, sizes differ, a mask has no
            frame, the toolkit could not read the name, or the workspace has another sequence of this name.
    """
    source = Path(os.path.abspath(source))  # a link gives the sequence its own name
    imported = import_all(
        folder,
        {source.name: partial(_open_index_masks, source / "color", source / "masks", unmentioned)},
        source.name,
    )
    for error in imported.failures.values():
        raise Sam2rlError(error)
    return imported


def _open_index_masks(images: Path, masks: Path, unmentioned: Unmentioned) -> Recording:
    """A video with one mask of all objects per frame, or per some frames."""
    frames, named = list_frames(images), {file.stem: file for file in list_frames(masks)}
    _check_pairs(frames, named, images, masks)
    return Recording(
        [images, masks],
        [*frames, *named.values()],
        partial(_index_frames, frames, named, unmentioned),
        unmentioned.value,
    )


def _check_pairs(frames: Sequence[Path], masks: Mapping[str, Path], images: Path, folder: Path) -> None:
    """Refuse masks without frames: where the two are numbered differently, each would go to a wrong frame."""
    extra = masks.keys() - {frame.stem for frame in frames}
    if not extra:
        return
    first, last = next(iter(masks.values())), list(masks.values())[-1]
    raise Sam2rlError(
        f"The mask {masks[min(extra)].name} in {folder} has no frame of the same name in {images}, whose frames are "
        f"{frames[0].name} to {frames[-1].name} ({len(frames)}) while the masks are {first.name} to {last.name} "
        f"({len(masks)}): give each mask the name of its frame."
    )


def _index_frames(
    frames: Sequence[Path], masks: Mapping[str, Path], unmentioned: Unmentioned, notes: list[str]
) -> Iterator[AnnotatedFrame]:
    """Frames with the masks of the same stem; a frame without a mask is unknown."""
    reader = MaskReader(masks.values())
    first = next(t for t, frame in enumerate(frames) if frame.stem in masks)
    sparse = 3 * len(masks) <= 2 * (len(frames) - first)
    seen: set[int] = set()
    for frame in frames:
        if frame.stem not in masks:
            yield AnnotatedFrame(frame, None)
            continue
        labels = reader.read(masks[frame.stem])
        found: dict[int, Mask | None] = {**object_masks(labels)}
        brings_new = not found.keys() <= seen
        if unmentioned is Unmentioned.UNKNOWN or (
            sparse and (unmentioned is Unmentioned.SPARSE or (unmentioned is Unmentioned.NEW and brings_new))
        ):
            found = {**dict.fromkeys(seen), **found}  # None: unknown
        seen |= found.keys()
        ignored = labels == IGNORED
        yield AnnotatedFrame(frame, found, ignored if ignored.any() else None)
    notes += reader.notes


# ---------------------------------------------------------------- JPEGImages and Annotations


def import_davis(
    source: StrPath,
    folder: StrPath,
    split: str | None = None,
    sequences: Sequence[str] | None = None,
    resolution: str | None = None,
    unmentioned: Unmentioned = Unmentioned.NEW,
) -> Imported:
    """Add sequences of DAVIS 2016 or 2017 to a workspace, which is created if it is new.

    In DAVIS 2016 the object has the value 255, which in DAVIS 2017 is not an object; a sequence whose masks know no
    other value is taken for the former.

    Args:
        source: A folder with `JPEGImages/` and `Annotations/`, in them a folder per sequence, or per resolution and in
            it per sequence; for a split also `ImageSets/`.
        folder: The workspace.
        split: `train`, `val`, ...: a list in ImageSets; None = every sequence that has annotations.
        sequences: Names to take instead; None = all of the split.
        resolution: `480p`, `1080p`, `Full-Resolution`; None = 480p, or the one that is there.
        unmentioned: What is known of objects that a mask does not show.

    Returns:
        What was imported, and what could not be.

    Raises:
        Sam2rlError: The folder has another layout, or the split, the resolution or a sequence is unknown.
    """
    return _import_layout(source, folder, split, sequences, resolution, unmentioned, "DAVIS", DAVIS_FPS)


def import_vos(
    source: StrPath,
    folder: StrPath,
    split: str | None = None,
    sequences: Sequence[str] | None = None,
    resolution: str | None = None,
    unmentioned: Unmentioned = Unmentioned.SPARSE,
) -> Imported:
    """Add videos of YouTube-VOS, MOSE, LVOS, VOST, or another data set of their layout, to a workspace.

    Masks are there for every frame, for every fifth, or for those on which an object first appears. Also folders of
    masks per object are known, as in SA-V; there, all frames are taken.

    Args and errors as in `import_davis`.
    """
    return _import_layout(source, folder, split, sequences, resolution, unmentioned, "videos", 30)


def _import_layout(
    source: StrPath,
    folder: StrPath,
    split: str | None,
    sequences: Sequence[str] | None,
    resolution: str | None,
    unmentioned: Unmentioned,
    what: str,
    fps: float,
) -> Imported:
    layout = _find_layout(Path(source), resolution)
    known = subfolders(layout.annotations)
    names = list(sequences) if sequences else _read_split(Path(source), split) if split else known
    for name in sequences or ():
        if name not in known:
            raise Sam2rlError(f"{layout.annotations} has no sequence {name}, expected one of {', '.join(known)}.")
    openers = {
        name: partial(_open_video, layout.images / name, layout.annotations / name, unmentioned) for name in names
    }
    imported = import_all(folder, openers, what, fps, roots=[layout.images, layout.annotations])
    bare = [name for name in subfolders(layout.images) if name not in known] if not split and not sequences else []
    if bare:
        named = ", ".join(bare[:5]) + (f" and {len(bare) - 5} more" if len(bare) > 5 else "")
        imported.notes.append(f"Skipped, as {layout.annotations} has no masks of them: {named}.")
    return imported


def _open_video(images: Path, annotations: Path, unmentioned: Unmentioned) -> Recording:
    for folder, other in ((images, annotations), (annotations, images)):
        if not folder.is_dir():
            raise Sam2rlError(f"There is no folder {folder} beside {other}: copy the data again.")
    if subfolders(annotations) and not _has_images(annotations):
        return _open_object_masks(images, annotations, all_frames=True)
    return _open_index_masks(images, annotations, unmentioned)


@dataclass(frozen=True)
class _Layout:
    """Where the folders of the videos are, and those of their masks."""

    images: Path
    annotations: Path


_IMAGES, _ANNOTATIONS = ("JPEGImages", "JPEGImages_24fps"), ("Annotations", "Annotations_6fps")


def _find_layout(source: Path, resolution: str | None) -> _Layout:
    images = next((source / name for name in _IMAGES if (source / name).is_dir()), None)
    annotations = next((source / name for name in _ANNOTATIONS if (source / name).is_dir()), None)
    if images is None or annotations is None:
        inner = (
            [name for name in subfolders(source) if (source / name / "JPEGImages").is_dir()] if source.is_dir() else []
        )
        hint = (
            f"give one of {', '.join(str(source / name) for name in inner)}"
            if inner
            else "give the folder that contains both"
        )
        raise Sam2rlError(f"{source} lacks JPEGImages or Annotations, expected both in it: {hint}.")
    resolutions = [name for name in subfolders(images) if subfolders(images / name) and not _has_images(images / name)]
    if resolution is not None and resolution not in resolutions:
        found = ", ".join(resolutions) or "none, but the videos themselves"
        raise Sam2rlError(f"{images} has no resolution {resolution}, expected one of those there: {found}.")
    if resolutions:
        both = [name for name in resolutions if (annotations / name).is_dir()] or resolutions
        images /= resolution or ("480p" if "480p" in both else both[0])
    videos = set(subfolders(images))
    # Masks need not lie in a folder of a resolution where images do, nor in one of the same name.
    places = [annotations / images.name, annotations, *(annotations / name for name in subfolders(annotations))]
    fitting = [place for place in places if place.is_dir() and videos & set(subfolders(place))]
    if not fitting:
        raise Sam2rlError(f"{annotations} has no folder named as a video in {images}: copy the data again.")
    return _Layout(images, fitting[0])


def _has_images(folder: Path) -> bool:
    return any(entry.suffix.lower() in IMAGE_SUFFIXES and not is_clutter(entry.name) for entry in folder.iterdir())


def _read_split(source: Path, split: str) -> list[str]:
    """Names in a list of ImageSets: one per line, or the paths of every frame and mask (DAVIS 2016)."""
    # DAVIS' 2017 archive has 2017's lists and 2016's; its 2016 archive has those of each resolution.
    lists = [file for file in (source / "ImageSets").rglob("*.txt") if not any(map(is_clutter, file.parts[-2:]))]
    order = {"2017": 0, "2016": 1, "480p": 2}
    fitting = sorted((f for f in lists if f.stem == split), key=lambda f: (order.get(f.parent.name, 3), str(f)))
    if not fitting:
        found = ", ".join(sorted({file.stem for file in lists})) or "none"
        raise Sam2rlError(f"{source / 'ImageSets'} has no split {split}, expected one of {found}.")
    words = [line.split()[0] for line in fitting[0].read_text().splitlines() if line.strip()]
    return list(dict.fromkeys(Path(word).parent.name if "/" in word else word for word in words))


# ---------------------------------------------------------------- SA-V


def import_sav(source: StrPath, folder: StrPath) -> Imported:
    """Add videos of SA-V to a workspace, which is created if it is new, at the annotated 6 frames per second.

    Both layouts are known: `*.mp4` with `*_manual.json`, at any depth (train), and `JPEGImages_24fps/<video>/` with
    `Annotations_6fps/<video>/<object>/` (val and test). Objects count from 0 there and from 1 here.

    Args:
        source: A folder in one of the layouts.
        folder: The workspace.

    Returns:
        What was imported, and what could not be: a video or annotation is missing or damaged, or sizes differ.

    Raises:
        Sam2rlError: The folder has neither layout.
    """
    source = Path(source)
    images, annotations = source / "JPEGImages_24fps", source / "Annotations_6fps"
    manual = [place / name for place, _, files in walk(source) for name in files if name.endswith("_manual.json")]
    openers: dict[str, Callable[[], Recording]]
    if annotations.is_dir() and images.is_dir():
        names = subfolders(annotations)
        openers = {name: partial(_open_object_masks, images / name, annotations / name) for name in names}
    elif manual:
        openers = {}
        for file in manual:
            name = file.name.removesuffix("_manual.json")
            twins = [one for one in manual if one.name == file.name]
            openers[name] = partial(_open_masklet, file) if len(twins) == 1 else partial(_refuse_twins, twins)
    else:
        raise Sam2rlError(
            f"{source} is not a folder of SA-V, expected *.mp4 with *_manual.json, or JPEGImages_24fps and "
            "Annotations_6fps: give the folder that contains them."
        )
    return import_all(folder, openers, "SA-V", SAV_ANNOTATED_FPS, suffix=".jpg", roots=[source, images, annotations])


def _refuse_twins(files: Sequence[Path]) -> Recording:
    raise Sam2rlError(f"There are several videos of this name, {' and '.join(map(str, files))}: keep one of them.")


def _open_object_masks(images: Path, annotations: Path, all_frames: bool = False) -> Recording:
    """A video with a folder of masks for each object, whose name is its number from 0.

    An object without a mask file is unknown on that frame.
    """
    objects = subfolders(annotations)
    if not objects:
        raise Sam2rlError(f"{annotations} has no object, expected a folder of masks for each: copy the data again.")
    for name in objects:
        if not (name.isascii() and name.isdecimal()):
            raise Sam2rlError(
                f"{annotations} has a folder {name}, expected those of objects, such as 000: move it away."
            )
    masks = {int(name) + 1: {file.stem: file for file in list_frames(annotations / name)} for name in objects}
    if len(masks) < len(objects):
        raise Sam2rlError(f"{annotations} has two folders of one object among {', '.join(objects)}: keep one of them.")
    frames = list_frames(images)
    for missing in sorted(set().union(*masks.values()) - {file.stem for file in frames})[:1]:
        raise Sam2rlError(f"{images} has no frame {missing}, which is annotated in {annotations}: copy the data again.")
    if not all_frames:
        frames = [file for file in frames if any(file.stem in named for named in masks.values())]
    files = [*frames, *(file for named in masks.values() for file in named.values())]
    folders = [images, annotations, *(annotations / name for name in objects)]
    return Recording(folders, files, partial(_object_frames, frames, masks))


def _object_frames(
    frames: Sequence[Path], masks: Mapping[int, Mapping[str, Path]], notes: list[str]
) -> Iterator[AnnotatedFrame]:
    readers = {k: MaskReader(named.values()) for k, named in masks.items()}
    for frame in frames:
        found: dict[int, Mask | None] = {}
        for k, named in masks.items():
            labels = readers[k].read(named[frame.stem]) if frame.stem in named else None
            found[k] = None if labels is None else (labels != 0) & (labels != IGNORED)
        yield AnnotatedFrame(frame, found)
    for reader in readers.values():
        notes += reader.notes


def _open_masklet(path: Path) -> Recording:
    video = path.with_name(path.name.removesuffix("_manual.json") + ".mp4")
    if not video.is_file():
        raise Sam2rlError(f"There is no video {video}, whose masks are in {path.name}: copy it again.")
    return Recording([path.parent], [path, video], partial(_masklet_frames, path, video))


def _masklet_frames(path: Path, video: Path, notes: list[str]) -> Iterator[AnnotatedFrame]:
    """Annotated frames of a train video: `masklet` holds a list of RLE masks per annotated frame."""
    try:
        data = json.loads(path.read_text())
        ids = [int(k) + 1 for k in data["masklet_id"]]
        masklet = list(data["masklet"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    last = -1
    frames = open_frames(video)
    for index, frame in enumerate(frames):
        number, rest = divmod(index, SAV_STEP)
        if rest == 0 and number < len(masklet):
            last = number
            try:
                masks = dict(zip(ids, map(decode_coco, masklet[number]), strict=True))
            except (ValueError, TypeError) as error:
                raise _damaged(path, error) from error
            yield AnnotatedFrame(frame.image, masks)
    notes += frames.notes
    if last + 1 < len(masklet):
        notes.append(f"the video ends before {len(masklet) - last - 1} of its {len(masklet)} annotated frames.")


def _damaged(path: Path, error: Exception) -> Sam2rlError:
    return Sam2rlError(f"{path} is not a manual annotation of SA-V ({error!r}): copy the file again.")
