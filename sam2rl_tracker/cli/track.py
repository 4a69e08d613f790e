"""`sam2rl track`.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2rl_tracker.cli.options import (
    Compile,
    Device,
    Dtype,
    Json,
    Model,
    Policy,
    choose_arithmetic,
    console,
    print_json,
    say,
)
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.engine import Model as SAM2
    from sam2rl_tracker.media.live import LiveSource
    from sam2rl_tracker.tracking.video import Summary


def _print_policies(wanted: bool) -> None:
    if wanted:
        from sam2rl_tracker.policies import describe_policies

        for line in describe_policies():
            print(line)
        raise typer.Exit


def track(
    source: Annotated[
        str,
        typer.Argument(help="A folder of frames, a video file, or live: camera:0, rtsp://..., http://..., - (a pipe)."),
    ],
    init: Annotated[
        list[str] | None,
        typer.Option(metavar="MASK.png[@FRAME]", help="Index PNG of a frame: pixel value k = object k. Repeat it."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H[,object=K][@FRAME]",
            help="A box in pixels. The n-th one without a number is of object n. Repeat it.",
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y[,-][,object=K][@FRAME]",
            help="A point on an object, or beside it: -. Several, and a box, make one prompt. Repeat it.",
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="K@FRAME", help="Stop tracking object K on this frame. Repeat it.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Many of these in a file: see docs/prompts.md.")
    ] = None,
    start: Annotated[int, typer.Option(min=0, help="The first frame to track; frames count from 0.")] = 0,
    end: Annotated[int | None, typer.Option(min=0, help="The last one.", show_default="the video's")] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="Also track each object from its first prompt towards the first frame.")
    ] = False,
    policy: Policy = "recency",
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="One object at a time, on one CPU thread: slower; to compare masks to the pixel."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the masks; by default NAME-masks here, or NAME-masks-2 and so on.")
    ] = None,
    overlay: Annotated[Path | None, typer.Option(help="An .mp4 with the objects coloured.")] = None,
    trace: Annotated[Path | None, typer.Option(help="A JSONL file: what every frame attended to.")] = None,
    select: Annotated[
        bool, typer.Option("--select", help="Draw boxes, or click points, in a window on the first frame.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the tracked video in a window; Q ends.")] = False,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Of live video: drop no frame, but let the source wait.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Of live video: seconds that it may say nothing.")] = 10,
    as_json: Json = False,
    list_policies: Annotated[
        bool, typer.Option("--list-policies", callback=_print_policies, is_eager=True, help="List policies and leave.")
    ] = False,
) -> None:
    """Track objects through a video: one index PNG per frame, and an overlay video and a trace if asked for.

    An object begins on the frame on which it is given first. What is given of it on a later frame corrects it.

    FRAME counts from 0. Without it a prompt is on the first frame that is tracked.

    Live video is tracked until it ends, or until Ctrl-C.
    """
    from sam2rl_tracker.cli.live import open_live, select_prompts, watch
    from sam2rl_tracker.cli.prompts import parse_options
    from sam2rl_tracker.engine import load_model, packaged_models
    from sam2rl_tracker.media.receivers import is_live
    from sam2rl_tracker.media.window import check_screen
    from sam2rl_tracker.tracking.video import check_live, default_folder, track_video
    from sam2rl_tracker.vot.workspace import is_generated

    given = parse_options(init or (), box or (), point or (), remove or (), prompts)
    if select and (init or box or point or prompts):
        raise Sam2rlError("Give the objects either by --select, or by --init, --box, --point and --prompts.")
    if select or show:
        check_screen()
    choose_arithmetic(dtype, compile, device)
    notes: list[str] = []
    columns = (TextColumn("Tracking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    task = progress.add_task("track", total=None, fps="")

    def on_frame(done: int, total: int | None) -> None:
        speed = progress.tasks[task].speed
        progress.update(task, completed=done, total=total, fps=f"{speed:.1f} fps" if speed else "")

    with ExitStack() as stack:
        loaded: str | SAM2 = model
        if is_live(source):
            check_live(policy, backward)
            loaded = load_model(model, device)  # not while frames come, which would be dropped
            video: Path | LiveSource = stack.enter_context(open_live(source, given, start, every_frame, timeout))
        else:
            video = Path(source)
        if select:
            given = [*select_prompts(video, start), *given]
        folder = out or default_folder(video if isinstance(video, Path) else None)
        on_tracked = stack.enter_context(watch(show))
        stack.enter_context(progress)
        try:
            summary = track_video(
                video,
                folder,
                prompts=given,
                start=start,
                end=end,
                backward=backward,
                model=loaded,
                policy=policy,
                device=device,
                dtype=dtype,
                compile=compile,
                exact=exact,
                overlay_file=overlay,
                trace_file=trace,
                on_frame=on_frame,
                on_note=notes.append,
                on_tracked=on_tracked,
            )
        except (Sam2rlError, KeyboardInterrupt):
            _say_notes(notes)
            raise
    if as_json:
        files = {"masks": folder, "overlay": overlay, "trace": trace}
        print_json({**summary.as_json(), **{what: None if path is None else str(path) for what, path in files.items()}})
    outputs = [path for path in (overlay, trace) if path]
    _say_summary(summary, folder, outputs, notes)
    if summary.tiny:
        _say_tiny(summary, model)
    if model in packaged_models() and not is_generated(source):
        say(
            f"{model} is for trying: it has seen generated scenes only. A real model: `sam2rl model fetch "
            "sam2.1_hiera_tiny`, then --model sam2.1_hiera_tiny.",
            style="yellow",
        )
    for sentence in summary.missed:
        say(f"error: {sentence}", style="red")
    if summary.missed:
        raise typer.Exit(1)


def _say_summary(summary: Summary, folder: Path, outputs: Sequence[Path], notes: Iterable[str]) -> None:
    count = len(summary.objects)
    say(
        f"{summary.frames} frames, {count} object{'s' * (count != 1)}, {summary.fps:.1f} fps "
        f"({summary.network_share:.0%} of the time the network's): "
        f"masks in {folder}{' (chosen over the whole video)' * summary.revised}"
        + "".join(f", {path}" for path in outputs)
        + f"; dropped {summary.dropped} of the stream's frames" * bool(summary.dropped)
    )
    if summary.changes:
        say(summary.changes)
    _say_notes(notes)


def _say_tiny(summary: Summary, model: str) -> None:
    from sam2rl_tracker.tracking.video import CELL

    say(
        f"object{'s' * (len(summary.tiny) > 1)} {', '.join(map(str, summary.tiny))}: less than {CELL} x {CELL} of "
        f"the {summary.input_size} x {summary.input_size} pixels that {model} sees, so expect no track; crop the "
        "video around it, or take a model of larger input",
        style="yellow",
    )


def _say_notes(notes: Iterable[str]) -> None:
    for note in notes:
        say(note, style="yellow")
