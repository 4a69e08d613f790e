"""`sam2rl report` and `sam2rl compare`: what was measured, as a table, a page and a video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sam2rl_tracker.cli.options import Folder, Json, console, print_json, say
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.vot.tracked import TrackedRun


def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Folder for the page; by default report/ in WORKSPACE.")] = None,
    no_html: Annotated[bool, typer.Option("--no-html", help="Only the table: no page, no figures.")] = False,
    as_json: Json = False,
) -> None:
    """Every tracker evaluated in a workspace beside SAM 2: a table, an HTML page, and its figures as PNG and PDF."""
    from sam2rl_tracker.evaluation.scoring import describe
    from sam2rl_tracker.report.page import check_page_folder, write_page
    from sam2rl_tracker.report.table import render, to_json
    from sam2rl_tracker.training.settings import PRESETS
    from sam2rl_tracker.vot.collect import collect
    from sam2rl_tracker.vot.scoring import complete
    from sam2rl_tracker.vot.workspace import open_workspace

    if not no_html:
        check_page_folder(folder, out)  # before the analysis, which takes a while
    found = complete(folder, collect(folder))
    if as_json:
        print_json(to_json(found))
        for note in found.analysis.notes:
            say(note)
        for line in describe(found.not_scored):
            say(line)
        for failure in found.failures:
            say(f"FAILED: {failure}", style="red")
    else:
        render(found, Console())
    answered = open_workspace(folder).answered() is not None
    if not answered and not no_html:
        say(f"No page: it shows the results of an unsupervised experiment, and {folder} has none.")
    if answered and not no_html:
        with console.status("Drawing the page"):
            page = write_page(folder, found, out, PRESETS["default"].as_json())
        say(f"{page}: open it in a browser; its figures are in {page.parent / 'figures'}")
    if found.failures:
        raise typer.Exit(1)


def compare(
    folder: Folder,
    sequence: Annotated[
        str | None, typer.Option(help="By default, as for what else is not given, where trackers differ most.")
    ] = None,
    trackers: Annotated[
        list[str] | None, typer.Option(help="With results; repeat it. By default the two that differ most.")
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MASKS[,TRACE.jsonl]",
            help="What `sam2rl track` wrote for the sequence's images, and its trace; with --sequence. Repeat it.",
        ),
    ] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="This one of the sequence's objects.")] = None,
    out: Annotated[Path | None, typer.Option(help="The .mp4; by default SEQUENCE_OBJECT-compare.mp4 there.")] = None,
    fps: Annotated[float, typer.Option(min=1)] = 12,
) -> None:
    """Draw trackers side by side with the truth and the frames in their memory banks: a video, and some stills.

    Frames on which somebody corrected an object are marked, and are among the stills.
    """
    from sam2rl_tracker.evaluation.scoring import describe
    from sam2rl_tracker.report.comparison import write_comparison
    from sam2rl_tracker.vot.differences import find_difference

    if run:
        _compare_runs(folder, sequence, trackers or (), run, object_id, out, fps)
        return
    with console.status("Comparing") as status:
        found = find_difference(folder, sequence, trackers or (), object_id)
        file = out or folder / f"{found.sequence}_{found.object_id}-compare.mp4"
        status.update(f"Drawing {escape(found.sequence)}")
        write_comparison(folder, found.sequence, list(found.qualities), file, fps, found.object_id)
    for line in describe(found.not_scored):
        say(line)
    qualities = ", ".join(f"{name} {value:.3f}" for name, value in found.qualities.items() if math.isfinite(value))
    said = f"quality {qualities}" if qualities else "not scored"
    say(f"{found.sequence}, object {found.object_id}: {said}; {file}, stills in {file.stem}.png")


def _compare_runs(
    folder: Path,
    sequence: str | None,
    trackers: Sequence[str],
    runs: Sequence[str],
    object_id: int | None,
    out: Path | None,
    fps: float,
) -> None:
    from sam2rl_tracker.report.comparison import write_comparison
    from sam2rl_tracker.vot.sequences import read_sequence
    from sam2rl_tracker.vot.workspace import checked_workspace

    workspace = checked_workspace(folder, truth=False)
    names = workspace.names()
    if sequence not in names:
        raise Sam2rlError(f"Say of which sequence --run is: --sequence with one of {', '.join(names[:10])}.")
    objects = list(read_sequence(workspace.sequences / sequence).regions)
    if object_id is not None and object_id not in objects:
        raise Sam2rlError(f"{sequence} has no object {object_id}: its objects are {', '.join(map(str, objects))}.")
    shown = objects[0] if len(objects) == 1 else object_id
    file = out or folder / f"{sequence}_{shown or 'all'}-compare.mp4"
    with console.status(f"Drawing {escape(sequence)}"):
        write_comparison(folder, sequence, trackers, file, fps, shown, [_parse_run(text) for text in runs])
    say(f"{sequence}, {f'object {shown}' if shown else 'all objects'}: {file}, stills in {file.stem}.png")


def _parse_run(text: str) -> TrackedRun:
    from sam2rl_tracker.vot.tracked import TrackedRun

    masks, _, trace = (text, "", "") if Path(text).is_dir() else text.rpartition(",")
    if not Path(masks or text).is_dir():
        raise Sam2rlError(f"Run {text!r} is not MASKS[,TRACE.jsonl]: there is no folder {masks or text}.")
    return TrackedRun(Path(masks), Path(trace) if trace else None)
