"""Files and folders of ours: written under a temporary name and renamed when complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError

StrPath = str | os.PathLike[str]


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name is hidden (leading dot), which frame folders skip, and keeps the suffix.

    Raises:
        Sam2rlError: The operating system refused (disk full, no permission, no such folder).
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def temporary_path(path: Path) -> Path:
    """A name in the same folder that nobody else uses and that frame folders skip."""
    return path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")


def write_error(path: Path, error: Exception) -> Sam2rlError:
    """What to tell the user when `path` could not be written because of `error`."""
    if not path.parent.is_dir():
        return Sam2rlError(f"{path} cannot be written: there is no folder {path.parent}, create it first.")
    reason = getattr(error, "strerror", None) or error
    return Sam2rlError(f"{path} cannot be written ({reason}): free some space or give a path you may write to.")


def prepare_output_folder(folder: StrPath, marker: str = ".sam2rl") -> Path:
    """Make a folder ready for output without ever mixing with someone's files.

    A new or empty folder is created and marked; a folder with the marker is one of ours and accepted as it is.

    Args:
        folder: The output folder.
        marker: Name of the file that tells a folder of ours from any other.

    Returns:
        The folder.

    Raises:
        Sam2rlError: The folder holds other files, is a file, or cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / marker).is_file():
            raise Sam2rlError(f"{folder} is not empty and was not written by sam2rl: give a new folder.")
        # Rewriting the marker also proves that the folder can be written to, before any work is spent on it.
        (folder / marker).write_text("This folder was written by sam2rl, which may write to it again.\n")
    except FileExistsError as error:
        raise Sam2rlError(f"{folder} is a file, expected a folder for the output: give a new folder.") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror or error}): give a folder you own.") from error
    return folder
