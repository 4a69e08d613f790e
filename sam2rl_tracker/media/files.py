"""Files of ours: complete or not there, and never over an input.

- `atomic_path` writes a file under a temporary name and renames it when it is complete.
- `write_once` lets the first of several machines write a file.
- `sweep` deletes what runs left that were killed before they could rename it.
- `refuse_inputs`, `check_output_file` and `check_output_folder` find what is wrong with an output before any work.

`media.locks` lets one process at a time work in a folder, `media.output_folder` keeps a folder of results.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError

StrPath = str | os.PathLike[str]


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
    refuse_file(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Sam2rlError(f"{path} cannot be written ({error.strerror}): give a folder you own.") from error
    sweep(path)
    check_output_file(path / "output")


def refuse_file(folder: Path) -> None:
    """Refuse a file where a folder for output is to be."""
    if folder.exists() and not folder.is_dir():
        raise Sam2rlError(f"{folder} is a file, expected a folder for the output: give a new folder.")
