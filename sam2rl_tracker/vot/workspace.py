"""Workspaces of the VOT toolkit: created, opened, checked, and filled with generated sequences.

A workspace is a folder with `config.yaml`, which names the tracker registries, the stack of experiments and the folder
of sequences; there `list.txt` names the sequences in use. `importers.py` fills it with frames and masks.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.clutter import is_clutter
from sam2rl_tracker.media.files import StrPath, atomic_path, sweep
from sam2rl_tracker.media.locks import exclusive
from sam2rl_tracker.media.masks import object_masks
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.synthetic.scenes import generate_scene
from sam2rl_tracker.vot.sequences import AnnotatedFrame, check_path, is_sequence, object_names, write_sequence
from sam2rl_tracker.vot.stack import StackExperiment, read_stack, stack_file

Item = TypeVar("Item")

TEMPLATE = Path(__file__).parent / "template"
"""The files of a new workspace."""

TEMPLATE_FILES = ("trackers.ini", "stack.yaml", "config.yaml")
"""Their names, in the order in which they are written: the last one makes the folder a workspace."""

_PATIENCE = 60.0  # seconds to wait for a command that enters a sequence, which takes a moment


@dataclass(frozen=True)
class Workspace:
    """The paths of a workspace; get one from `open_workspace`.

    Attributes:
        folder: The workspace, absolute.
        sequences: The folder of its sequences.
        stack: The file that names its experiments.
        registries: Files or folders in which its trackers are registered.
    """

    folder: Path
    sequences: Path
    stack: Path
    registries: tuple[Path, ...]

    def names(self) -> list[str]:
        """Names of the sequences in use, in the order of list.txt.

        Raises:
            Sam2rlError: There is no list.txt, or it has a blank line, which the toolkit crashes on.
        """
        path = self.sequences / "list.txt"
        try:
            names = [line.strip() for line in path.read_text().splitlines()]
        except OSError as error:
            raise Sam2rlError(
                f"The workspace {self.folder} has no {path.relative_to(self.folder)} ({error.strerror}), expected one "
                "sequence name per line: write it, or create a workspace with `sam2rl workspace create`."
            ) from error
        if "" in names:
            raise Sam2rlError(f"Line {names.index('') + 1} of {path} is blank, expected a sequence's name: delete it.")
        return names

    def experiments(self) -> list[StackExperiment]:
        """The experiments of the stack.

        Raises:
            Sam2rlError: The stack is missing or damaged.
        """
        return read_stack(self.stack)

    def answered(self) -> StackExperiment | None:
        """The experiment whose results are shown and measured: the first that runs through every sequence."""
        return next((one for one in self.experiments() if one.runs_through), None)

    @property
    def inputs(self) -> list[Path]:
        """The folders that hold its data, whether or not they are there: no report or video may go there."""
        names = ("results", "agents", "training", "search", "benchmark", "analysis")
        return [self.sequences, *(self.folder / name for name in names)]

    def check_new(self, names: Iterable[str]) -> None:
        """Refuse names that sequences have already.

        Raises:
            Sam2rlError: There is a sequence of such a name already.
        """
        known = set(self.names())
        for name in names:
            if name in known:
                raise Sam2rlError(
                    f"The workspace {self.folder} has a sequence {name} already: delete its folder and its line in "
                    "list.txt, or take another workspace."
                )

    def add(self, name: str, frames: Iterable[AnnotatedFrame], fps: float = 30, suffix: str = ".png") -> Path:
        """Write a sequence and enter it in list.txt; arguments and errors as in `write_sequence`.

        Returns:
            The sequence's folder.
        """
        self.check_new([name])
        write_sequence(self.sequences / name, frames, fps, suffix)
        self.enter(name)
        return self.sequences / name

    def enter(self, name: str) -> None:
        """Enter a sequence in list.txt, if it is not there."""
        with exclusive(self.sequences, "sam2rl", timeout=_PATIENCE):  # another command may add one at the same time
            names = self.names()
            if name not in names:
                with atomic_path(self.sequences / "list.txt") as temporary:
                    temporary.write_text("".join(f"{known}\n" for known in [*names, name]))


def open_workspace(folder: StrPath) -> Workspace:
    """Open an existing workspace.

    Raises:
        Sam2rlError: The folder is no workspace, or its configuration is damaged.
    """
    folder = Path(folder).resolve()
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise Sam2rlError(
            f"{folder} is not a VOT workspace, expected a folder with config.yaml: make one with "
            f"`sam2rl workspace create {folder}`."
        ) from error
    except (OSError, yaml.YAMLError) as error:
        raise Sam2rlError(f"{path} cannot be read ({' '.join(str(error).split())}): mend or replace it.") from error
    if not isinstance(config, dict) or "stack" not in config:
        raise Sam2rlError(f"{path} names no stack, expected `stack: ./stack.yaml`: add the line.")
    registries = config.get("registry") or []
    return Workspace(
        folder=folder,
        sequences=folder / config.get("sequences", "sequences"),
        stack=stack_file(folder, str(config["stack"])),
        registries=tuple(folder / name for name in ([registries] if isinstance(registries, str) else registries)),
    )


def checked_workspace(folder: StrPath, truth: bool = True, only: Iterable[str] | None = None) -> Workspace:
    """Open a workspace in which something can be evaluated.

    Args:
        folder: The workspace.
        truth: Whether every sequence must have a ground truth, as the toolkit demands where it runs a tracker.
        only: The sequences to look at; None = all.

    Raises:
        Sam2rlError: It is no workspace, lists no sequences, or a sequence has no ground truth.
    """
    workspace = open_workspace(folder)
    names = workspace.names()
    if not names:
        raise Sam2rlError(
            f"{workspace.sequences / 'list.txt'} names no sequences: add some with "
            f"`sam2rl workspace generate {workspace.folder}` or `sam2rl workspace import`."
        )
    for name in names if only is None else only:
        folder = workspace.sequences / name
        if not is_sequence(folder):
            raise Sam2rlError(f"{folder} is not a sequence but list.txt names it: delete the line or add the sequence.")
        if truth and not object_names(folder):
            raise Sam2rlError(
                f"{folder} has no ground truth, expected groundtruth.txt or groundtruth_<id>.txt: it cannot be "
                "evaluated."
            )
    workspace.experiments()
    return workspace


def create(folder: StrPath) -> Workspace:
    """Create an empty workspace with the registered trackers and a VOTS stack whose measures are computed locally.

    Args:
        folder: A new or empty folder.

    Raises:
        Sam2rlError: The folder holds files or cannot be written.
    """
    folder = Path(folder)
    check_path(folder.resolve())
    if not _is_new(folder):
        raise Sam2rlError(f"{folder} is not empty, expected a new folder for the workspace: give another one.")
    try:
        (folder / "sequences").mkdir(parents=True, exist_ok=True)
        sweep(folder)
        (folder / "sequences" / "list.txt").touch()
        for name in TEMPLATE_FILES:
            if not (folder / name).exists():
                with atomic_path(folder / name) as temporary:
                    shutil.copyfile(TEMPLATE / name, temporary)
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): give a folder you own.") from error
    return open_workspace(folder)


def open_or_create(folder: StrPath) -> Workspace:
    """Open a workspace, or create it when the folder is new or empty; errors as in both."""
    folder = Path(folder)
    return create(folder) if _is_new(folder) else open_workspace(folder)


def _is_new(folder: Path) -> bool:
    """Whether nothing is there, or only what `create` makes first: another one is at work, or was interrupted.

    Going on with it does no harm, as `create` replaces nothing.
    """
    if not folder.is_dir():
        return not folder.exists()
    begun = {"sequences", *TEMPLATE_FILES[:-1]}
    names = {entry.name for entry in folder.iterdir() if not is_clutter(entry.name)}
    within = {entry.name for entry in folder.glob("sequences/*") if not is_clutter(entry.name)}
    return names <= begun and within <= {"list.txt"}


# ---------------------------------------------------------------- filling it


def generate(
    folder: StrPath,
    count: int,
    seed: int,
    frames: int = 80,
    size: int = 128,
    objects: int = 1,
    preset: str = "default",
) -> list[str]:
    """Add generated sequences to a workspace, which is created if it is new.

    Args:
        folder: The workspace.
        count: How many sequences.
        seed: Of the first sequence; the others count up from it, and names tell the seeds.
        frames: Frames per sequence.
        size: Width and height in pixels.
        objects: Objects per sequence.
        preset: How hard they are: a name in `synthetic.presets.PRESETS`.

    Returns:
        The new names, `scene-<seed>` or `scene-<preset>-<seed>`.

    Raises:
        Sam2rlError: A sequence of this seed is there already, the folder is unsuitable, or the preset is unknown.
    """
    find_preset(preset)  # before a workspace is made for nothing
    workspace = open_or_create(folder)
    names = [scene_name(number, preset) for number in range(seed, seed + count)]
    workspace.check_new(names)  # before the first of many is made
    for number, name in enumerate(progress(names, "Generating sequences"), start=seed):
        scene = generate_scene(number, frames=frames, size=size, objects=objects, preset=preset)
        workspace.add(
            name,
            (
                AnnotatedFrame(image, object_masks(labels))
                for image, labels in zip(scene.images, scene.labels, strict=True)
            ),
        )
    return names


def scene_name(seed: int, preset: str = "default") -> str:
    """The name of a generated sequence."""
    return f"scene-{seed:05d}" if preset == "default" else f"scene-{preset}-{seed:05d}"


def is_generated(source: StrPath) -> bool:
    """Whether a folder of frames lies in a sequence that has a name of `scene_name`'s."""
    folder = Path(source).resolve().parent
    return re.fullmatch(r"scene-([a-z]+-)?[0-9]{5,}", folder.name) is not None and (folder / "sequence").is_file()


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """Iterate with a progress bar on stderr, which vanishes at the end and stays away where nobody looks."""
    console = Console(stderr=True)
    return track(items, escape(what), total, console=console, transient=True, disable=not console.is_terminal)
