"""`sam2rl demo` and `sam2rl benchmark`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sam2rl_tracker.cli.cluster import (
    ChunkSize,
    MaxJobs,
    OnSlurm,
    SlurmSet,
    UseSlurm,
    choose_executor,
    detaching,
)
from sam2rl_tracker.cli.options import (
    Compile,
    Devices,
    Dtype,
    Json,
    Model,
    PerDevice,
    Preset,
    choose_arithmetic,
    console,
    print_json,
    say,
)


def demo(
    out: Annotated[Path, typer.Option(help="A new folder; it becomes a VOT workspace.")] = Path("sam2rl-demo"),
    every: Annotated[bool, typer.Option("--all", help="All trackers: SAM2Long and the later rules too.")] = False,
) -> None:
    """Generate videos, train an agent on each, evaluate the trackers by the VOT toolkit, show the table and a video."""
    from sam2rl_tracker.evaluation.methods import TRACKERS
    from sam2rl_tracker.experiments.demo import SHOWN, run_demo

    run_demo(out, Console(), TRACKERS if every else SHOWN)


def benchmark(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New, or a benchmark's own, which then goes on.")],
    paper: Annotated[
        bool, typer.Option("--paper", help="64 videos and the paper's training: not for two cores.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Videos.", show_default="32; --paper: 64")] = None,
    frames: Annotated[int, typer.Option(min=3)] = 80,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the first video; the others count up.", show_default="960000")
    ] = None,
    preset: Preset = "default",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any setting of docs/train.md; repeat it.")
    ] = None,
    control_steps: Annotated[
        int | None, typer.Option(min=1, help="Of random, beam and local search; by default as many as the agent took.")
    ] = None,
    searched: Annotated[
        int | None, typer.Option(min=1, help="Search on so many of the first videos.", show_default="8; --paper: all")
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            help="Evaluate this one, SAM2, and those that DIR has already; repeat it. Without SAM2RL nothing is "
            "trained or searched.",
            show_default="all, or those of DIR",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Agents of so many seeds on the first 4 videos.")] = 3,
    model: Model = "nano",
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that train, search and track.", show_default="2, or 1 on each device"),
    ] = None,
    per_device: PerDevice = None,
    slurm: UseSlurm = False,
    slurm_set: SlurmSet = None,
    chunk: ChunkSize = None,
    max_jobs: MaxJobs = None,
    as_json: Json = False,
) -> None:
    """Compare all trackers, agents and searches on generated videos: takes hours. Resumes by itself."""
    from sam2rl_tracker.evaluation.methods import REFERENCE
    from sam2rl_tracker.experiments.benchmark import DEFAULT, PAPER, run_benchmark
    from sam2rl_tracker.report.benchmark_tables import make_tables
    from sam2rl_tracker.runs.devices import count_jobs
    from sam2rl_tracker.training.settings import parse_settings

    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    executor = choose_executor(folder, jobs, device, per_device, cluster)
    jobs = count_jobs(jobs, device, per_device, alone=2)
    plan = PAPER if paper else DEFAULT
    plan = replace(
        plan,
        count=plan.count if count is None else count,
        frames=frames,
        seed=plan.seed if seed is None else seed,
        preset=preset,
        model=model,
        settings=parse_settings("paper" if paper else "default", settings or []),
        control_steps=control_steps,
        searched=plan.searched if searched is None else searched,
        seeds=seeds,
        trackers=tuple(dict.fromkeys([REFERENCE, *tracker])) if tracker else (),
        arithmetic=choose_arithmetic(dtype, compile, device),
    )
    with detaching(cluster, folder), console.status("Starting") as status:

        def tell(text: str) -> None:
            status.update(escape(text))
            if not console.is_terminal:  # a log has no status line
                say(text)

        document = run_benchmark(folder, plan, jobs, device, tell, executor if slurm else None)
    if as_json:
        print_json(document.as_json())
    else:
        print(make_tables(document))
    say(f"{folder / 'benchmark.md'}, benchmark.csv and benchmark.json; the page: sam2rl report {folder}")
