"""`sam2rl search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam2rl_tracker.cli.cluster import (
    ChunkSize,
    MaxJobs,
    OnSlurm,
    SlurmSet,
    TasksView,
    UseSlurm,
    choose_executor,
    choose_shard,
    detaching,
    slurm_status,
)
from sam2rl_tracker.cli.options import (
    ON_OWN_TRUTH,
    Compile,
    Devices,
    Dtype,
    Folder,
    Jobs,
    Json,
    Model,
    PerDevice,
    ShardOf,
    choose_arithmetic,
    console,
    print_json,
    say,
)
from sam2rl_tracker.cli.training import object_name
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.training.search_object import SearchResult, SearchTask
    from sam2rl_tracker.training.task import Task


def search(
    folder: Folder,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="Only this object of each sequence.")] = None,
    model: Model = "nano",
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    budget: Annotated[int, typer.Option(min=1, help="Simulated steps for each search.")] = 4096,
    width: Annotated[int, typer.Option(min=1, help="Of the wide beam that estimates the ceiling.")] = 16,
    control: Annotated[str, typer.Option(help="What is searched for: memory, output or both.")] = "memory",
    pointers: Annotated[str, typer.Option(help="Attended to: stored, or recent as in SAM 2.")] = "stored",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    plots: Annotated[Path | None, typer.Option(help="Folder for a plot per object: return against steps.")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for agents of the best found: see SAM2RL_AGENTS.")] = None,
    jobs: Jobs = None,
    per_device: PerDevice = None,
    slurm: UseSlurm = False,
    slurm_set: SlurmSet = None,
    chunk: ChunkSize = None,
    max_jobs: MaxJobs = None,
    shard: ShardOf = None,
    as_json: Json = False,
) -> None:
    """What memory control can give: searches on the ground truth, beside SAM 2 and the agent."""
    from sam2rl_tracker.evaluation.scoring import describe
    from sam2rl_tracker.runs.tasks import run_tasks
    from sam2rl_tracker.training.search_object import search_tasks
    from sam2rl_tracker.training.settings import Settings
    from sam2rl_tracker.training.task import Task
    from sam2rl_tracker.vot.clips import objects_of

    arithmetic = choose_arithmetic(dtype, compile, device)
    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    part = choose_shard(shard, cluster)
    executor = choose_executor(folder, jobs, device, per_device, cluster)
    objects = objects_of(folder, sequence or (), object_id, part)
    _check_outputs(folder, save, plots, objects.found)
    failures = list[dict[str, Any]]()
    for line in describe(objects.not_scored):
        say(line)
    if not objects.found:
        say(f"Shard {part} has nothing to do.")
    settings = Settings(seed=seed, control=control, pointers=pointers)
    subjects = [Task(folder, name, k, model, device, settings, arithmetic=arithmetic) for name, k in objects.found]
    tasks = search_tasks(subjects, budget, width, save)
    found: dict[SearchTask, SearchResult] = {}
    view = TasksView(len(tasks), lambda one: object_name(one.task), lambda: slurm_status(executor))
    with detaching(cluster, folder), view if slurm else console.status("Searching") as status:

        def tell(running: Sequence[SearchTask]) -> None:
            if slurm:
                view.update(running)
                return
            under_way = ", ".join(object_name(one.task) for one in running)
            status.update(f"Searching {escape(under_way)}: {len(found) + len(failures)} of {len(tasks)} done")

        tell([])
        for outcome in run_tasks(executor, tasks, tell):
            task, result = outcome.task.task, outcome.result
            if not isinstance(result, Sam2rlError):
                try:
                    _plot_search(task, result, plots)
                    found[outcome.task] = result
                except Sam2rlError as error:
                    result = error
            if isinstance(result, Sam2rlError):
                failures.append({"sequence": task.sequence, "object": task.object_id, "error": str(result)})
                say(f"FAILED {object_name(task)}: {result}", style="red")
            view.end(outcome.task, isinstance(result, Sam2rlError), _search_gain(result))
            tell([])
    results = [found[one].as_json() for one in tasks if one in found]
    if as_json:
        not_scored = [one.as_json() for one in objects.not_scored]
        print_json({"sequences": results, "failures": failures, "not_scored": not_scored})
    else:
        Console().print(_table(results, control, budget))
    if failures:
        raise typer.Exit(1)


def _check_outputs(folder: Path, save: Path | None, plots: Path | None, objects: Sequence[tuple[str, int]]) -> None:
    """Refuse folders that could not be written in the end.

    Args:
        folder: The workspace.
        objects: Each sequence and object that is searched.
    """
    from sam2rl_tracker.agents.store import agents_folder
    from sam2rl_tracker.media.files import check_output_folder
    from sam2rl_tracker.report.style import check_figure
    from sam2rl_tracker.vot.workspace import open_workspace

    workspace = open_workspace(folder)
    if save:
        own = agents_folder(workspace.folder)
        check_output_folder(save, [path for path in workspace.inputs if path != own])
    if plots:
        check_output_folder(plots, workspace.inputs)
        for name, k in objects:
            check_figure(plots / f"{name}_{k}.png")


def _table(results: Sequence[dict[str, Any]], control: str, budget: int) -> Table:
    """Every object's qualities; the title says so if more than the memory was decided."""
    searched = f"Quality, searched {ON_OWN_TRUTH}" + (f", control={control}" if control != "memory" else "")
    limits = f"random, beam and local: at most {budget} steps each; greedy, agent and ceiling: what they took"
    heads = {"sam2": "SAM 2", "always": "oldest"}
    heads |= {name: name for name in ("random", "greedy", "beam", "local", "agent", "ceiling")}
    table = Table("Sequence", "", *heads.values(), title=searched, caption=limits)
    for result in results:
        cells = ("-" if result[key] is None else f"{result[key]:.3f}" for key in heads)
        table.add_row(escape(result["sequence"]), str(result["object"]), *cells)
    return table


def _search_gain(result: SearchResult | Sam2rlError) -> float | None:
    """What the best search gained beside SAM 2's own rule."""
    if isinstance(result, Sam2rlError):
        return None
    return max(result.evaluated.values()) - result.sam2


def _plot_search(task: Task, result: SearchResult, folder: Path | None) -> None:
    """Draw return against steps, where that was asked for."""
    from sam2rl_tracker.report.search_curves import plot_curves

    if folder is None:
        return
    lines = {"SAM 2": result.sam2}
    if result.agent is not None:
        lines[f"agent, {result.agent_method}"] = result.agent
    curves = {one.name: one.curve for one in result.found}
    title = f"{object_name(task)}: found on the truth it is scored on"
    plot_curves(curves, folder / f"{task.sequence}_{task.object_id}.png", title, lines)
