"""Files and folders of ours: complete or not there, never over an input, never over what somebody else wrote.

- `atomic_path` writes a file under a temporary name and renames it when it is complete.
- `refuse_inputs`, `check_output_file` and `check_output_folder` find what is wrong with an output before any work.
- `output_folder` opens a folder of results, in which a list of what was written tells our files from the user's.
- `write_once` lets the first of several machines write a file.
- `exclusive` lets one process at a time work in a folder, `in_turn` one of all machines for a moment.
- `sweep` deletes what runs left that were killed before they could rename it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import is_clutter

StrPath = str | os.PathLike[str]

MARKER = ".sam2rl"
LOCK = ".lock"
_SENTENCE = "This folder was written by sam2rl, which may write to it again."


# ---------------------------------------------------------------- files


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name is hidden (leading dot), which frame folders skip, and keeps the suffix.

    Raises:
        Sam2rlError: The operating system refused (disk full, no permission, no such folder), or a device is there.
    """
    path = Path(path)
    _refuse_device(path)
    temporary = temporary_path(path)
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def write_once(path: Path, text: str, stands: Callable[[], bool] = lambda: True) -> bool:
    """Write a file that the first who has it writes, of all machines that share the folder. No lock is needed for it.

    Args:
        path: The file; its folder is made if need be.
        stands: Whether a file that is there is a good one. One that is not is replaced.

    Returns:
        Whether it was written; False where somebody else's stands.

    Raises:
        Sam2rlError: The operating system refused.
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        try:
            temporary.write_text(text, encoding="utf-8")
            if _link(temporary, path):
                return True
            if stands():
                return False
            os.replace(temporary, path)
            return True
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name, which fails for all but one of those that try at once, on NFS too."""
    try:
        os.link(source, target)
    except FileExistsError:
        return source.stat().st_nlink == 2  # NFS may have done it, lost its answer and tried again
    except OSError:  # a file system without links: between the look and the renaming, another's may get lost
        return not target.exists() and _rename(source, target)
    return True


def _rename(source: Path, target: Path) -> bool:
    os.replace(source, target)
    return True


def temporary_path(path: Path) -> Path:
    """A name in the same folder that nobody else uses and that frame folders skip."""
    return path.with_name(f".{path.stem}.sam2rl-{os.getpid()}-{_MACHINE}{secrets.token_hex(4)}{path.suffix}")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder under a temporary name beside `path`, and delete it in the end if it is still there.

    Raises:
        OSError: The folder that it is made in is missing or cannot be written to.
    """
    folder = temporary_path(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_error(path: Path, error: Exception) -> Sam2rlError:
    """What to tell the user when `path` could not be written because of `error`."""
    if not path.parent.is_dir():
        return Sam2rlError(f"{path} cannot be written: there is no folder {path.parent}, create it first.")
    reason = getattr(error, "strerror", None) or error
    return Sam2rlError(f"{path} cannot be written ({reason}): free some space or give a path you may write to.")


def machine_name() -> str:
    """Of this machine, as the cluster names it where it is one of a cluster."""
    return os.environ.get("SLURMD_NODENAME") or platform.node()


# ---------------------------------------------------------------- what killed runs left

_MACHINE = hashlib.blake2b(platform.node().encode(), digest_size=2).hexdigest()
"""Four digits for this machine or container: process ids mean nothing on another one that shares the folder."""

_TEMPORARY = re.compile(
    r"\.(?P<stem>.+)\.sam2rl-(?P<process>\d{1,9})-(?P<machine>[0-9a-f]{4})?[0-9a-f]{8}(?P<suffix>\.[^.]+)?"
)
"""The names that `temporary_path` gives. Those that do not tell the machine are taken for this one's."""

_DAY = 24 * 60 * 60  # seconds


def sweep(folder: Path, name: str | None = None) -> None:
    """Delete temporary files and folders in a folder whose owners are gone, or have not written to them for a day.

    Nothing goes whose name is not one that `temporary_path` gives, and no link. Of an owner on another machine, nobody
    knows here whether it is gone.

    Args:
        folder: The folder, which need not be there.
        name: Only what was to be renamed to this; None = everything.
    """
    for path, match in _temporaries(folder, name):
        with suppress(OSError):  # somebody else may sweep at the same time
            if not _is_stale(path, int(match["process"]), match["machine"]):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def temporaries(path: Path) -> list[Path]:
    """What there is under temporary names of this path, whoever made it."""
    return [file for file, _ in _temporaries(path.parent, path.name)]


def _temporaries(folder: Path, name: str | None) -> list[tuple[Path, re.Match[str]]]:
    """Files and folders under temporary names, of one name or of all; no links. Empty where there is no such folder."""
    wanted = None if name is None else (Path(name).stem, Path(name).suffix)
    try:
        entries = [(entry, _TEMPORARY.fullmatch(entry.name)) for entry in os.scandir(folder)]
    except OSError:
        return []
    return [
        (Path(entry.path), match)
        for entry, match in entries
        if match and (wanted is None or wanted == (match["stem"], match["suffix"] or "")) and not entry.is_symlink()
    ]


def _is_stale(path: Path, process: int, machine: str | None) -> bool:
    if machine in (None, _MACHINE):
        if process == os.getpid():
            return False
        if not is_alive(process):
            return True
    newest = max(file.lstat().st_mtime for file in (path, *path.rglob("*")))
    return newest < time.time() - _DAY


def is_alive(process: int) -> bool:
    """Whether a process of this id is at work on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


# ---------------------------------------------------------------- before any work


def refuse_inputs(output: StrPath, inputs: Iterable[StrPath]) -> None:
    """Refuse an output that is an input, or lies in a folder of inputs, however either is spelled.

    The file system compares them: links, relative paths and, where it ignores case, case make no difference.

    Args:
        output: A file or a folder, which need not exist.
        inputs: Files and folders, which need not exist either.

    Raises:
        Sam2rlError: It is one, or lies in one.
    """
    output = Path(output)
    named = Path(os.path.realpath(output.parent)) / output.name  # a link that would be replaced,
    target = Path(os.path.realpath(output))  # and what it points to
    for one in inputs:
        for place in (named, target):
            if same_file(place, one):
                spelled = "" if str(output) == str(one) else f", {one}"
                raise Sam2rlError(f"{output} is an input of this command{spelled}: give another path for the output.")
            if any(same_file(parent, one) for parent in place.parents):
                raise Sam2rlError(f"{output} lies in the input folder {one}: give a path outside of it for the output.")


def same_file(first: StrPath, second: StrPath) -> bool:
    """Whether two paths lead to the same file or folder; one that does not exist is known by its path alone."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def check_output_file(path: StrPath, inputs: Iterable[StrPath] = ()) -> None:
    """Refuse a file that could not be written in the end; nothing is left behind.

    Args:
        path: The file.
        inputs: As in `refuse_inputs`.

    Raises:
        Sam2rlError: It is an input or lies among them, is a folder or a device, or its folder is missing or cannot be
            written to.
    """
    refuse_inputs(path, inputs)
    path = Path(path)
    if path.is_dir():
        raise Sam2rlError(f"{path} is a folder, expected a file to write: give a file's name.")
    _refuse_device(path)
    sweep(path.parent, path.name)
    temporary = temporary_path(path)
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise write_error(path, error) from error


def _refuse_device(path: Path) -> None:
    """`/dev/null`, for one, would be replaced by the finished file, for every program."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise Sam2rlError(f"{path} is a device or a pipe, expected a file to write: give a file's name.")


def check_output_folder(path: StrPath, inputs: Iterable[StrPath] = ()) -> None:
    """Make a folder for files whose names nobody else uses, and refuse one that could not be written to.

    Args:
        path: The folder; it may hold other files.
        inputs: As in `refuse_inputs`.

    Raises:
        Sam2rlError: It is an input or lies among them, is a file, or cannot be written to.
    """
    refuse_inputs(path, inputs)
    path = Path(path)
    _refuse_file(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Sam2rlError(f"{path} cannot be written ({error.strerror}): give a folder you own.") from error
    sweep(path)
    check_output_file(path / "output")


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise Sam2rlError(f"{folder} is a file, expected a folder for the output: give a new folder.")


# ---------------------------------------------------------------- one process at a time


@contextmanager
def exclusive(folder: Path, what: str, timeout: float = 0, elsewhere: bool = False) -> Iterator[None]:
    """Make a folder if need be, and work in it as the only process. What killed runs left in it is swept.

    The lock is the system's: it ends with the process, however that ends. The file `.lock` stays.

    Args:
        folder: The folder.
        what: is at work, for the error, such as "training".
        timeout: Seconds to wait for another process; 0 = not at all.
        elsewhere: Whether other machines may be at work in the folder at the same time, because all do the same and
            replace whole files. Then nothing depends on the lock: where a file system has none, work goes on without.

    Raises:
        Sam2rlError: Another process is at work in the folder, or it cannot be written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=timeout)
        except (OSError, NotImplementedError) as error:  # a Timeout is an OSError
            if not (elsewhere and _may_go_on(folder, error)):
                raise
        else:
            if elsewhere:
                (folder / _HOLDER).write_text(machine_name(), encoding="utf-8")
    except Timeout as error:
        raise Sam2rlError(f"Another {what} is at work in {folder}: wait for it, or stop it.") from error
    except NotImplementedError as error:
        raise Sam2rlError(f"{folder} is on a file system without locks: give a folder on another one.") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror or error}): give a folder you own.") from error
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


_HOLDER = ".machine"
"""Beside the lock: the name of the machine that had it last."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def _may_go_on(folder: Path, error: Exception) -> bool:
    """Whether a lock that was not had is another machine's, or no lock at all."""
    if isinstance(error, Timeout):
        with suppress(OSError):
            return (folder / _HOLDER).read_text(encoding="utf-8") != machine_name()
        return False
    return isinstance(error, NotImplementedError) or getattr(error, "errno", None) in _NO_LOCKS


@contextmanager
def in_turn(folder: Path, what: str, patience: float = 60) -> Iterator[None]:
    """Make a folder if need be, and do in it what takes a moment, one process at a time of all machines that share it.

    No lock of the system is needed: who makes the file `.turn` has its turn. One that is older than `patience` was left
    by a machine that died, and is taken away.

    Args:
        what: is at work, for the error, such as "training".
        patience: Seconds that a turn may take. Waiting for one ends after four times as long.

    Raises:
        Sam2rlError: The turn did not come, or the folder cannot be written to.
    """
    turn = folder / _TURN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + 4 * patience
        while not _make(turn):
            if _age(turn) > patience:
                turn.unlink(missing_ok=True)
            elif time.monotonic() > until:
                raise Sam2rlError(f"Another {what} is at work in {folder}: wait for it, or delete {turn}.")
            else:
                time.sleep(_PAUSE)
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror or error}): give a folder you own.") from error
    try:
        sweep(folder)
        yield
    finally:
        turn.unlink(missing_ok=True)


_TURN = ".turn"
_PAUSE = 0.05  # seconds between two looks


def _make(path: Path) -> bool:
    """Make an empty file, which on NFS too succeeds for one machine alone."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _age(path: Path) -> float:
    """Seconds since a file was written, by the clock of the machine that keeps the files; 0 where it is gone."""
    fresh = temporary_path(path)
    try:
        fresh.touch()
        return fresh.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0
    finally:
        fresh.unlink(missing_ok=True)


# ---------------------------------------------------------------- folders of results


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
    _refuse_file(path)
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
