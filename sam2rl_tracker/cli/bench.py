"""`sam2rl bench`: speed and memory beside stock SAM 2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from sam2rl_tracker.cli.cluster import SlurmSet
from sam2rl_tracker.cli.options import (
    Compile,
    Device,
    Dtype,
    Json,
    Model,
    choose_arithmetic,
    console,
    print_json,
    say,
)

if TYPE_CHECKING:
    from sam2rl_tracker.experiments.everything import Everything

bench_app = typer.Typer(no_args_is_help=True, help="Speed and memory beside stock SAM 2.")


@bench_app.command("simulate")
def bench_simulate(
    frames: Annotated[int, typer.Option(min=3)] = 80,
    rows: Annotated[int, typer.Option(min=1, help="States computed in one batch.")] = 32,
    iterations: Annotated[int, typer.Option(min=1, help="Of the training that memoisation is measured on.")] = 18,
    samples: Annotated[int, typer.Option(min=1)] = 4096,
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Simulated frames per second: stock SAM 2 rollout by rollout, batched, and memoised over a training."""
    from sam2rl_tracker.experiments import simulation_speed

    with console.status("Measuring") as status:
        result = simulation_speed.bench_simulate(
            model,
            device,
            frames,
            rows,
            iterations,
            samples,
            seed,
            status.update,
            choose_arithmetic(dtype, compile, device),
        )
    if as_json:
        print_json(result.as_json())
        return
    table = Table("", "frames/s", "ratio to stock")
    table.add_row("stock, rollout by rollout", f"{result.stock_fps:g}", "1")
    table.add_row("batched", f"{result.batched_fps:g}", f"{result.ratio_batched:g}")
    if result.uncompiled_fps is not None:
        ratio = round(result.uncompiled_fps / result.stock_fps, 2)
        table.add_row("batched, not compiled", f"{result.uncompiled_fps:g}", f"{ratio:g}")
    table.add_row("memoised, over a training", f"{result.memoised_fps:g}", f"{result.ratio_memoised:g}")
    Console().print(table)
    if result.compile_seconds is not None:
        say(f"compiling, or reading what was compiled before, took {result.compile_seconds:g} s")
    say(f"reuse {result.reuse_rate:.1%}, learning {result.learning_share:.0%} of the training's time")
    _say_settings(result.as_json())


@bench_app.command("predict")
def bench_predict(
    rows: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size; repeat it.", show_default="1, 4, 16, 64")
    ] = None,
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    random_weights: Annotated[bool, typer.Option(help="A named model's real size, without its download.")] = False,
    input_size: Annotated[int | None, typer.Option(help="Another one than the named model's, in pixels.")] = None,
    bfloat16: Annotated[bool, typer.Option("--bfloat16", help="The same as --dtype bfloat16.")] = False,
    as_json: Json = False,
) -> None:
    """What a simulated step costs under a full bank, by batch size, beside the machine's product of matrices."""
    from sam2rl_tracker.experiments import prediction_speed

    arithmetic = choose_arithmetic("bfloat16" if bfloat16 else dtype, compile, device)
    with console.status("Measuring") as status:
        result = prediction_speed.bench_predict(
            model, device, random_weights, input_size, rows or (1, 4, 16, 64), arithmetic, status.update
        )
    if as_json:
        print_json(result.as_json())
        return
    table = Table("Rows", "frames/s", "TFLOP/s", "of the ceiling", "peak, MB")
    for line in result.lines:
        share = line.tflops / result.ceiling_tflops
        peak = "-" if line.peak_mb is None else str(line.peak_mb)
        table.add_row(str(line.rows), f"{line.fps:g}", f"{line.tflops:g}", f"{share:.0%}", peak)
    Console().print(table)
    for line in result.lines:
        if line.compile_seconds is not None:
            say(
                f"{line.rows} rows: {line.uncompiled_fps:g} frames/s not compiled; compiling, or reading what was "
                f"compiled before, took {line.compile_seconds:g} s"
            )
    say(f"{result.tflop_per_frame:g} TFLOP a frame; ceiling {result.ceiling_tflops:g} TFLOP/s")
    _say_settings(result.as_json())


@bench_app.command("track")
def bench_track(
    case: Annotated[
        list[str] | None, typer.Option(metavar="OBJECTSxFRAMES", help="Repeat it; by default 1x301, 5x301 and 1x2001.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="As `sam2rl track --policy`; repeat it. By default recency, and all rules on 1x301."),
    ] = None,
    model: Model = "nano",
    device: Device = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    random_weights: Annotated[bool, typer.Option(help="A named model's real size, without its download.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Speed and growth of memory beside stock SAM2VideoPredictor, and what policies cost, in turns in one run."""
    from sam2rl_tracker.experiments import tracking_speed

    cases = [tracking_speed.Case.parse(text) for text in case or []]
    with console.status("Measuring") as status:
        result = tracking_speed.bench_track(
            cases,
            model,
            policy or (),
            device,
            random_weights,
            seed,
            status.update,
            choose_arithmetic(dtype, compile, device),
        )
    if as_json:
        print_json(result.as_json())
        return
    heads = ("Case", "fps", "stock", "ratio", "cost", "+ MB", "stock", "late")
    table = Table(Column("Policy", overflow="fold"), *(Column(head, no_wrap=True) for head in heads))
    for line in result.lines:
        numbers = (line.fps, line.stock_fps, line.ratio, line.cost, line.growth_mb, line.stock_growth_mb)
        cells = ["-" if number is None else f"{number:g}" for number in (*numbers, line.late_cost)]
        table.add_row(escape(line.policy), f"{line.objects}x{line.frames}", *cells)
    table.caption = "cost: time over recency's; + MB, late: growth of memory and of a frame's time after frame 200"
    Console().print(table)
    _say_settings(result.as_json())


@bench_app.command("all")
def bench_all(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New, or an earlier run's, which then goes on.")] = Path(
        "sam2rl-bench"
    ),
    model: Model = "nano",
    device: Device = None,
    quick: Annotated[bool, typer.Option("--quick", help="The least of everything, to see that it works.")] = False,
    as_json: Json = False,
) -> None:
    """Everything on the device that is there, saved part by part; on a GPU with SAM 2.1 Hiera-L's real sizes, too."""
    from sam2rl_tracker.experiments import everything

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("Starting", total=None)

        def on_part(done: int, total: int, text: str) -> None:
            progress.update(bar, completed=done, total=total, description=escape(text))
            if not console.is_terminal and text:  # a log has no bar
                say(f"{done}/{total} {text}")

        result = everything.bench_all(folder, model, device, quick, on_part=on_part)
    for name, why in result.failed.items():
        say(f"{name} could not be measured: {why}")
    if as_json:
        print_json(result.as_json())
    else:
        _show_everything(result)
        say(f"{folder / everything.DOCUMENT} has it all")
        _say_settings(result.as_json())
    if result.failed:
        raise typer.Exit(1)


def _show_everything(result: Everything) -> None:
    """The numbers of every part as a table."""
    heads = ("frames/s", "ratio", "of ceiling", "MB")
    table = Table(*(Column(head, overflow="fold") for head in ("Part", "")), *(Column(h, no_wrap=True) for h in heads))
    table.caption = "ratio: to stock SAM 2; of ceiling: TFLOP/s beside a product of matrices; MB: a GPU's peak"
    shown = ""
    for line in result.lines():
        share = "-" if line.of_ceiling is None else f"{line.of_ceiling:.0%}"
        numbers = ["-" if number is None else f"{number:g}" for number in (line.fps, line.ratio, line.peak_mb)]
        part, shown = ("" if line.part == shown else line.part), line.part
        table.add_row(escape(part), escape(line.what), *numbers[:2], share, numbers[2])
    Console().print(table)


@bench_app.command("cluster")
def bench_cluster(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New, on storage that the nodes see.")],
    count: Annotated[int, typer.Option(min=1, help="Trainings.")] = 12,
    frames: Annotated[int, typer.Option(min=3, help="Of each video.")] = 30,
    nodes: Annotated[int, typer.Option(min=2, help="Jobs at a time, beside one.")] = 2,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, any setting of docs/train.md, such as iterations=80; repeat it."),
    ] = None,
    slurm_set: SlurmSet = None,
    model: Model = "nano",
    as_json: Json = False,
) -> None:
    """The same trainings on one node of a Slurm cluster and on several: what they give, what a task costs."""
    from sam2rl_tracker.experiments import cluster_speed
    from sam2rl_tracker.training.settings import parse_settings

    chosen = parse_settings("default", [*cluster_speed.SETTINGS, *(settings or [])])
    with console.status("Measuring") as status:
        result = cluster_speed.bench_cluster(
            folder, chosen, count, frames, nodes, model, slurm_set or (), say=status.update
        )
    if as_json:
        print_json(result.as_json())
        return
    table = Table("", "seconds", "trainings a minute")
    for name, seconds in (
        ("one job at a time", result.one_seconds),
        (f"{nodes} jobs at a time", result.all_seconds),
        ("of one iteration, one job at a time", result.short_seconds),
        ("of one iteration, in a process here", result.short_here_seconds),
    ):
        table.add_row(name, f"{seconds:.1f}", f"{60 * count / seconds:.2f}")
    Console().print(table)
    say(f"{nodes} nodes give {result.ratio:.2f} times one's trainings; jobs cost {result.overhead:.2f} s each")
    _say_settings(result.as_json())


def _say_settings(document: dict[str, Any]) -> None:
    say(", ".join(f"{key} {value}" for key, value in document["settings"].items()))
