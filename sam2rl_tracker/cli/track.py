"""`sam2rl track`.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2rl_tracker.cli.options import Device, Model, Policy, console, say
from sam2rl_tracker.errors import Sam2rlError


def _print_policies(wanted: bool) -> None:
    if wanted:
        from sam2rl_tracker.policies import describe_policies

        for line in describe_policies():
            print(line)
        raise typer.Exit


def track(
    source: Annotated[Path, typer.Argument(help="A folder of frames or a video file.")],
    init: Annotated[Path | None, typer.Option(help="Index PNG of the first frame: pixel value k = object k.")] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help="Instead of a mask, in pixels; repeat it per object.")
    ] = None,
    policy: Policy = "recency",
    model: Model = "nano",
    device: Device = None,
    dtype: Annotated[str, typer.Option(help="float32, or bfloat16 (faster on a GPU).")] = "float32",
    exact: Annotated[
        bool,
        typer.Option("--exact", help="One object at a time, on one CPU thread: slower; to compare masks to the pixel."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the masks; by default NAME-masks here.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="An .mp4 with the objects coloured.")] = None,
    trace: Annotated[Path | None, typer.Option(help="A JSONL file: what every frame attended to.")] = None,
    list_policies: Annotated[
        bool, typer.Option("--list-policies", callback=_print_policies, is_eager=True, help="List policies and leave.")
    ] = False,
) -> None:
    """Track objects through a video: one index PNG per frame, and an overlay video and a trace if asked for."""
    from sam2rl_tracker.tracking.video import CELL, track_video

    folder = out or Path(f"{source.resolve().stem}-masks")
    boxes = [_parse_box(text) for text in box or []]
    columns = (TextColumn("Tracking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("track", total=None, fps="")

        def on_frame(done: int, total: int | None) -> None:
            speed = progress.tasks[task].speed
            progress.update(task, completed=done, total=total, fps=f"{speed:.1f} fps" if speed else "")

        summary = track_video(
            source,
            folder,
            init,
            boxes,
            model=model,
            policy=policy,
            device=device,
            dtype=dtype,
            exact=exact,
            overlay_file=overlay,
            trace_file=trace,
            on_frame=on_frame,
        )
    count = len(summary.objects)
    say(
        f"{summary.frames} frames, {count} object{'s' * (count != 1)}, {summary.frames / summary.seconds:.1f} fps: "
        f"masks in {folder}{' (chosen over the whole video)' * summary.revised}"
        + "".join(f", {path}" for path in (overlay, trace) if path)
    )
    for note in summary.notes:
        say(note, style="yellow")
    if summary.tiny:
        say(
            f"object{'s' * (len(summary.tiny) > 1)} {', '.join(map(str, summary.tiny))}: less than {CELL} x {CELL} of "
            f"the {summary.input_size} x {summary.input_size} pixels that {model} sees, so expect no track; crop the "
            "video around it, or take a model of larger input",
            style="yellow",
        )


def _parse_box(text: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise Sam2rlError(f"Box {text!r} is not X,Y,W,H: four numbers in pixels.") from None
    return x, y, width, height
