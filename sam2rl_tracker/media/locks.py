"""One process at a time in a folder: `exclusive` on this machine, `in_turn` of all machines that share the folder."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import machine_name, sweep, temporary_path

LOCK = ".lock"


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
