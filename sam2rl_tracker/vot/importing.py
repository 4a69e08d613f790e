"""Many sequences are brought into a workspace: again from where it stopped, past a damaged one, and all is told.

A sequence that is there and finished is skipped when it is the same. It is for sure when the names, sizes and times of
the files it was made of are still those that were noted in it. Otherwise it is made anew beside the old one, and the
two are compared byte for byte.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import count_clutter, is_clutter
from sam2rl_tracker.media.files import StrPath, atomic_path, is_alive, sweep, temporary_folder
from sam2rl_tracker.vot.sequences import (
    AnnotatedFrame,
    check_path,
    check_sequence_name,
    known_frames,
    object_names,
    write_sequence,
)
from sam2rl_tracker.vot.workspace import Workspace, open_or_create, progress

IMPORT_FILE = "import.json"
"""In a sequence: what it was made of, so that the same import need not make it again."""


@dataclass(frozen=True)
class Recording:
    """What a sequence is made of.

    Attributes:
        folders: Where its files lie, for what is skipped in them.
        files: All files that it is made of.
        frames: Called to read the frames, once; it adds to the list it is given what a user should know of them.
        rules: What else decides on the result, such as options.
    """

    folders: list[Path]
    files: list[Path]
    frames: Callable[[list[str]], Iterator[AnnotatedFrame]]
    rules: str = ""

    def fingerprint(self) -> str:
        """Of the names, sizes and times of the files: cheap, and another one when a file has been changed.

        Raises:
            Sam2rlError: A file has gone.
        """
        try:
            stats = [(file.parent.name, file.name, file.stat()) for file in self.files]
        except OSError as error:
            raise Sam2rlError(f"{error.filename} cannot be read ({error.strerror}): copy the data again.") from error
        entries = [(folder, name, stat.st_size, stat.st_mtime_ns) for folder, name, stat in stats]
        return hashlib.sha256(json.dumps([self.rules, entries]).encode()).hexdigest()[:32]


@dataclass
class Imported:
    """What an import did.

    Attributes:
        added: Names of the new sequences.
        kept: Of those that were there already and are the same.
        failures: {sequence: why it could not be imported}.
        notes: What a user should know, in sentences.
        skipped: How many entries of the source are clutter, by name.
    """

    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def import_all(
    folder: StrPath,
    sequences: Mapping[str, Callable[[], Recording]],
    what: str,
    fps: float = 30,
    suffix: str = ".png",
    roots: Iterable[Path] = (),
) -> Imported:
    """Add sequences to a workspace, which is created if it is new. One that fails holds back no other.

    Args:
        folder: The workspace.
        sequences: {name: called to open what it is made of}, in order.
        what: Is imported, for the progress bar.
        fps: Frames per second, for the record.
        suffix: As in `write_sequence`.
        roots: Folders that hold those of the sequences, for what is skipped in them.

    Raises:
        Sam2rlError: The workspace is unsuitable, or the toolkit could not read in a folder of its path.
    """
    check_path(Path(folder).resolve())
    workspace = open_or_create(folder)
    sweep(workspace.sequences)
    imported = Imported()
    places = set(roots)
    for name, open_recording in progress(sequences.items(), f"Importing {what}", len(sequences)):
        try:
            check_sequence_name(name)
            recording = open_recording()
            places.update(recording.folders)
            _import_one(workspace, name, recording, fps, suffix, imported)
        except Sam2rlError as error:
            imported.failures[name] = str(error)
    for place in places:
        imported.skipped += count_clutter(place)
    return imported


def _import_one(
    workspace: Workspace, name: str, recording: Recording, fps: float, suffix: str, imported: Imported
) -> None:
    folder = workspace.sequences / name
    _remove_old_leftovers(folder)
    sweep(folder)
    fingerprint = recording.fingerprint()
    is_new = False
    if not _is_finished(folder) or _noted(folder) != fingerprint:
        read = _Read(recording)
        was_there = folder.exists()
        is_new = _write_or_compare(folder, read.frames, fps, suffix)
        left_out = len(read.stems) - max(map(len, known_frames(folder).values()))
        note: dict[str, Any] = {"files": fingerprint}
        if None not in read.stems:  # exports give masks the frames' names
            note |= {"before": read.stems[:left_out], "frames": read.stems[left_out:]}
        with atomic_path(folder / IMPORT_FILE) as path:
            path.write_text(json.dumps(note) + "\n")
        if is_new and was_there:
            read.notes.append("it was there but not finished, and was made anew.")
        if lost := read.objects - set(map(int, filter(str.isdecimal, object_names(folder)))):
            read.notes += [f"object {k} is nowhere two pixels wide and tall, and is left out." for k in sorted(lost)]
        if left_out:
            read.notes.append(f"{left_out} of {len(read.stems)} frames come before the first object and are left out.")
        imported.notes += [f"{name}: {note}" for note in read.notes]
    workspace.enter(name)
    (imported.added if is_new else imported.kept).append(name)


class _Read:
    """A recording that is read, and what was seen of it.

    Attributes:
        stems: The names of the frames so far, None where they are no files.
        objects: The objects so far.
        notes: What a user should know.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.stems: list[str | None] = []
        self.objects: set[int] = set()
        self.notes: list[str] = []

    def frames(self) -> Iterator[AnnotatedFrame]:
        """From the first frame on."""
        for found in (self.stems, self.objects, self.notes):  # it may be read again
            found.clear()
        for frame in self._recording.frames(self.notes):
            self.stems.append(frame.image.stem if isinstance(frame.image, Path) else None)
            self.objects.update(frame.masks or ())
            yield frame


def _write_or_compare(folder: Path, frames: Callable[[], Iterator[AnnotatedFrame]], fps: float, suffix: str) -> bool:
    """Write a sequence, or find that the one that is there is the same; whether it was written.

    Raises:
        Sam2rlError: As in `write_sequence`, or another sequence of this name is there.
    """
    if not folder.exists():
        try:
            write_sequence(folder, frames(), fps, suffix)
            return True
        except Sam2rlError:
            if not folder.exists():
                raise  # else another import was faster
    finished = _is_finished(folder)
    with temporary_folder(folder) as temporary:
        new = temporary / folder.name
        write_sequence(new, frames(), fps, suffix)
        other = _other_file(new, folder) if finished else _lost_file(folder, new)
        if other:
            raise Sam2rlError(
                f"The workspace has another sequence {folder.name} already, made of other files or by other rules: its "
                f"{other} differs. Delete {folder} and its line in list.txt, or take another workspace."
            )
        if not finished:
            shutil.rmtree(folder)
            os.rename(new, folder)
    return not finished


def _remove_old_leftovers(folder: Path) -> None:
    """Delete what an import of this sequence left that was killed, of version 0.1.0: it is called .NAME.PROCESS."""
    for entry in folder.parent.glob(f".{folder.name}.*"):
        number = entry.name.removeprefix(f".{folder.name}.")
        if number.isdecimal() and entry.is_dir() and not is_alive(int(number)):
            shutil.rmtree(entry, ignore_errors=True)


def _is_finished(folder: Path) -> bool:
    """Whether a sequence has its description, a ground truth, and all its images."""
    text = (folder / "sequence").read_text() if (folder / "sequence").is_file() else ""
    match = re.search(r"^length\s*=\s*(\d+)\s*$", text, re.MULTILINE)
    if not text or not object_names(folder):
        return False
    return match is None or len(list(folder.glob("color/[0-9]*"))) >= int(match[1])


def _noted(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / IMPORT_FILE).read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _other_file(new: Path, old: Path) -> Path | None:
    """A file of a sequence that a finished one has not, or with other bytes; or a further object of that one."""
    further = set(object_names(old)) - set(object_names(new))
    for file in _files(new):
        if not (old / file).is_file() or not filecmp.cmp(new / file, old / file, shallow=False):
            return file
    return Path(f"groundtruth_{min(further)}.txt") if further else None


def _lost_file(old: Path, new: Path) -> Path | None:
    """A file of an unfinished sequence that is no part of the finished one, and would be lost with it."""
    for file in _files(old):
        if not (new / file).is_file() or not (new / file).read_bytes().startswith((old / file).read_bytes()):
            return file
    return None


def _files(folder: Path) -> list[Path]:
    """The files of a sequence, but for clutter and our note, relative to its folder."""
    files = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    return [file for file in files if file.name != IMPORT_FILE and not any(map(is_clutter, file.parts))]
