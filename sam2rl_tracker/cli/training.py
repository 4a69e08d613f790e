"""`sam2rl train`, `sam2rl search` and `sam2rl agent`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
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
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.agents.agent import Agent
    from sam2rl_tracker.runs.executors import Executor, Outcome
    from sam2rl_tracker.training.progress import TrainingProgress
    from sam2rl_tracker.training.search_object import SearchResult, SearchTask
    from sam2rl_tracker.training.task import Task
    from sam2rl_tracker.training.trainer import TrainingResult

agent_app = typer.Typer(no_args_is_help=True, help="Trained agents.")


def train(
    folder: Folder,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="Only this object of each sequence.")] = None,
    model: Model = "nano",
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    preset: Annotated[
        str, typer.Option(help="default, or paper: SAM2RL's budget and PPO alone, for an hour or more.")
    ] = "default",
    iterations: Annotated[int | None, typer.Option(min=1, help="By default the preset's, as below.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Transitions an iteration, rounded up to whole episodes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Stop after as many iterations without a better policy; 0 = never.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any setting of docs/train.md; repeat it.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Repeat it for several; the best agent stays.", show_default="0")
    ] = None,
    jobs: Jobs = None,
    per_device: PerDevice = None,
    slurm: UseSlurm = False,
    slurm_set: SlurmSet = None,
    chunk: ChunkSize = None,
    max_jobs: MaxJobs = None,
    shard: ShardOf = None,
    store_mb: Annotated[float, typer.Option(help="Memory of the simulator for what it may compute again.")] = 512,
    as_json: Json = False,
) -> None:
    """Train an agent for every object by PPO, on the ground truth that it will be scored on. Resumes by itself."""
    from sam2rl_tracker.evaluation.scoring import describe
    from sam2rl_tracker.training.settings import parse_settings
    from sam2rl_tracker.training.task import Task
    from sam2rl_tracker.training.trainer import train_all
    from sam2rl_tracker.vot.clips import objects_of

    arithmetic = choose_arithmetic(dtype, compile, device)
    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    part = choose_shard(shard, cluster)
    executor = choose_executor(folder, jobs, device, per_device, cluster)
    given = {"iterations": iterations, "samples": samples, "n_epochs": epochs, "patience": patience}
    changes = [f"{key}={value}" for key, value in given.items() if value is not None]
    chosen = parse_settings(preset, [*changes, *(settings or [])])
    objects = objects_of(folder, sequence or (), object_id, part)
    for line in describe(objects.not_scored):
        say(line)
    if not objects.found:
        say(f"Shard {part} has nothing to do.")
    tasks = [
        Task(folder, name, k, model, device, replace(chosen, seed=one), store_mb=store_mb, arithmetic=arithmetic)
        for name, k in objects.found
        for one in (seed if seed else [chosen.seed])
    ]
    done: list[TrainingResult] = []
    failures = list[dict[str, Any]]()
    with (
        detaching(cluster, folder),
        _Line(tasks, executor) if slurm or len(tasks) > _MOST_BARS else _Bars(tasks) as bars,
    ):
        for outcome in train_all(tasks, executor, bars.update, on_wait=bars.wait):
            bars.end(outcome)
            if isinstance(outcome.result, Sam2rlError):
                failures.append(_failed(outcome.task, outcome.result))
            else:
                done.append(outcome.result)
                _say_trained(outcome.task, outcome.result)
    fallbacks = _count_fallbacks(done)
    if as_json:
        print_json(
            {
                "agents": [result.as_json() for result in done],
                "fallbacks": fallbacks,
                "failures": failures,
                "not_scored": [one.as_json() for one in objects.not_scored],
            }
        )
    if failures:
        raise typer.Exit(1)


_MOST_BARS = 40  # that a screen has room for; thousands would keep a core busy


class _Bars:
    """Progress bars of trainings, one for each; lines of a log where there is no terminal.

    Args:
        tasks: To train.
    """

    def __init__(self, tasks: Sequence[Task]):
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._bars = {task: self._add(task) for task in tasks}
        self._told: dict[Task, int] = {}

    def _add(self, task: Task) -> TaskID:
        from sam2rl_tracker.training.progress import read_training

        settings = task.settings
        begin = f"begins with a beam of {settings.beam}" if settings.imitation else ""
        return self._progress.add_task(
            escape(f"{task.sequence}:{task.object_id} seed {settings.seed}"),
            total=settings.iterations,
            said="goes on" if read_training(task.folder) else begin,
        )

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, task: Task, now: TrainingProgress) -> None:
        """Show where a training stands."""
        said = f"SAM 2 {now.sam2:.3f}  mean {now.mean:.3f}  agent {now.best_greedy:.3f}  best {now.best:.3f}"
        said += f"  {now.speed:.0f} frames/s  reuse {now.reuse:.0%}"
        self._progress.update(self._bars[task], completed=now.iteration, said=said)
        if not console.is_terminal and self._told.get(task) != now.iteration:  # a log has no bars
            self._told[task] = now.iteration
            say(f"{task.sequence}, object {task.object_id}: {now.iteration}/{now.iterations}  {said}")

    def wait(self, running: Sequence[Task]) -> None:
        """Each bar tells what there is to tell."""

    def end(self, outcome: Outcome[Task, TrainingResult]) -> None:
        """Its line is said beside."""


class _Line(_Bars):
    """One line over all trainings, which may be thousands."""

    def __init__(self, tasks: Sequence[Task], executor: Executor):
        self._view = TasksView(
            len(tasks), lambda task: f"{task.sequence}:{task.object_id}", lambda: slurm_status(executor)
        )

    def __enter__(self) -> _Line:
        self._view.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._view.__exit__(*problem)

    def update(self, task: Task, now: TrainingProgress) -> None:
        self._view.stand(task, now.iteration / now.iterations, now.best_greedy - now.sam2)

    def wait(self, running: Sequence[Task]) -> None:
        self._view.update(running)

    def end(self, outcome: Outcome[Task, TrainingResult]) -> None:
        result = outcome.result
        failed = isinstance(result, Sam2rlError)
        self._view.end(
            outcome.task, failed, None if isinstance(result, Sam2rlError) else result.quality - result.sam2_quality
        )


def _failed(task: Task, error: Sam2rlError) -> dict[str, Any]:
    """Say that a training failed; its entry in the JSON document."""
    say(f"FAILED {_name(task)}: {error}", style="red")
    return {"sequence": task.sequence, "object": task.object_id, "seed": task.settings.seed, "error": str(error)}


def _say_trained(task: Task, result: TrainingResult) -> None:
    """Say what came of a training."""
    how = f" with control={result.control}" if result.control != "memory" else ""
    how += ", by SAM 2's own rule: nothing better was found" if result.fallback else ""
    say(
        f"{_name(task)}: quality {result.quality:.3f}{how} on the video it was trained on "
        f"(SAM 2 {result.sam2_quality:.3f}, best rollout {result.best_rollout:.3f}), "
        f"{result.steps} steps, {result.seconds:.0f} s"
    )


def _count_fallbacks(done: Sequence[TrainingResult]) -> dict[str, Any] | None:
    """Say how many agents fell back to SAM 2's own rule; the same for the JSON document."""
    from sam2rl_tracker.evaluation.fallbacks import Fallbacks

    if not done:
        return None
    gains = [result.quality - result.sam2_quality for result in done]
    found = Fallbacks.of(gains, [[result.fallback] for result in done])
    say(f"On the ground truth they were trained on: {found.sentence()}")
    return found.as_json()


def _name(task: Task) -> str:
    return f"{_object_name(task)}, seed {task.settings.seed}"


def _object_name(task: Task) -> str:
    return f"{task.sequence}, object {task.object_id}"


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
    from sam2rl_tracker.agents.store import agents_folder
    from sam2rl_tracker.evaluation.scoring import describe
    from sam2rl_tracker.media.files import check_output_folder
    from sam2rl_tracker.report.style import check_figure
    from sam2rl_tracker.runs.tasks import run_tasks
    from sam2rl_tracker.training.search_object import search_tasks
    from sam2rl_tracker.training.settings import Settings
    from sam2rl_tracker.training.task import Task
    from sam2rl_tracker.vot.clips import objects_of
    from sam2rl_tracker.vot.workspace import open_workspace

    arithmetic = choose_arithmetic(dtype, compile, device)
    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    part = choose_shard(shard, cluster)
    executor = choose_executor(folder, jobs, device, per_device, cluster)
    objects = objects_of(folder, sequence or (), object_id, part)
    workspace = open_workspace(folder)
    if save:
        own = agents_folder(workspace.folder)
        check_output_folder(save, [path for path in workspace.inputs if path != own])
    if plots:
        check_output_folder(plots, workspace.inputs)
        for name, k in objects.found:
            check_figure(plots / f"{name}_{k}.png")
    keys = ("sam2", "always", "random", "greedy", "beam", "local", "agent", "ceiling")
    heads = ("SAM 2", "oldest", "random", "greedy", "beam", "local", "agent", "ceiling")
    limits = f"random, beam and local: at most {budget} steps each; greedy, agent and ceiling: what they took"
    table = Table("Sequence", "", *heads, title=_searched(control), caption=limits)
    results, failures = list[dict[str, Any]](), list[dict[str, Any]]()
    for line in describe(objects.not_scored):
        say(line)
    if not objects.found:
        say(f"Shard {part} has nothing to do.")
    settings = Settings(seed=seed, control=control, pointers=pointers)
    subjects = [Task(folder, name, k, model, device, settings, arithmetic=arithmetic) for name, k in objects.found]
    tasks = search_tasks(subjects, budget, width, save)
    found: dict[SearchTask, SearchResult] = {}
    view = TasksView(len(tasks), lambda one: _object_name(one.task), lambda: slurm_status(executor))
    with detaching(cluster, folder), view if slurm else console.status("Searching") as status:

        def tell(running: Sequence[SearchTask]) -> None:
            if slurm:
                view.update(running)
                return
            under_way = ", ".join(_object_name(one.task) for one in running)
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
                say(f"FAILED {_object_name(task)}: {result}", style="red")
            view.end(outcome.task, isinstance(result, Sam2rlError), _search_gain(result))
            tell([])
    for one in [one for one in tasks if one in found]:
        results.append(found[one].as_json())
        values = [results[-1][key] for key in keys]
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        table.add_row(escape(one.task.sequence), str(one.task.object_id), *cells)
    if as_json:
        not_scored = [one.as_json() for one in objects.not_scored]
        print_json({"sequences": results, "failures": failures, "not_scored": not_scored})
    else:
        Console().print(table)
    if failures:
        raise typer.Exit(1)


def _searched(control: str) -> str:
    """The title of the table, which says so if more than the memory is decided."""
    return f"Quality, searched {ON_OWN_TRUTH}" + (f", control={control}" if control != "memory" else "")


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
    title = f"{_object_name(task)}: found on the truth it is scored on"
    plot_curves(curves, folder / f"{task.sequence}_{task.object_id}.png", title, lines)


@agent_app.command("list")
def agent_list(folder: Folder) -> None:
    """The agents of a workspace. Qualities are on the ground truth that the agents were trained on."""
    from sam2rl_tracker.agents.store import agents_folder, list_agents
    from sam2rl_tracker.vot.workspace import open_workspace

    heads = ("Agent", "Sequence", "Object", "Model", "Decides", "By", "Quality", "SAM 2's", "Steps")
    table = Table(title=f"Trained or searched {ON_OWN_TRUTH}")
    for head in heads:
        table.add_column(head, overflow="fold")
    found = list_agents(agents_folder(open_workspace(folder).folder))
    if not found.agents and not found.errors:
        raise Sam2rlError(f"{agents_folder(folder)} has no agents: `sam2rl train {folder}` makes them.")
    for agent in found.agents:
        about = {**agent.record, "control": agent.control}
        keys = ("sequence", "object", "model", "control", "method", "quality", "sam2_quality", "steps")
        values = [about.get(key, "-") for key in keys]
        if agent.fell_back:
            values[4] = "SAM 2's own rule"
        cells = (f"{value:.3f}" if isinstance(value, float) else escape(str(value)) for value in values)
        table.add_row(escape(agent.fingerprint), *cells)
    Console().print(table)
    _say_fallbacks(found.agents)
    for error in found.errors:
        say(str(error), style="red")
    if found.errors:
        raise typer.Exit(1)


def _say_fallbacks(agents: Sequence[Agent]) -> None:
    """Of the agents that know what SAM 2 has, how many fell back to its rule."""
    from sam2rl_tracker.evaluation.fallbacks import Fallbacks

    pairs = [(agent, agent.record.get("quality"), agent.record.get("sam2_quality")) for agent in agents]
    known = [(agent, ours - base) for agent, ours, base in pairs if isinstance(ours, float) and isinstance(base, float)]
    if known:
        say(Fallbacks.of([gain for _, gain in known], [[agent.fell_back] for agent, _ in known]).sentence())


@agent_app.command("info")
def agent_info(file: Path) -> None:
    """All that an agent file says about itself, as JSON."""
    from sam2rl_tracker.agents.files import load_agent

    agent = load_agent(file)
    shapes = {name: list(tensor.shape) for name, tensor in agent.tensors.items()}
    about = {"fingerprint": agent.fingerprint, "frames": agent.frames, "capacity": agent.capacity, "tensors": shapes}
    about |= {"control": agent.control, "pointers": agent.pointers, "fallback": agent.fell_back}
    print_json({**agent.record, **about})
