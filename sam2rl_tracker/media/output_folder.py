"""Folders of results, in which a list of what was written tells our files from the user's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import is_clutter
from sam2rl_tracker.media.files import StrPath, atomic_path, refuse_file, sweep
from sam2rl_tracker.media.locks import LOCK, exclusive

MARKER = ".sam2rl"
_SENTENCE = "This folder was written by sam2rl, which may write to it again."


@dataclass(frozen=True)
class _Marker:
    """What a folder's marker says.

    Attributes:
        command: That wrote the folder; "" = unknown, as in markers of version 0.1.0, which are a sentence alone.
        source: What it was made from, absolute; "" where that does not matter.
        files: {name: digests}. A name has two after a run that was killed between noting a file and naming it.
    """

    command: str = ""
    source: str = ""
    files: Mapping[str, set[str]] = field(default_factory=dict)


def _read_marker(folder: Path) -> _Marker | None:
    """The marker of a folder of ours; None in any other. Lines that a killed run left incomplete do not count."""
    try:
        lines = (folder / MARKER).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    about: dict[str, str] = {}
    files: dict[str, set[str]] = {}
    for line in lines[1:]:  # the first is for people
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            if "command" in entry:
                about = {"command": str(entry["command"]), "source": str(entry["source"])}
            else:
                files.setdefault(entry["file"], set()).add(entry["digest"])
    return _Marker(**about, files=files)


class OutputFolder:
    """A folder of results while a command writes to it; `output_folder` opens one.

    Its marker lists every file that was written, with a digest. A file that is not in the list, or has been changed
    since, is somebody else's: it is neither deleted nor overwritten. Markers of version 0.1.0 have no list: in their
    folders nothing is deleted, and what has the name of a new file is overwritten, as it was then.

    Attributes:
        path: The folder.
        written: Names of the files that this run has written, relative to the folder.
    """

    def __init__(self, path: Path, command: str, source: str, before: _Marker | None) -> None:
        self.path = path
        self.written: list[str] = []
        self._about = {"command": command, "source": source}
        self._has_list = before is None or bool(before.command)
        self._swept = {path}  # folders; by `exclusive`, this one
        self._files = {name: set(digests) for name, digests in (before or _Marker()).files.items()}
        self._write_marker()  # which also proves that the folder can be written to, before any work is spent on it

    @property
    def listed(self) -> Collection[str]:
        """Names of the files that this run or an earlier one wrote, whether or not they are still there."""
        return self._files.keys()

    def refuse_others(self, names: Iterable[str]) -> None:
        """Refuse to write files of these names where somebody else's would be lost.

        Raises:
            Sam2rlError: There is a file of one of the names which was not written here, or was changed since.
        """
        if not self._has_list:
            return
        for name in sorted(names):
            path = self.path / name
            if os.path.lexists(path) and not self._is_ours(name):
                found = "was changed after sam2rl wrote it" if name in self._files else "was not written by sam2rl"
                raise Sam2rlError(
                    f"{path} {found}, and would be overwritten: move it away, or give another folder for the output."
                )

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """Yield a temporary path; on success it is noted in the list and gets its name.

        Raises:
            Sam2rlError: As in `atomic_path`.
        """
        path = self.path / name
        if path.parent not in self._swept:
            sweep(path.parent)
            self._swept.add(path.parent)
        with atomic_path(path) as temporary:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            digest = _digest(temporary)
            if digest not in self._files.setdefault(name, set()):
                self._files[name].add(digest)
                with (self.path / MARKER).open("a", encoding="utf-8") as marker:
                    marker.write(_line({"file": name, "digest": digest}))
        self.written.append(name)

    def clear_old(self) -> None:
        """Delete the files of earlier runs that this one has not written, and that nobody has changed since.

        Raises:
            Sam2rlError: One cannot be deleted.
        """
        written = set(self.written)
        for name in [name for name in self._files if name not in written]:
            try:
                if self._is_ours(name):
                    (self.path / name).unlink()
            except OSError as error:
                raise Sam2rlError(
                    f"{self.path / name} cannot be deleted ({error.strerror}): give another folder for the output."
                ) from error
            del self._files[name]  # gone, or somebody else's from now on
        self._write_marker()

    def _is_ours(self, name: str) -> bool:
        path = self.path / name
        return path.is_file() and _digest(path) in self._files.get(name, ())

    def _write_marker(self) -> None:
        entries = [{"file": name, "digest": digest} for name in self._files for digest in sorted(self._files[name])]
        with atomic_path(self.path / MARKER) as temporary:
            temporary.write_text(f"{_SENTENCE}\n" + "".join(map(_line, [self._about, *entries])), encoding="utf-8")


@contextmanager
def output_folder(path: StrPath, command: str, source: StrPath | None = None) -> Iterator[OutputFolder]:
    """Work in a folder of results as the only command; one that is new goes away again where nothing was written.

    Args:
        path: New, empty, or written by the same command before.
        command: That writes.
        source: What the results are made from, for `free_folder`.

    Raises:
        Sam2rlError: The folder holds somebody else's files, is a file, cannot be written to, or another command is at
            work in it.
    """
    path = Path(path)
    _check_folder(path, command)  # before so much as a lock is put into somebody else's folder
    is_new = not path.exists()
    with exclusive(path, f"sam2rl {command}"):
        _check_folder(path, command)
        folder = OutputFolder(path, command, _source_name(source), _read_marker(path))
        try:
            yield folder
        finally:
            if is_new and not folder.written:
                with suppress(OSError):
                    (path / MARKER).unlink()
                    (path / LOCK).unlink()
                    path.rmdir()


def free_folder(path: Path, command: str, source: StrPath | None = None) -> Path:
    """The first of PATH, PATH-2, PATH-3 ... that is new or empty, or that the command wrote for this source.

    Args:
        source: None = one that nobody can have again: no other results of it are there to be replaced.
    """
    for number in count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        marker = _read_marker(folder) if source is not None else None
        if marker and (marker.command, marker.source) == (command, _source_name(source)):
            break
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            break
    return folder


def _check_folder(path: Path, command: str) -> None:
    refuse_file(path)
    marker = _read_marker(path)
    try:
        others = path.is_dir() and any(not is_clutter(entry.name) for entry in path.iterdir())
    except OSError as error:
        raise Sam2rlError(f"{path} cannot be listed ({error.strerror}): give a folder you own.") from error
    if marker is None and others:
        raise Sam2rlError(f"{path} is not empty and was not written by sam2rl: give a new folder.")
    if marker and marker.command not in ("", command):
        raise Sam2rlError(f"{path} was written by `sam2rl {marker.command}`: give another folder for the output.")


def _source_name(source: StrPath | None) -> str:
    return "" if source is None else os.path.realpath(source)


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _line(entry: Mapping[str, str]) -> str:
    return json.dumps(entry) + "\n"
