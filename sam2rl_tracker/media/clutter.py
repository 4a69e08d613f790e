"""What file systems, archives and viewers leave among data: `._0001.jpg`, `@eaDir`, `.DS_Store`, `Thumbs.db`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sam2rl_tracker.errors import Sam2rlError

_NAMES = frozenset(
    {
        "@eadir",  # Synology
        "@tmp",
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "__macosx",  # archives made by macOS
        "thumbs.db",  # Windows
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is no data: it is hidden or has one of the known names."""
    return name.startswith(".") or name.lower() in _NAMES


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without clutter.

    Raises:
        Sam2rlError: The folder cannot be listed.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_clutter(entry.name))
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be listed ({error.strerror}): give a folder you may read.") from error


def walk(source: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, names of its folders, names of its files) as `os.walk`, without clutter and through links to folders.

    Each folder comes once, however many links lead to it. Folders that are taken out of a list are not entered.
    """
    seen: set[str] = set()
    for place, folders, files in os.walk(source, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        if os.path.realpath(place) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        yield Path(place), folders, sorted(name for name in files if not is_clutter(name))


def count_clutter(folder: Path) -> Counter[str]:
    """How many entries of a folder are clutter, by name; those of macOS, each named after a file, together as `._*`."""
    names = (entry.name for entry in folder.iterdir()) if folder.is_dir() else ()
    return Counter("._*" if name.startswith("._") else name for name in names if is_clutter(name))
