"""`sam2rl train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

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
    from sam2rl_tracker.runs.executors import Executor, Outcome
    from sam2rl_tracker.training.progress import TrainingProgress
    from sam2rl_tracker.training.task import Task
    from sam2rl_tracker.training.trainer import TrainingResult


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
    return f"{object_name(task)}, seed {task.settings.seed}"


def object_name(task: Task) -> str:
    """A task's object, for people."""
    return f"{task.sequence}, object {task.object_id}"
