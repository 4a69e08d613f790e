"""The comparison of all trackers, agents and searches on generated videos: one command, resumable at any point.

Every part (a training, a search, a replay) that has ended lies in a file of its own and is not done again. What the
agents and searches reach, they reach on the ground truth that they are scored on; the document says so everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from sam2rl_tracker.bench import describe
from sam2rl_tracker.engine import Model, load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.measures import bootstrap_interval
from sam2rl_tracker.policies.bank import CAPACITY
from sam2rl_tracker.policies.sam2rl import AGENTS_VARIABLE
from sam2rl_tracker.report.measured import mean_curve
from sam2rl_tracker.report.standings import plot_gains, plot_steps, to_markdown, write_csv
from sam2rl_tracker.report.table import AGENTS as AGENT
from sam2rl_tracker.report.table import BASELINE, Report, collect, to_json
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.training.agents import Task, agents_folder, end_with, search_object, train_all
from sam2rl_tracker.training.ppo import PRESETS, Settings, read_curve
from sam2rl_tracker.training.ppo import Progress as State
from sam2rl_tracker.training.search import most_steps
from sam2rl_tracker.training.transfer import VARIANTS, transfer_agent
from sam2rl_tracker.video import atomic_path
from sam2rl_tracker.vot.toolkit import evaluate, frame_times
from sam2rl_tracker.vot.workspace import Workspace, generate, open_or_create, open_workspace, scene_name

HEURISTICS = ("SAMURAI", "DAM4SAM", "SAM2Long", "MoSAM")
TRACKERS = (BASELINE, *HEURISTICS, AGENT)
SEARCHES = ("random", "greedy", "beam", "ceiling")
BEST = "best found"  # by any method and seed
SEED = 960_000  # of the first video: no training of the model and no study of settings has used these
FACTOR = 3  # the paper's claim: the agents gain so many times what the best published rule gains
SHARE = 0.7  # of the best found by any method: what an agent should reach


@dataclass(frozen=True)
class Plan:
    """All that decides a benchmark."""

    count: int = 16
    frames: int = 80
    seed: int = SEED
    preset: str = "default"
    model: str = "nano"
    settings: Settings = field(default_factory=Settings)
    more_seeds: int = 2  # agents of how many other seeds are trained on the first videos
    subset: int = 4  # how many these are
    width: int = 16  # of the wide beam that looks for the ceiling
    control_steps: int | None = None  # of random search and beam; None = as many as the agent of the video took
    trackers: tuple[str, ...] = TRACKERS


DEFAULT = Plan()
PAPER = Plan(count=64, settings=PRESETS["paper"])


def run_benchmark(
    folder: Path,
    plan: Plan = DEFAULT,
    jobs: int = 1,
    device: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Generate videos, train agents, search, evaluate all trackers by the VOT toolkit, compare.

    Args:
        folder: new, or that of a benchmark of the same plan, which goes on. It is a VOT workspace.
        jobs: processes that train and search side by side.
        say: is told what goes on, a line each.

    Returns:
        The document that is written to `benchmark.json`: see `_document`. There are also `benchmark.csv` (a line per
        video and method), `benchmark.md` (the tables) and two pictures.

    Raises:
        Sam2rlError: the folder belongs to another plan or is in use, or a training, a search or a tracker failed;
            what has ended is kept.
    """
    folder = folder.resolve()
    parts = folder / "benchmark"
    _check(plan)
    model = load_model(plan.model, device)
    try:
        if not (parts / "plan.json").is_file() and not _is_fresh(folder):
            raise Sam2rlError(f"{folder} is not empty, expected a new folder, or that of a benchmark")
        workspace = open_or_create(folder)
        parts.mkdir(exist_ok=True)
        with FileLock(parts / ".lock").acquire(timeout=0):
            _keep_plan(parts / "plan.json", plan, {"model_hash": model.hash, "device": model.device.type})
            _generate(workspace, plan, say)
            return _run(folder, parts, plan, workspace.names(), jobs, model, say)
    except Timeout as error:
        raise Sam2rlError(f"another benchmark is at work in {folder}: wait for it, or stop it") from error
    except BrokenProcessPool as error:
        raise Sam2rlError("a worker died (was it killed, or is memory short?): repeat the command to go on") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): what was finished is kept") from error


def _check(plan: Plan) -> None:
    """What would otherwise come to light after hours.

    Raises:
        Sam2rlError: the plan cannot be carried out.
    """
    find_preset(plan.preset)
    if plan.frames < 5:
        raise Sam2rlError(
            f"videos of {plan.frames} frames are too short: every second frame must be 3, give 5 at least"
        )
    least = most_steps(plan.frames - 2, CAPACITY, 1)
    steps = plan.settings.samples if plan.control_steps is None else plan.control_steps
    if steps < least:
        raise Sam2rlError(
            f"{steps} simulated steps are too few for a beam on {plan.frames} frames: give "
            f"{'--set samples=' if plan.control_steps is None else '--control-steps '}{least} at least"
        )


def _is_fresh(folder: Path) -> bool:
    """New, empty, or a workspace without sequences, as an interrupted start leaves it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    try:
        return not open_workspace(folder).names()
    except Sam2rlError:
        return False


def _keep_plan(path: Path, plan: Plan, found: Mapping[str, str]) -> None:
    """Write the plan down, or compare it with the one that the folder was begun with.

    Args:
        found: what the plan came upon: the model's hash, and the kind of device.
    """
    wanted = {**json.loads(json.dumps(asdict(plan))), **found}
    if not path.is_file():
        _write(path, wanted)
        return
    try:
        begun = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: take another folder") from error
    other = sorted(key for key in wanted if begun.get(key) != wanted[key])
    if other:
        raise Sam2rlError(
            f"{path.parent.parent} was begun with {', '.join(f'{key}={begun.get(key)}' for key in other)}: give the "
            "same to continue, or another folder"
        )


def _generate(workspace: Workspace, plan: Plan, say: Callable[[str], None]) -> None:
    """Make the videos that are not there yet."""
    there = set(workspace.names())
    for k, number in enumerate(range(plan.seed, plan.seed + plan.count), start=1):
        name = scene_name(number, plan.preset)
        if name not in there:
            say(f"generating video {k} of {plan.count}")
            shutil.rmtree(workspace.sequences / name, ignore_errors=True)  # of an interrupted run: it was never listed
            generate(workspace.folder, 1, number, plan.frames, preset=plan.preset)


def _run(
    folder: Path,
    parts: Path,
    plan: Plan,
    names: Sequence[str],
    jobs: int,
    model: Model,
    say: Callable[[str], None],
) -> dict[str, Any]:
    device = str(model.device)

    def task(name: str, seed: int) -> Task:
        return Task(folder, name, 1, plan.model, device, replace(plan.settings, seed=seed))

    first = {name: task(name, plan.settings.seed) for name in names}
    seeds = range(plan.settings.seed + 1, plan.settings.seed + 1 + plan.more_seeds)
    more = [task(name, seed) for name in names[: plan.subset] for seed in seeds]
    # Only the first seed's agents are evaluated as trackers: the best of several would be another method.
    trained = _train(list(first.values()), parts, jobs, True, say)
    again = _train(more, parts, jobs, False, say)

    searches = {
        parts / f"search-{name}.json": partial(
            search_object, first[name], plan.control_steps or trained[first[name]]["steps"], plan.width
        )
        for name in names
    }
    found = dict(zip(names, _once(searches, jobs, "searching", say), strict=True))
    replays = {
        parts / f"transfer-{name}.json": partial(
            transfer_agent, first[name], first[name].folder / Path(trained[first[name]]["own_file"]).name
        )
        for name in names
    }
    moved = dict(zip(names, _once(replays, jobs, "replaying on changed videos", say), strict=True))

    say(f"vot evaluate --workspace {folder} {' '.join(plan.trackers)}")
    source = str(Path(plan.model).resolve()) if Path(plan.model).exists() else plan.model
    environment = {"SAM2RL_MODEL": source, "SAM2RL_DEVICE": device, AGENTS_VARIABLE: str(agents_folder(folder))}
    failures = evaluate(folder, plan.trackers, environment)
    if failures:
        raise Sam2rlError("; ".join(str(failure) for failure in failures))
    say("vot analysis")
    document = _document(folder, plan, collect(folder), first, trained, again, found, moved)
    document["settings"] |= describe(model, plan.seed)
    _write(folder / "benchmark.json", document)
    write_csv(folder / "benchmark.csv", document)
    with atomic_path(folder / "benchmark.md") as temporary:
        temporary.write_text(to_markdown(document))
    for ending in ("png", "pdf"):
        plot_gains(document, folder / f"benchmark-gains.{ending}")
        plot_steps(document, folder / f"benchmark-steps.{ending}")
    return document


# ------------------------------------------------------------------------------------------------------------- parts


def _train(
    tasks: Sequence[Task], parts: Path, jobs: int, publishing: bool, say: Callable[[str], None]
) -> dict[Task, dict[str, Any]]:
    """Results of trainings, those that were finished before included."""
    files = {task: parts / f"train-{task.sequence}-{task.settings.seed}.json" for task in tasks}
    results = {task: json.loads(file.read_text()) for task, file in files.items() if file.is_file()}
    told: dict[Task, int] = {}

    def on_iteration(task: Task, state: State) -> None:
        if told.get(task) != state.iteration:
            told[task] = state.iteration
            about = f"{state.iteration} of {state.iterations}, agent {state.best_greedy:.3f} (SAM 2 {state.sam2:.3f})"
            say(f"training {len(results) + 1} of {len(tasks)}: {task.sequence}, iteration {about}")

    failed = []
    missing = [task for task in tasks if task not in results]
    for task, result in train_all(missing, jobs, on_iteration, publishing) if missing else ():
        if isinstance(result, Sam2rlError):
            failed.append(f"{task.sequence}: {result}")
            continue
        curve = read_curve(task.folder) or [(result["steps"], result["batched_quality"])]
        results[task] = {**result, "curve": curve}
        _write(files[task], results[task])
    if failed:
        raise Sam2rlError(f"{len(failed)} trainings failed, the others are kept: {'; '.join(failed)}")
    return results


def _once(
    works: Mapping[Path, Callable[[], dict[str, Any]]], jobs: int, what: str, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Results of works, in their order; a work whose file is there is not done again."""
    missing = {file: work for file, work in works.items() if not file.is_file()}
    done = len(works) - len(missing)
    say(f"{what}: {done} of {len(works)}")
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)
    ) as pool:
        futures = [pool.submit(_work, file, work) for file, work in missing.items()]
        try:
            for future in futures:
                future.result()
                done += 1
                say(f"{what}: {done} of {len(works)}")
        except BaseException:
            for process in active_children():  # what is under way takes minutes, and is done again
                process.terminate()
            raise
    for file in works:
        yield json.loads(file.read_text())


def _work(file: Path, work: Callable[[], dict[str, Any]]) -> None:
    started = time.perf_counter()
    result = work()
    _write(file, {**result, "seconds": round(time.perf_counter() - started, 1)})


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2))


# ---------------------------------------------------------------------------------------------------------- document


def _document(
    folder: Path,
    plan: Plan,
    report: Report,
    tasks: Mapping[str, Task],
    trained: Mapping[Task, dict[str, Any]],
    again: Mapping[Task, dict[str, Any]],
    found: Mapping[str, dict[str, Any]],
    moved: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Everything, as JSON: `trackers` and `sequences` as in `sam2rl report`, and

    - methods: {name: {quality, gain, low, high (mean difference to SAM 2 and its 95 % bootstrap interval over videos),
      steps (simulated, mean over videos), fps (in `vot evaluate`; None for searches), sees_truth}};
    - videos: {sequence: {method: quality}};
    - claims: what is claimed of the agents' gains, with intervals;
    - seeds: {sequence: {seed: quality}} on the subset;
    - transfer: {variant: {what, sam2, agent, gain, low, high, kept}};
    - curves: {method: [[steps, mean gain], ...]};
    - settings.
    """
    names = list(tasks)
    measured = to_json(report)
    base = {name: measured["sequences"][name][BASELINE]["quality"] for name in names}
    videos = {name: {key: row["quality"] for key, row in measured["sequences"][name].items()} for name in names}
    for name in names:
        # Decisions are replayed through the tracker: what the simulator makes of them in batches is not quite the same.
        videos[name] |= {search: found[name]["replayed"][search] for search in SEARCHES}
        results = [trained[tasks[name]], *(result for task, result in again.items() if task.sequence == name)]
        agents = [result[key] for result in results for key in ("quality", "best_rollout_replayed")]
        videos[name][BEST] = max(*videos[name].values(), *agents)
    gains = {key: np.array([videos[name][key] - base[name] for name in names]) for key in videos[names[0]]}
    steps = {AGENT: [trained[task]["steps"] for task in tasks.values()]}
    steps |= {key: [found[name]["spent"][key] for name in names] for key in SEARCHES}
    methods = {}
    for key, gain in gains.items():
        low, high = _interval(gain)
        methods[key] = {
            "quality": float(np.mean([videos[name][key] for name in names])),
            "gain": float(gain.mean()),
            "low": low,
            "high": high,
            "steps": float(np.mean(steps[key])) if key in steps else None,
            "fps": _fps(folder, key, names) if key in plan.trackers else None,
            "sees_truth": key in report.trained or key in (*SEARCHES, BEST),
        }
    return {
        "trackers": measured["trackers"],
        "sequences": measured["sequences"],
        "methods": methods,
        "videos": videos,
        "claims": _claims(gains),
        "seeds": {
            name: {
                str(task.settings.seed): result["quality"]
                for task, result in [(tasks[name], trained[tasks[name]]), *again.items()]
                if task.sequence == name
            }
            for name in names[: plan.subset]
        },
        "transfer": _transfer(moved),
        "curves": _curves(tasks, base, trained, found),
        "settings": {
            **asdict(plan),
            "seconds": {
                "training": sum(result["seconds"] for result in [*trained.values(), *again.values()]),
                "searching": sum(result["seconds"] for result in found.values()),
            },
        },
    }


def _fps(folder: Path, tracker: str, names: Sequence[str]) -> float:
    """Frames per second as the toolkit saw them, the first frame of each video left out: it loads the model."""
    times = np.concatenate([frame_times(folder, tracker, name)[1:] for name in names])
    return float(1 / np.median(times))


def _claims(gains: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The agents against the best of the published rules on these videos, and against the best found by any method.

    Returns:
        agent_gain, share_of_best, share_excess (gain less `share_wanted` of the best found's) and, of the best
        published rule: best_rule, rule_gain, and if it gains anything times_best_rule and times_excess (gain less
        `times_wanted` times the rule's). Gains and excesses are [mean, low, high]; low and high are None for one video.
    """
    agent, best = gains[AGENT], gains[BEST]
    claims: dict[str, Any] = {
        "videos": len(agent),
        "agent_gain": [float(agent.mean()), *_interval(agent)],
        "share_of_best": _ratio(agent, best),
        "share_wanted": SHARE,
        "share_excess": [float((agent - SHARE * best).mean()), *_interval(agent - SHARE * best)],
    }
    rules = [key for key in HEURISTICS if key in gains]
    if rules:
        rule = max(rules, key=lambda key: gains[key].mean())
        claims |= {"best_rule": rule, "rule_gain": [float(gains[rule].mean()), *_interval(gains[rule])]}
        if gains[rule].mean() > 0:  # more than three times a loss would be no feat
            excess = agent - FACTOR * gains[rule]
            claims |= {
                "times_best_rule": _ratio(agent, gains[rule]),
                "times_wanted": FACTOR,
                "times_excess": [float(excess.mean()), *_interval(excess)],
            }
    return claims


def _interval(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    return bootstrap_interval(values) if len(values) > 1 else (None, None)


def _ratio(gains: np.ndarray, others: np.ndarray) -> float | None:
    """Of the means; None where the others gain nothing."""
    return float(gains.mean() / others.mean()) if others.mean() > 0 else None


def _transfer(moved: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    original = 0.0
    for variant in VARIANTS:
        rows = [result[variant] for result in moved.values()]
        gain = np.array([row["agent"] - row["sam2"] for row in rows])
        if variant == "original":
            original = float(gain.mean())
        low, high = _interval(gain)
        table[variant] = {
            "what": VARIANTS[variant],
            "sam2": float(np.mean([row["sam2"] for row in rows])),
            "agent": float(np.mean([row["agent"] for row in rows])),
            "gain": float(gain.mean()),
            "low": low,
            "high": high,
            "kept": float(gain.mean() / original) if original > 0 else None,
        }
    return table


def _curves(
    tasks: Mapping[str, Task],
    base: Mapping[str, float],
    trained: Mapping[Task, dict[str, Any]],
    found: Mapping[str, dict[str, Any]],
) -> dict[str, list[list[float]]]:
    """Mean gain over the videos against simulated steps; a curve begins where that of every video has begun."""
    curves = {AGENT: [trained[task]["curve"] for task in tasks.values()]}
    curves |= {key: [found[name]["curves"][key] for name in tasks] for key in SEARCHES}
    gains = {
        key: [[(steps, value - base[name]) for steps, value in line] for name, line in zip(tasks, lines, strict=True)]
        for key, lines in curves.items()
    }
    return {key: [list(point) for point in mean_curve(lines)] for key, lines in gains.items()}
