"""Importers: folders of frames and masks, DAVIS 2016 and 2017, and SA-V in both of its layouts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.media.frames import list_frames, open_frames
from sam2rl_tracker.media.images import Mask
from sam2rl_tracker.media.masks import IGNORED, is_binary_mask, object_masks, read_index_mask
from sam2rl_tracker.vot.coco import decode_coco
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.workspace import open_or_create, progress

DAVIS_FPS = 24
SAV_ANNOTATED_FPS = 6
SAV_STEP = 4
"""SA-V's videos have 24 frames per second, of which every fourth is annotated."""


# ---------------------------------------------------------------- frames and masks


def import_frames(source: StrPath, folder: StrPath) -> str:
    """Add a folder of frames and masks to a workspace, which is created if it is new.

    Args:
        source: A folder with `color/` (images in natural order) and `masks/`: index PNGs with the images' names, where
            k = object k and 255 = does not count; if the first mask is black and white, 255 = object 1. Frames without
            a mask are unknown and do not count.
        folder: The workspace.

    Returns:
        The new sequence's name, which is the source folder's.

    Raises:
        Sam2rlError: A folder, all masks or all objects are missing, a file cannot be read, sizes differ, a mask has no
            frame, or the workspace has a sequence of this name.
    """
    source = Path(source).resolve()
    images = list_frames(source / "color")
    masks = {file.stem: file for file in list_frames(source / "masks")}
    extra = masks.keys() - {image.stem for image in images}
    if extra:
        name = masks[min(extra)].name
        raise Sam2rlError(f"The mask {name} in {source / 'masks'} has no frame of the same name in {source / 'color'}.")
    workspace = open_or_create(folder)
    binary = bool(masks) and is_binary_mask(read_index_mask(next(iter(masks.values()))))
    workspace.add(source.name, progress(index_frames(images, masks, binary), f"Importing {source.name}", len(images)))
    return source.name


def index_frames(images: Iterable[Path], masks: dict[str, Path], binary: bool = False) -> Iterator[AnnotatedFrame]:
    """Frames with index masks of the same stem; a frame without a mask is unknown.

    Args:
        images: Image files in order.
        masks: {stem: mask file}.
        binary: Whether 255 is object 1 rather than the area that does not count.
    """
    for image in images:
        if image.stem not in masks:
            yield AnnotatedFrame(image, None)
            continue
        labels = read_index_mask(masks[image.stem])
        if binary:
            labels[labels == IGNORED] = 1
        ignored = labels == IGNORED
        yield AnnotatedFrame(image, object_masks(labels), ignored if ignored.any() else None)


# ---------------------------------------------------------------- DAVIS


def import_davis(
    source: StrPath, folder: StrPath, split: str | None = None, sequences: Sequence[str] | None = None
) -> list[str]:
    """Add sequences of DAVIS 2016 or 2017 to a workspace, which is created if it is new.

    In DAVIS 2016 the object has the value 255, which in DAVIS 2017 is not an object; a sequence whose first mask knows
    no other value is taken for the former.

    Args:
        source: A folder with `JPEGImages/480p/`, `Annotations/480p/` and, for a split, `ImageSets/`.
        folder: The workspace.
        split: `train`, `val`, ...: a list in ImageSets; None = every sequence that has annotations.
        sequences: Names to take instead; None = all of the split.

    Returns:
        The new sequences' names.

    Raises:
        Sam2rlError: The folder has another layout, the split or a sequence is unknown, a file cannot be read, or the
            workspace has a sequence of one of the names.
    """
    source = Path(source)
    annotations, images = source / "Annotations" / "480p", source / "JPEGImages" / "480p"
    if not annotations.is_dir() or not images.is_dir():
        raise Sam2rlError(
            f"{source} is not a DAVIS folder, expected JPEGImages/480p and Annotations/480p in it: give the folder "
            "that contains both."
        )
    known = _folders(annotations)
    names = list(sequences) if sequences else _davis_split(source, split) if split else known
    for name in names:
        if name not in known:
            raise Sam2rlError(f"{annotations} has no sequence {name}, expected one of {', '.join(known)}.")
    workspace = open_or_create(folder)
    for name in progress(names, "Importing DAVIS"):
        masks = {file.stem: file for file in list_frames(annotations / name)}
        first = read_index_mask(min(masks.values()))
        workspace.add(name, index_frames(list_frames(images / name), masks, binary=is_binary_mask(first)), DAVIS_FPS)
    return names


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _davis_split(source: Path, split: str) -> list[str]:
    """Names in a list of ImageSets: one per line (2017) or the paths of every frame and mask (2016)."""
    # The 2017 archive has 2017's lists and 2016's; the 2016 archive has those of each resolution.
    candidates = [source / "ImageSets" / kind / f"{split}.txt" for kind in ("2017", "2016", "480p")]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        found = sorted({file.stem for file in (source / "ImageSets").glob("*/*.txt")})
        raise Sam2rlError(f"{source / 'ImageSets'} has no split {split}, expected one of {', '.join(found) or 'none'}.")
    words = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    return list(dict.fromkeys(Path(word).parent.name if "/" in word else word for word in words))


# ---------------------------------------------------------------- SA-V


def import_sav(source: StrPath, folder: StrPath) -> list[str]:
    """Add videos of SA-V to a workspace, which is created if it is new, at the annotated 6 frames per second.

    Both layouts are known: `*.mp4` with `*_manual.json`, at any depth (train), and `JPEGImages_24fps/<video>/` with
    `Annotations_6fps/<video>/<object>/` (val and test). Objects count from 0 there and from 1 here.

    Args:
        source: A folder in one of the layouts.
        folder: The workspace.

    Returns:
        The new sequences' names, which are the videos'.

    Raises:
        Sam2rlError: The folder has neither layout, a video or annotation is missing or damaged, sizes differ, or the
            workspace has a sequence of one of the names.
    """
    source = Path(source)
    images, annotations = source / "JPEGImages_24fps", source / "Annotations_6fps"
    manual = sorted(source.rglob("*_manual.json"))
    if annotations.is_dir() and images.is_dir():
        names = _folders(annotations)
        found = [(name, _folder_frames(images / name, annotations / name)) for name in names]
    elif manual:
        names = [file.name.removesuffix("_manual.json") for file in manual]
        found = [(name, _masklet_frames(file)) for name, file in zip(names, manual, strict=True)]
    else:
        raise Sam2rlError(
            f"{source} is not a folder of SA-V, expected *.mp4 with *_manual.json, or JPEGImages_24fps and "
            "Annotations_6fps: give the folder that contains them."
        )
    workspace = open_or_create(folder)
    for name, frames in progress(found, "Importing SA-V"):
        workspace.add(name, frames, SAV_ANNOTATED_FPS, suffix=".jpg")
    return names


def _folder_frames(images: Path, annotations: Path) -> Iterator[AnnotatedFrame]:
    """Annotated frames of a val or test video; an object without a mask file is unknown on that frame."""
    objects = _folders(annotations)
    if not objects:
        raise Sam2rlError(f"{annotations} has no object, expected a folder of masks for each: copy the data again.")
    masks = {int(k) + 1: {file.stem: file for file in list_frames(annotations / k)} for k in objects}
    stems = set().union(*masks.values())
    files = {file.stem: file for file in list_frames(images)}
    for stem in sorted(stems):
        if stem not in files:
            raise Sam2rlError(
                f"{images} has no frame {stem}, which is annotated in {annotations}: copy the data again."
            )
        found: dict[int, Mask | None] = {}
        for k, named in masks.items():
            found[k] = read_index_mask(named[stem]) != 0 if stem in named else None
        yield AnnotatedFrame(files[stem], found)


def _masklet_frames(path: Path) -> Iterator[AnnotatedFrame]:
    """Annotated frames of a train video: `masklet` holds a list of RLE masks per annotated frame."""
    try:
        data = json.loads(path.read_text())
        ids = [int(k) + 1 for k in data["masklet_id"]]
        masklet = list(data["masklet"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    video = path.with_name(path.name.removesuffix("_manual.json") + ".mp4")
    for index, frame in enumerate(open_frames(video)):
        number, rest = divmod(index, SAV_STEP)
        if rest == 0 and number < len(masklet):
            try:
                masks = dict(zip(ids, map(decode_coco, masklet[number]), strict=True))
            except (ValueError, TypeError) as error:
                raise _damaged(path, error) from error
            yield AnnotatedFrame(frame.image, masks)


def _damaged(path: Path, error: Exception) -> Sam2rlError:
    return Sam2rlError(f"{path} is not a manual annotation of SA-V ({error!r}): copy the file again.")
