"""The folder of one long run, which can be interrupted at any moment and continued by the same command.

It holds `.lock` (one process works in it at a time), `settings.json` (what the run was begun with), `checkpoint.pt`
(its last saved state), `progress.csv` (a line per iteration, or per some steps) and TensorBoard's events.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path, sweep
from sam2rl_tracker.media.locks import exclusive

SETTINGS = "settings.json"
CHECKPOINT = "checkpoint.pt"
PROGRESS = "progress.csv"

TRAININGS = "training"
"""Folder of a workspace: a run folder for each training of an agent."""

SEARCHES = "search"
"""Folder of a workspace: a JSON file for each object that was searched on."""


def write_json(path: Path, content: Mapping[str, Any], indent: int | None = 2) -> None:
    """Write a JSON file, all of it or nothing; its folder is made if need be.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=indent))


@contextmanager
def locked(folder: Path, what: str, elsewhere: bool = False) -> Iterator[None]:
    """Make a folder if need be, and work in it as the only process.

    Args:
        what: Is at work, for the error, such as "training".
        elsewhere: Whether other machines may do the same in it at the same time: see `exclusive`.

    Raises:
        Sam2rlError: Another process is at work in the folder, or the system refuses to write to it, at the beginning or
            later on.
    """
    try:
        with exclusive(folder, what, elsewhere=elsewhere):
            yield
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): what was finished is kept.") from error


def keep_settings(folder: Path, settings: Mapping[str, Any], older: Mapping[str, Any]) -> list[str]:
    """Write the settings of a run that begins, or compare them with those that it was begun with.

    Args:
        folder: Of the run.
        settings: What a run's result depends on, as JSON.
        older: Values to assume for settings that did not exist when the folder was written.

    Returns:
        What differs, such as "epochs=2" as the run was begun with; empty for a run that begins.

    Raises:
        Sam2rlError: The file is damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        write_json(path, settings)
        return []
    try:
        begun = {**older, **json.loads(path.read_text())}
    except (ValueError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: delete {folder} to begin anew.") from error
    return [f"{key}={begun.get(key)}" for key in sorted(settings) if begun.get(key) != settings[key]]


@dataclass(frozen=True)
class ProgressTable:
    """A progress table as numbers.

    Attributes:
        columns: {name: float64 [rows]}; nan where a cell is empty or no number.
    """

    columns: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


class RunFolder:
    """Settings, checkpoint and progress table of a run. Work in it within `locked`.

    Args:
        path: The folder.
        counter: The progress table's first column, which counts up.
    """

    def __init__(self, path: Path, counter: str):
        self.path = path
        self._counter = counter

    # ------------------------------------------------------------------------------------------------ settings

    def keep_settings(self, settings: Mapping[str, Any], older: Mapping[str, Any]) -> list[str]:
        """As `keep_settings`; a run without a checkpoint has not begun."""
        if not (self.path / CHECKPOINT).is_file():
            write_json(self.path / SETTINGS, settings)
            return []
        return keep_settings(self.path, settings, older)

    # ---------------------------------------------------------------------------------------------- checkpoint

    def save_checkpoint(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint: tensors, numbers, texts, lists and dictionaries.

        Raises:
            Sam2rlError: It cannot be written; the one before is kept.
        """
        buffer = io.BytesIO()
        torch.save(dict(content), buffer)  # into a file, torch would not say that the disk is full
        with atomic_path(self.path / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, restore: Callable[[dict[str, Any]], None], device: torch.device | str = "cpu") -> bool:
        """Hand the checkpoint's content to `restore`; False where there is none yet.

        Raises:
            Sam2rlError: The file is damaged, or `restore` failed on what it holds.
        """
        path = self.path / CHECKPOINT
        if not path.is_file():
            return False
        try:
            # A checkpoint may come from somebody else: never run code.
            restore(torch.load(path, map_location=device, weights_only=True))
        except Sam2rlError:
            raise
        except Exception as error:  # unpickling raises whatever a damaged file makes it raise
            raise Sam2rlError(
                f"{path} is damaged or of another training ({type(error).__name__}): delete {self.path} to begin anew."
            ) from error
        return True

    # ------------------------------------------------------------------------------------------------ progress

    def add_progress(self, row: Mapping[str, Any]) -> None:
        """Add a line to the progress table, in place of those from the same count on.

        Raises:
            Sam2rlError: The file cannot be written.
        """
        path = self.path / PROGRESS
        kept = [old for old in _rows(path, self._counter) if int(old[self._counter]) < row[self._counter]]
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row), extrasaction="ignore")
            writer.writeheader()
            writer.writerows([*kept, row])

    def progress(self) -> ProgressTable:
        """What is legible of the progress table; no rows where there is none."""
        return read_progress(self.path / PROGRESS, self._counter)


def read_progress(path: Path, counter: str) -> ProgressTable:
    """What is legible of a progress table; no rows where there is none.

    Args:
        counter: The column that counts up; lines without a number there are left out.
    """
    rows = _rows(path, counter)
    names = list(rows[0]) if rows else []
    return ProgressTable({name: np.array([_number(row[name]) for row in rows]) for name in names})


def _rows(path: Path, counter: str) -> list[dict[str, str]]:
    """Lines of a table, as text. No run depends on it: a damaged table is one with fewer lines."""
    try:
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file, restkey="", restval=""))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [
        {name: cell for name, cell in line.items() if name}  # cells beyond the last column have no name
        for line in lines
        if line.get(counter, "").isdecimal()
    ]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
