"""`sam2rl model`: which models there are, and training one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sam2rl_tracker.cli.cluster import (
    ChunkSize,
    MaxJobs,
    OnSlurm,
    SlurmSet,
    TasksView,
    UseSlurm,
    choose_executor,
    detaching,
    slurm_status,
)
from sam2rl_tracker.cli.options import (
    Compile,
    Device,
    Devices,
    Dtype,
    Jobs,
    Json,
    PerDevice,
    choose_arithmetic,
    console,
    print_json,
    say,
)
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.variables import MODEL_VARIABLE

model_app = typer.Typer(no_args_is_help=True, help="What there is in models.")


@model_app.command("list")
def model_list() -> None:
    """Names that --model takes, and whether their files are here."""
    from sam2rl_tracker.engine import HUB_MODELS, packaged_models, resolve_model

    table = Table("Model", "Where it comes from", "Here")
    for name in packaged_models():
        table.add_row(name, "in the package", "yes")
    for name, repository in HUB_MODELS.items():
        try:
            resolve_model(name, download=False)
            here = "yes"
        except Sam2rlError:
            here = f"no: sam2rl model fetch {name}"
        table.add_row(name, f"Hugging Face hub, {repository}", here)
    table.add_row("user/repository", "any Hugging Face repository with config.yaml and model.safetensors", "")
    table.add_row("folder", "config.yaml and model.safetensors (or a .pt)", "")
    Console().print(table)


@model_app.command("info")
def model_info(name: str, device: Device = "cpu") -> None:
    """Load a model and say what it is."""
    from sam2rl_tracker.engine import load_model, resolve_model

    files = resolve_model(name, download=False)
    model = load_model(name, device)
    network = model.network
    table = Table(show_header=False)
    table.add_row("name", model.name)
    table.add_row("from", files.source)
    table.add_row("configuration", str(files.config))
    table.add_row("weights", str(files.weights))
    table.add_row("parameters", f"{model.parameters / 1e6:.2f} M")
    table.add_row("input", f"{network.image_size} x {network.image_size} pixels")
    table.add_row("width", f"{network.hidden_dim}, memories {network.mem_dim}")
    table.add_row("hash", model.hash)
    Console().print(table)


@model_app.command("train-nano")
def model_train_nano(
    out: Annotated[Path, typer.Argument(help="Folder for the model; a training that was interrupted goes on in it.")],
    quick: Annotated[bool, typer.Option("--quick", help="Two minutes, to see that it learns.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, show_default="10000, about three hours on two cores")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
) -> None:
    """Train the packaged model from scratch on generated scenes. Resumes by itself."""
    from sam2rl_tracker.nano.recipe import RECIPES
    from sam2rl_tracker.nano.train import NanoProgress, train_nano
    from sam2rl_tracker.report.nano_curves import plot_training

    recipe = replace(RECIPES["quick" if quick else "nano"], seed=seed)
    if steps:
        recipe = replace(recipe, steps=steps)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=recipe.steps, said="")

        def on_step(state: NanoProgress) -> None:
            said = "  ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
            progress.update(bar, completed=state.step, said=f"{said}  quality {state.validation:.3f}")

        state = train_nano(out, recipe, device, on_step)
    plot_training(out, out / "curves.png")
    say(
        f"{state.step} steps in {state.seconds:.0f} s, validation quality {state.validation:.3f}: "
        f"use it by --model {out}; curves in {out / 'curves.png'}"
    )


@model_app.command("score")
def model_score(
    name: Annotated[str, typer.Argument(envvar=MODEL_VARIABLE, help="As --model elsewhere.")] = "nano",
    count: Annotated[int, typer.Option(min=1, help="Scenes.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of the first scene.")] = 7_000_000,
    frames: Annotated[int, typer.Option(min=3)] = 80,
    objects: Annotated[int, typer.Option(min=1, max=8, help="Tracked at once in every scene.")] = 1,
    preset: Annotated[str, typer.Option(help="easy, default, busy or hard.")] = "default",
    policy: Annotated[list[str] | None, typer.Option(help="Repeat it; by default heuristics and baselines.")] = None,
    beam: Annotated[list[int] | None, typer.Option(min=1, help="Width of a search for the best; repeat it.")] = None,
    jobs: Jobs = None,
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    per_device: PerDevice = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder that keeps each scene's scores: the same command goes on from there.")
    ] = None,
    slurm: UseSlurm = False,
    slurm_set: SlurmSet = None,
    chunk: ChunkSize = None,
    max_jobs: MaxJobs = None,
    as_json: Json = False,
) -> None:
    """How well a model tracks unseen generated scenes, with several memory policies."""
    from sam2rl_tracker.experiments.score import POLICIES, Scenes, score_model
    from sam2rl_tracker.media.files import check_output_folder

    if out:
        check_output_folder(out)
    elif slurm:
        raise Sam2rlError("--slurm needs --out FOLDER, on storage that the nodes see: it keeps each scene's scores.")
    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    executor = choose_executor(out or Path(), jobs, device, per_device, cluster)
    scenes = Scenes(count, seed, frames, objects, preset)
    track_scenes = partial(
        score_model,
        name,
        device,
        scenes,
        policy or POLICIES,
        beam or (),
        executor,
        folder=out,
        arithmetic=choose_arithmetic(dtype, compile, device),
    )
    with detaching(cluster, out):
        if slurm:
            with TasksView(count, status=lambda: slurm_status(executor)) as view:
                result = track_scenes(on_wait=view.update, on_end=view.end)
        else:
            with console.status("Tracking") as status:
                result = track_scenes(report=status.update)
    if as_json:
        print_json(result.as_json())
        return
    table = Table("Policy", "Quality", "95 % interval", "Accuracy", "Robustness", "Absent without a mask", "Merged")
    for policy_name, score in result.policies.items():
        cells = [f"{score.quality:.3f}", f"{score.low:.3f} to {score.high:.3f}", f"{score.accuracy:.3f}"]
        cells += ["-" if share is None else f"{share:.3f}" for share in (score.robustness, score.absent, score.merged)]
        table.add_row(escape(policy_name) + " (sees the truth)" * score.sees_truth, *cells)
    Console().print(table)
    say(", ".join(f"{key} {value}" for key, value in result.as_json()["settings"].items()))


@model_app.command("fetch")
def model_fetch(name: str) -> None:
    """Download a model from the Hugging Face hub into the local cache."""
    from sam2rl_tracker.engine import resolve_model

    files = resolve_model(name)
    say(f"{name} ({files.source}): {files.weights}")
