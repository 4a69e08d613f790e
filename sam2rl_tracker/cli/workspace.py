"""`sam2rl workspace`: make VOT workspaces and fill them with sequences.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sam2rl_tracker.cli.options import Folder, Objects, Preset, Source, say

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


@import_app.command("frames")
def import_frames(source: Source, folder: Folder) -> None:
    """SRC/color/ and SRC/masks/ (index PNGs) become the sequence SRC."""
    from sam2rl_tracker.vot import importers

    _tell_added([importers.import_frames(source, folder)], folder)


@import_app.command("davis")
def import_davis(
    source: Source,
    folder: Folder,
    split: Annotated[str | None, typer.Option(help="A list in ImageSets, such as val.")] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
) -> None:
    """DAVIS 2016 or 2017 at 480p."""
    from sam2rl_tracker.vot import importers

    _tell_added(importers.import_davis(source, folder, split, sequence), folder)


@import_app.command("sav")
def import_sav(source: Source, folder: Folder) -> None:
    """SA-V: videos with *_manual.json, or the frame and mask folders of val and test."""
    from sam2rl_tracker.vot import importers

    _tell_added(importers.import_sav(source, folder), folder)


def _tell_added(names: list[str], folder: Path) -> None:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    say(f"{folder}: added {shown}")
