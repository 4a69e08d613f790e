"""`sam2rl export`: results in the form that other benchmarks take.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sam2rl_tracker.cli.options import Folder, say

export_app = typer.Typer(no_args_is_help=True, help="Results as the folder that a benchmark's server takes.")
Tracker = Annotated[str, typer.Argument(help="With results on every sequence.")]
Out = Annotated[Path | None, typer.Option(help="A new folder; by default export/BENCHMARK/TRACKER in WORKSPACE.")]


@export_app.command("davis")
def export_davis(folder: Folder, tracker: Tracker, out: Out = None) -> None:
    """DAVIS 2016 or 2017: VIDEO/FRAME.png."""
    _export("davis", folder, tracker, out)


@export_app.command("youtube-vos")
def export_youtube_vos(folder: Folder, tracker: Tracker, out: Out = None) -> None:
    """YouTube-VOS: Annotations/VIDEO/FRAME.png."""
    _export("youtube-vos", folder, tracker, out)


@export_app.command("mose")
def export_mose(folder: Folder, tracker: Tracker, out: Out = None) -> None:
    """MOSE: VIDEO/FRAME.png."""
    _export("mose", folder, tracker, out)


@export_app.command("lvos")
def export_lvos(folder: Folder, tracker: Tracker, out: Out = None) -> None:
    """LVOS: VIDEO/FRAME.png."""
    _export("lvos", folder, tracker, out)


def _export(benchmark: str, folder: Path, tracker: str, out: Path | None) -> None:
    from sam2rl_tracker.vot.export import Benchmark, export_results, remarks

    found = export_results(folder, tracker, Benchmark(benchmark), out)
    for remark in remarks(found):
        say(remark)
    say(f"{found.folder}: {found.videos} videos; what a server takes is a zip of what is in it")
