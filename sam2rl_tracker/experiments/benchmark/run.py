"""A benchmark from begin to end: videos, agents, searches, the VOT toolkit, the document."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import PLAIN, Model, load_model
from sam2rl_tracker.errors import Sam2rlError, join_sentences
from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument
from sam2rl_tracker.evaluation.methods import AGENTS
from sam2rl_tracker.experiments.benchmark.document import Agents, Measured, make_document
from sam2rl_tracker.experiments.benchmark.parts import Parts, TrainingPart
from sam2rl_tracker.experiments.benchmark.plan import DEFAULT, MADE_ON, Plan, as_begun, keep_plan
from sam2rl_tracker.media.files import atomic_path, sweep
from sam2rl_tracker.report.benchmark_plots import plot_gains, plot_steps
from sam2rl_tracker.report.benchmark_tables import make_tables, write_csv
from sam2rl_tracker.report.table import to_json
from sam2rl_tracker.runs.devices import list_devices, local_executor
from sam2rl_tracker.runs.executors import Executor
from sam2rl_tracker.runs.folder import locked, write_json
from sam2rl_tracker.runs.provenance import BENCHMARK_PACKAGES, Provenance, processor, python_version, versions
from sam2rl_tracker.runs.variables import tracker_environment
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.vot.collect import Report, collect
from sam2rl_tracker.vot.results import discard_broken
from sam2rl_tracker.vot.shares import Tally, absolute, evaluate_shares, plan_shares
from sam2rl_tracker.vot.toolkit import check_registered, evaluate
from sam2rl_tracker.vot.workspace import Workspace, generate, open_or_create, open_workspace, scene_name

_THREADS = 1  # agents and published rules run on one thread: so do all trackers, for their speeds' sake
_SAME = 0.01  # of quality: results that differ more are not of the same agent


def run_benchmark(
    folder: Path,
    plan: Plan = DEFAULT,
    jobs: int = 1,
    device: str | None = None,
    say: Callable[[str], None] = lambda text: None,
    executor: Executor | None = None,
) -> BenchmarkDocument:
    """Generate videos, train agents, search, evaluate all trackers by the VOT toolkit, compare.

    Args:
        folder: New, or that of a benchmark of the same plan, which goes on. It is a VOT workspace. Trackers of the plan
            are added to those that it has.
        jobs: Processes that train, search and track side by side.
        device: Where they run; several, separated by commas, are shared among them.
        say: Is told what goes on, a line each.
        executor: Where agents are trained, searches run and trackers are evaluated, in shares of the sequences; None =
            `jobs` processes of this machine.

    Returns:
        What is written to `benchmark.json`. There are also `benchmark.csv` (a line per video and method),
        `benchmark.md` (the tables) and two pictures, one without agents.

    Raises:
        Sam2rlError: The folder belongs to another plan or is in use, a tracker is not registered, or a training, a
            search or a tracker failed; what has ended is kept.
    """
    folder = folder.resolve()
    parts = folder / "benchmark"
    plan.check()
    devices = list_devices(device) if device else []
    model = load_model(plan.model, devices[0] if devices else None)
    at_work = executor or local_executor(jobs, device)
    if not (parts / "plan.json").is_file() and not _is_fresh(folder):
        raise Sam2rlError(f"{folder} is not empty: give a new folder, or that of a benchmark.")
    workspace = open_or_create(folder)
    with locked(parts, "benchmark"):
        sweep(folder)
        plan = as_begun(parts / "plan.json", plan)
        check_registered(workspace, plan.trackers)
        made_of = {**versions(BENCHMARK_PACKAGES), "python": python_version()}
        found = {"model_hash": model.hash, "device": model.device.type, **made_of}
        machines = keep_plan(parts / "plan.json", plan, found, f"{processor()}, {jobs} jobs")
        names = _generate(workspace, plan, say)
        if executor is None:
            run_trackers = partial(_evaluate_here, folder, plan, model, parts / "agents", jobs, devices, say)
        else:
            run_trackers = partial(_evaluate_in_shares, workspace, plan, model, parts / "agents", executor, say)
        measured = _measure(folder, plan, names, model, Parts(parts, at_work, say), run_trackers, say)
        made_with = Provenance.of(model, plan.arithmetic)
        settings = {**made_with.as_json(plan.seed), **made_of, "threads": 1, MADE_ON: machines}
        return _write(folder, make_document(measured, settings))


def _is_fresh(folder: Path) -> bool:
    """New, empty, or a workspace without sequences, as an interrupted start leaves it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    try:
        return not open_workspace(folder).names()
    except Sam2rlError:
        return False


def _generate(workspace: Workspace, plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Make the videos that are not there yet; the names of all, in the order of the plan.

    Raises:
        Sam2rlError: There are others too.
    """
    there = set(workspace.names())
    names = {scene_name(number, plan.preset): number for number in range(plan.seed, plan.seed + plan.count)}
    if there - set(names):
        raise Sam2rlError(
            f"{workspace.folder} has sequences that the benchmark did not make, "
            f"{', '.join(sorted(there - set(names)))}: take them out of {workspace.sequences / 'list.txt'}."
        )
    for k, (name, number) in enumerate(names.items(), start=1):
        if name not in there:
            say(f"generating video {k} of {plan.count}")
            shutil.rmtree(workspace.sequences / name, ignore_errors=True)  # of an interrupted run: it was never listed
            generate(workspace.folder, 1, number, plan.frames, preset=plan.preset)
    return list(names)


def _measure(
    folder: Path,
    plan: Plan,
    names: Sequence[str],
    model: Model,
    parts: Parts,
    run_trackers: Callable[[], None],
    say: Callable[[str], None],
) -> Measured:
    """All parts, and the toolkit's evaluation of the trackers.

    Args:
        run_trackers: Evaluates those that lack results.
    """
    device = str(model.device)
    first = {
        name: Task(folder, name, 1, plan.model, device, plan.settings, arithmetic=plan.arithmetic) for name in names
    }
    agents = _measure_agents(folder, plan, first, parts) if plan.with_agents else Agents({}, {}, {})
    baselines = dict(zip(names, parts.evaluate_baselines(list(first.values())), strict=True))

    run_trackers()
    say("vot analysis")
    report = collect(folder)
    _check_made_with(folder, plan, report, Provenance.of(model).result_line())
    if plan.with_agents:
        _check_agents(folder, report, {name: agents.trained[one].result.quality for name, one in first.items()})
    return Measured(folder, plan, report, first, baselines, agents)


def _evaluate_here(
    folder: Path, plan: Plan, model: Model, agents: Path, jobs: int, devices: Sequence[str], say: Callable[[str], None]
) -> None:
    """Evaluate trackers side by side on this machine.

    Raises:
        Sam2rlError: Some failed.
    """
    say(f"vot evaluate --workspace {folder} {' '.join(plan.trackers)}")
    environment = tracker_environment(
        absolute(plan.model), str(model.device), str(agents), PLAIN.dtype, PLAIN.compile, _THREADS
    )
    discard_broken(folder, plan.trackers)
    failures = evaluate(folder, plan.trackers, environment, jobs, devices)
    if failures:
        raise Sam2rlError(join_sentences(failures))


def _evaluate_in_shares(
    workspace: Workspace, plan: Plan, model: Model, agents: Path, executor: Executor, say: Callable[[str], None]
) -> None:
    """Evaluate trackers on shares of the sequences, wherever the executor does.

    Raises:
        Sam2rlError: Some failed.
    """
    shares = plan_shares(
        workspace, plan.trackers, model=plan.model, device=str(model.device), agents=str(agents), threads=_THREADS
    )
    failures = list[str]()
    say(f"evaluating: {len(plan.trackers)} trackers, {len(shares)} tasks")
    for ended, outcome in enumerate(evaluate_shares(shares, executor, Tally(workspace)), start=1):
        say(f"evaluating: {ended} tasks have ended, {outcome.task} the last")
        if isinstance(outcome.result, Sam2rlError):
            failures.append(f"{outcome.task}: {outcome.result}")
    if failures:
        raise Sam2rlError(join_sentences(failures))


def _measure_agents(folder: Path, plan: Plan, first: Mapping[str, Task], parts: Parts) -> Agents:
    """Train agents and publish them, search as much, and replay the agents on changed videos.

    Args:
        first: {sequence: its first seed's task}.
    """
    names = list(first)
    seeds = range(plan.settings.seed + 1, plan.settings.seed + plan.seeds)
    more = [
        replace(first[name], settings=replace(plan.settings, seed=seed))
        for name in names[: plan.subset]
        for seed in seeds
    ]
    trained = parts.train([*first.values(), *more])
    agents = {one: trained[one].agent for one in first.values()}
    _publish(folder, parts, trained, agents)
    searched = names[: plan.searched]
    budgets = {first[name]: plan.control_steps or trained[first[name]].result.steps for name in searched}
    return Agents(
        trained=trained,
        searched=dict(zip(searched, parts.search(budgets), strict=True)),
        moved=dict(zip(names, parts.transfer(agents), strict=True)),
    )


def _publish(folder: Path, parts: Parts, trained: Mapping[Task, TrainingPart], agents: Mapping[Task, Path]) -> None:
    """Put the first seed's agents where trackers find them: the best of several seeds would be another method.

    They have a folder of their own, as others may be put into the workspace's.

    Raises:
        Sam2rlError: An agent was trained again since.
    """
    own = parts.folder / "agents"
    shutil.rmtree(own, ignore_errors=True)
    for task, file in agents.items():
        agent = load_agent(file)
        if agent.record["quality"] != trained[task].result.quality:
            raise Sam2rlError(
                f"{file} was trained again after the benchmark: delete {file.parent} and {parts.training_file(task)}, "
                "and repeat the command."
            )
        for place in (own, agents_folder(folder)):
            publish(agent, place)


def _check_made_with(folder: Path, plan: Plan, report: Report, expected: str) -> None:
    """Whether all results are of this model, device and these versions.

    Raises:
        Sam2rlError: Some were made by another run of the toolkit.
    """
    for name in plan.trackers:
        if report.made_with.get(name) != [expected]:
            made = "; ".join(report.made_with.get(name, ["what they do not tell"]))
            raise Sam2rlError(
                f"{name}'s results were made with {made}, expected {expected}: delete {folder / 'results' / name} and "
                "repeat the command."
            )


def _check_agents(folder: Path, report: Report, trained: Mapping[str, float]) -> None:
    """Whether the toolkit scored the agents that were trained.

    Raises:
        Sam2rlError: It has results of others.
    """
    sequences = to_json(report)["sequences"]
    other = [name for name, quality in trained.items() if abs(sequences[name][AGENTS]["quality"] - quality) > _SAME]
    if other:
        raise Sam2rlError(
            f"{AGENTS}'s results on {', '.join(other)} are not those of the agents trained here: delete "
            f"{folder / 'results' / AGENTS} and repeat the command."
        )


def _write(folder: Path, document: BenchmarkDocument) -> BenchmarkDocument:
    """The document as JSON, as tables and as pictures."""
    write_json(folder / "benchmark.json", document.as_json())
    write_csv(folder / "benchmark.csv", document)
    with atomic_path(folder / "benchmark.md") as temporary:
        temporary.write_text(make_tables(document))
    for ending in ("png", "pdf"):
        plot_gains(document, folder / f"benchmark-gains.{ending}")
        if document.curves:
            plot_steps(document, folder / f"benchmark-steps.{ending}")
    return document
