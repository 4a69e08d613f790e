"""`sam2rl workspace`: make VOT workspaces and fill them with sequences.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2rl_tracker.cli.options import Folder, Objects, Preset, Source, say
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.vot import importers
    from sam2rl_tracker.vot.importing import Imported

workspace_app = typer.Typer(no_args_is_help=True, help="Make VOT workspaces and fill them with sequences.")
import_app = typer.Typer(no_args_is_help=True, help="Add sequences of a data set to a workspace.")
workspace_app.add_typer(import_app, name="import")


@workspace_app.command("create")
def workspace_create(folder: Folder) -> None:
    """Make an empty workspace with the registered trackers and a VOTS stack."""
    from sam2rl_tracker.vot.workspace import create

    create(folder)
    say(f"{folder} is a workspace: fill it with `sam2rl workspace generate` or `import`")


@workspace_app.command("generate")
def workspace_generate(
    folder: Folder,
    count: Annotated[int, typer.Option(min=1, help="How many sequences.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others count up.")] = 0,
    frames: Annotated[int, typer.Option(min=2)] = 80,
    size: Annotated[int, typer.Option(min=32, help="Width and height in pixels.")] = 128,
    objects: Objects = 1,
    preset: Preset = "default",
) -> None:
    """Add generated sequences; the workspace is created if it is new."""
    from sam2rl_tracker.vot.workspace import generate

    _tell_added(generate(folder, count, seed, frames, size, objects, preset), folder)


@workspace_app.command("preview")
def workspace_preview(
    out: Annotated[Path, typer.Argument(metavar="OUT.png")],
    count: Annotated[int, typer.Option(min=1, help="How many scenes, a row each.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others count up.")] = 0,
    preset: Preset = "default",
    frames: Annotated[int, typer.Option(min=2)] = 80,
    size: Annotated[int, typer.Option(min=32, help="Width and height in pixels.")] = 128,
    objects: Objects = 1,
) -> None:
    """Draw what `generate` would add: some frames of every scene, with the targets outlined."""
    from sam2rl_tracker.report.contact_sheet import write_contact_sheet

    say(f"{write_contact_sheet(out, range(seed, seed + count), preset, frames, size, objects)}: {count} scenes")


Unmentioned = Annotated[
    str,
    typer.Option(
        help="Objects that a mask does not show: absent; unknown; sparse: unknown where a third or more of the "
        "frames have no mask; new: as sparse, where the mask shows another object for the first time."
    ),
]
Split = Annotated[str | None, typer.Option(help="A list in ImageSets, such as val.")]
Sequences = Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")]
Resolution = Annotated[str | None, typer.Option(help="Such as 1080p; by default 480p, or the one that is there.")]


@import_app.command("frames")
def import_frames(source: Source, folder: Folder, unmentioned: Unmentioned = "new") -> None:
    """SRC/color/ and SRC/masks/ (index PNGs) become the sequence SRC."""
    from sam2rl_tracker.vot import importers

    _tell(importers.import_frames(source, folder, _chosen(unmentioned)), folder)


@import_app.command("davis")
def import_davis(
    source: Source,
    folder: Folder,
    split: Split = None,
    sequence: Sequences = None,
    resolution: Resolution = None,
    unmentioned: Unmentioned = "new",
) -> None:
    """DAVIS 2016 or 2017: JPEGImages/ and Annotations/, with or without folders of a resolution."""
    from sam2rl_tracker.vot import importers

    _tell(importers.import_davis(source, folder, split, sequence, resolution, _chosen(unmentioned)), folder)


@import_app.command("vos")
def import_vos(
    source: Source,
    folder: Folder,
    split: Split = None,
    sequence: Sequences = None,
    resolution: Resolution = None,
    unmentioned: Unmentioned = "sparse",
) -> None:
    """YouTube-VOS, MOSE, LVOS, VOST, or others with JPEGImages/VIDEO/ and Annotations/VIDEO/."""
    from sam2rl_tracker.vot import importers

    _tell(importers.import_vos(source, folder, split, sequence, resolution, _chosen(unmentioned)), folder)


@import_app.command("boxes")
def import_boxes(source: Source, folder: Folder, sequence: Sequences = None) -> None:
    """LaSOT, GOT-10k, OTB, or others with frames and groundtruth.txt: one object, a box per frame."""
    from sam2rl_tracker.vot import box_importer

    _tell(box_importer.import_boxes(source, folder, sequence), folder)


@import_app.command("sav")
def import_sav(source: Source, folder: Folder) -> None:
    """SA-V: videos with *_manual.json, or the frame and mask folders of val and test."""
    from sam2rl_tracker.vot import importers

    _tell(importers.import_sav(source, folder), folder)


def _chosen(unmentioned: str) -> importers.Unmentioned:
    from sam2rl_tracker.vot import importers

    try:
        return importers.Unmentioned(unmentioned)
    except ValueError as error:
        names = ", ".join(one.value for one in importers.Unmentioned)
        raise Sam2rlError(f"--unmentioned cannot be {unmentioned!r}, expected one of {names}: give one.") from error


def _tell(imported: Imported, folder: Path) -> None:
    """What was imported, what was skipped, and what failed; status 1 after a failure."""
    if imported.added:
        _tell_added(imported.added, folder)
    if imported.kept:
        say(f"{folder}: unchanged since an earlier import, and kept: {_some(imported.kept)}")
    for note in imported.notes:
        say(note)
    if imported.skipped:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(imported.skipped.items()))
        say(f"Skipped, as they are no data: {counts}.")
    for name, error in imported.failures.items():
        say(f"FAILED {name}: {error}", style="red")
    if imported.failures:
        total = len(imported.added) + len(imported.kept) + len(imported.failures)
        say(f"{len(imported.failures)} of {total} sequences were not imported: mend them, and repeat the command.")
        raise typer.Exit(1)


def _tell_added(names: list[str], folder: Path) -> None:
    say(f"{folder}: added {_some(names)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
