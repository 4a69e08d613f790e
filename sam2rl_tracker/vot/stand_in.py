"""A workspace that stands in for another one, so that several `vot evaluate` at a time do not step on each other.

It has the other's trackers, its stack, and some of its sequences, where they are. The results that the toolkit writes
there are moved into the other workspace, the folder of a sequence at a time by one renaming: it is there complete or
not at all, and of two machines with the same sequence the first one's stands. Nothing is locked.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import yaml

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import subfolders
from sam2rl_tracker.media.files import sweep, temporaries, temporary_folder
from sam2rl_tracker.vot.results import is_complete, is_whole
from sam2rl_tracker.vot.sequences import object_names
from sam2rl_tracker.vot.stack import StackExperiment
from sam2rl_tracker.vot.workspace import Workspace

EVALUATION = "evaluation"
"""Folder of a workspace: for each tracker records of shares, and the stand-ins that are in use."""

REPLACED = "results-replaced"
"""Folder of a workspace: incomplete results that gave way to complete ones, as in `results`."""


class StandIn:
    """A workspace in which a tracker is evaluated on some sequences of another one; `stand_in` makes one.

    Attributes:
        folder: Its own.
        replaced: How many incomplete results of the other workspace were put aside.

    Args:
        folder: Its own.
        workspace: Which it stands in for.
        tracker: Its name.
        names: The sequences.
    """

    def __init__(self, folder: Path, workspace: Workspace, tracker: str, names: Sequence[str]):
        self.folder = folder
        self.replaced = 0
        self._workspace, self._tracker, self._names = workspace, tracker, names
        self._experiments = {one.name: one for one in workspace.experiments()}
        # Without `multiobject` the toolkit makes a sequence of each object, and of an ignored area.
        self._sequences = {name: name for name in names} | {
            f"{name}_{k}": name for name in names for k in (*object_names(workspace.sequences / name), "_ignore")
        }

    def fill(self) -> None:
        """Make the workspace in its empty folder: the other's configuration, with absolute paths, and what is done.

        Raises:
            OSError: The system refused.
        """
        config = yaml.safe_load((self._workspace.folder / "config.yaml").read_text())
        config |= {
            "registry": [str(path) for path in self._workspace.registries],
            "stack": str(self._workspace.stack),
            "sequences": "sequences",
        }
        (self.folder / "sequences").mkdir()
        lines = [f"{self._workspace.sequences / name}\n" for name in self._names]
        (self.folder / "sequences" / "list.txt").write_text("".join(lines))
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))
        for experiment in self._experiments.values():
            self._fill_results(experiment)

    def _fill_results(self, experiment: StackExperiment) -> None:
        """Show the toolkit what it need not do again.

        What only it can judge is copied: it may add to it, and the workspace's own must stay as they are.
        """
        for folder in self._sequences:
            place = Path("results", self._tracker, experiment.name, folder)
            source, target = self._workspace.folder / place, self.folder / place
            complete = source.is_dir() and self._is_complete(self._workspace, experiment, folder)
            if complete is False:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if complete:
                target.symlink_to(source, target_is_directory=True)
            else:
                shutil.copytree(source, target)

    def join(self, ended: bool) -> None:
        """Move results into the workspace.

        Args:
            ended: Whether the toolkit has ended. Otherwise the folder that it wrote to last stays, unless it is known
                to be complete.

        Raises:
            OSError: The system refused.
        """
        own = replace(self._workspace, folder=self.folder)
        for place in sorted(self.folder.glob("results/*/*")):
            results = [place / name for name in subfolders(place) if not (place / name).is_symlink()]
            newest = max(results, key=lambda path: path.stat().st_mtime_ns, default=None)
            for path in results:
                complete = self._is_complete(own, self._experiments[place.name], path.name)
                under_way = path == newest and not ended and not complete
                with suppress(FileNotFoundError):  # another machine moved it: see `stand_in`
                    if complete is not False and not under_way and is_whole(path):
                        self._move(path, place.relative_to(self.folder))

    def _is_complete(self, workspace: Workspace, experiment: StackExperiment, folder: str) -> bool | None:
        """Whether a folder of results of a workspace is complete; None where only the toolkit knows."""
        if folder not in self._sequences:
            return None
        return is_complete(workspace, self._tracker, experiment, self._sequences[folder], folder)

    def _move(self, source: Path, place: Path) -> None:
        """Move a folder of results into the workspace's `place`, where the first one stands, if it is complete."""
        target = self._workspace.folder / place / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _rename(source, target)
        except FileExistsError:
            complete = self._is_complete(self._workspace, self._experiments[place.name], source.name)
            if complete or (complete is None and _names(target) >= _names(source)):
                return  # another machine's was first
            self._put_aside(target, place)
            with suppress(FileExistsError):  # another machine's, in the meantime
                _rename(source, target)

    def _put_aside(self, target: Path, place: Path) -> None:
        aside = self._workspace.folder / REPLACED / place.relative_to("results") / target.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        if aside.exists():
            aside = aside.with_name(f"{aside.name}.{secrets.token_hex(4)}")
        with suppress(FileNotFoundError):  # another machine did
            _rename(target, aside)
            self.replaced += 1

    def move_logs(self) -> list[Path]:
        """Move the toolkit's logs of failures into the workspace; where they lie then."""
        moved = []
        for log in sorted((self.folder / "logs").glob("*.log")):
            target = self._workspace.folder / "logs" / log.name
            target.parent.mkdir(exist_ok=True)
            shutil.move(log, target)
            moved.append(target)
        return moved


@contextmanager
def stand_in(workspace: Workspace, tracker: str, names: Sequence[str]) -> Iterator[StandIn]:
    """Make a stand-in within the workspace, and delete it in the end.

    What runs left in theirs that were killed at the same sequences is moved into the workspace first.

    Raises:
        Sam2rlError: The workspace cannot be written to, now or later on.
    """
    place = workspace.folder / EVALUATION / tracker / Path(names[0]).name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in temporaries(place):  # a run that is still at work loses nothing by it
            with suppress(FileNotFoundError):
                StandIn(left, workspace, tracker, names).join(ended=False)
        sweep(place.parent, place.name)
        with temporary_folder(place) as folder:
            view = StandIn(folder, workspace, tracker, names)
            view.fill()
            yield view
    except OSError as error:
        raise Sam2rlError(
            f"{workspace.folder} cannot be written ({error.strerror or error}): make room, or get the right to write "
            "there, and repeat the command; what was finished is kept."
        ) from error


def _rename(source: Path, target: Path) -> None:
    """Rename a folder to a name that is free.

    Raises:
        FileExistsError: It is not.
        OSError: The system refused.
    """
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:  # `results` is a link to another disk
            with temporary_folder(target) as temporary:
                shutil.copytree(source, temporary, dirs_exist_ok=True)
                _rename(temporary, target)
            return
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, error.strerror, str(target)) from error
        raise


def _names(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in os.scandir(folder))
