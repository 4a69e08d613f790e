"""The comparison of all trackers, agents and searches on generated videos: one command, resumable at any point.

Every part (a training, a search, a replay) that has ended lies in a file of its own and is not done again. What the
agents and searches reach, they reach on the ground truth that they are scored on; the document says so everywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
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

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.agents.store import agents_folder, publish
from sam2rl_tracker.engine import Model, load_model, one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.curves import mean_curve
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINE, BEST, CONTROLS, HEURISTICS, SEARCHES
from sam2rl_tracker.experiments.claims import difference, interval, judge, survival
from sam2rl_tracker.experiments.speed import describe
from sam2rl_tracker.experiments.transfer import VARIANTS, transfer_agent
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.policies.sam2rl import AGENTS_VARIABLE
from sam2rl_tracker.report.standings import VERSIONS, to_markdown, write_csv
from sam2rl_tracker.report.standings_plots import plot_gains, plot_steps
from sam2rl_tracker.report.table import to_json
from sam2rl_tracker.runs.executors import end_with
from sam2rl_tracker.runs.provenance import package_version, processor
from sam2rl_tracker.synthetic.presets import find_preset
from sam2rl_tracker.training.ppo import Progress as State
from sam2rl_tracker.training.ppo import read_curve
from sam2rl_tracker.training.search import most_steps
from sam2rl_tracker.training.settings import PRESETS, Settings
from sam2rl_tracker.training.trainer import Task, search_object, train_all
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.collect import Report, collect
from sam2rl_tracker.vot.results import discard_broken, frame_times
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.tracker import made_with
from sam2rl_tracker.vot.workspace import Workspace, generate, open_or_create, open_workspace, scene_name

TRACKERS = (BASELINE, *HEURISTICS, AGENTS)
SEED = 960_000  # of the first video: no training of the model and no study of settings has used these
SEARCH_ROWS = 32  # searches ask for many states at once
SAME = 0.01  # of quality: results that differ more are not of the same agent


@dataclass(frozen=True)
class Plan:
    """All that decides a benchmark.

    Another `count` or `searched` changes nothing that a benchmark has done already: it may go on with more.
    """

    count: int = 32
    frames: int = 80
    seed: int = SEED
    preset: str = "default"
    model: str = "nano"
    settings: Settings = field(default_factory=Settings)
    seeds: int = 3  # agents of how many seeds are trained on the first videos
    subset: int = 4  # how many these are
    searched: int | None = 8  # on how many of the first videos searches run: they take most of the time; None = all
    control_steps: int | None = None  # of random search and beam; None = as many as the agent of the video took
    trackers: tuple[str, ...] = TRACKERS


DEFAULT = Plan()
PAPER = Plan(count=64, searched=None, settings=PRESETS["paper"])
GROWING = ("count", "searched")  # of a plan: what may change from one run to the next
MADE_ON = "made_on"  # in a plan's file and the document: the machines, with the number of jobs


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
            found = {"model_hash": model.hash, "device": model.device.type, **_versions()}
            _keep_plan(parts / "plan.json", plan, found, f"{processor()}, {jobs} jobs")
            names = _generate(workspace, plan, say)
            return _run(folder, parts, plan, names, jobs, model, say)
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
    if plan.searched is not None and plan.searched < 1:
        raise Sam2rlError("searches must run on one video at least")
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


def _keep_plan(path: Path, plan: Plan, found: Mapping[str, str], machine: str) -> None:
    """Write the plan down, or compare it with the one that the folder was begun with.

    Args:
        found: what the plan came upon: the model's hash, the kind of device, versions.
        machine: where the work goes on; the file keeps all that there were.
    """
    wanted = {**json.loads(json.dumps(asdict(plan))), **found}
    if not path.is_file():
        _write(path, {**wanted, MADE_ON: [machine]})
        return
    try:
        begun = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise Sam2rlError(f"{path} is damaged: take another folder") from error
    before, now = _flat(begun), _flat(wanted)
    other = [
        f"{key}={before.get(key)}, not {value}"
        for key, value in now.items()
        if before.get(key) != value and key not in GROWING
    ]
    if other:
        raise Sam2rlError(
            f"{path.parent.parent} was begun with {'; '.join(other)}: give the same to continue, or another folder"
        )
    if wanted["count"] < begun.get("count", 0):
        raise Sam2rlError(
            f"{path.parent.parent} was begun with {begun['count']} videos: give --count {begun['count']} or more"
        )
    _write(path, {**wanted, MADE_ON: list(dict.fromkeys([*begun.get(MADE_ON, []), machine]))})


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan with the settings of the agents beside its own."""
    settings = plan.get("settings")
    ours = settings if isinstance(settings, dict) else {}  # a damaged file's may be anything
    return {**plan, **{f"--set {key}": value for key, value in ours.items()}, "settings": None}


def _versions() -> dict[str, str]:
    return {name: platform.python_version() if name == "python" else package_version(name) for name in VERSIONS}


def _generate(workspace: Workspace, plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Make the videos that are not there yet; the names of all, in the order of the plan.

    Raises:
        Sam2rlError: there are others too.
    """
    there = set(workspace.names())
    names = {scene_name(number, plan.preset): number for number in range(plan.seed, plan.seed + plan.count)}
    if there - set(names):
        raise Sam2rlError(
            f"{workspace.folder} has sequences that the benchmark did not make, "
            f"{', '.join(sorted(there - set(names)))}: take them out of {workspace.sequences / 'list.txt'}"
        )
    for k, (name, number) in enumerate(names.items(), start=1):
        if name not in there:
            say(f"generating video {k} of {plan.count}")
            shutil.rmtree(workspace.sequences / name, ignore_errors=True)  # of an interrupted run: it was never listed
            generate(workspace.folder, 1, number, plan.frames, preset=plan.preset)
    return list(names)


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
    seeds = range(plan.settings.seed + 1, plan.settings.seed + plan.seeds)
    more = [task(name, seed) for name in names[: plan.subset] for seed in seeds]
    trained = _train([*first.values(), *more], parts, jobs, say)
    # Only the first seed's agents are evaluated as trackers: the best of several would be another method. They have a
    # folder of their own, as others may be put into the workspace's.
    shutil.rmtree(parts / "agents", ignore_errors=True)
    agents = {name: _agent_file(one, trained[one]) for name, one in first.items()}
    for name, file in agents.items():
        agent = load_agent(file)
        if agent.record["quality"] != trained[first[name]]["quality"]:
            raise Sam2rlError(
                f"{file} was trained again after the benchmark: delete {file.parent} and "
                f"{_trained_file(parts, first[name])}, and repeat the command"
            )
        for place in (parts / "agents", agents_folder(folder)):
            publish(agent, place)

    searched = names[: plan.searched]
    searches = {
        parts / f"search-{name}.json": partial(
            search_object,
            replace(first[name], rows=SEARCH_ROWS),
            plan.control_steps or trained[first[name]]["steps"],
        )
        for name in searched
    }
    found = dict(zip(searched, _once(searches, jobs, "searching", say), strict=True))
    rules = {parts / f"controls-{name}.json": partial(_replay_controls, first[name]) for name in names}
    controls = dict(zip(names, _once(rules, jobs, "replaying controls", say), strict=True))
    replays = {parts / f"transfer-{name}.json": partial(transfer_agent, first[name], agents[name]) for name in names}
    moved = dict(zip(names, _once(replays, jobs, "replaying on changed videos", say), strict=True))

    say(f"vot evaluate --workspace {folder} {' '.join(plan.trackers)}")
    source = str(Path(plan.model).resolve()) if Path(plan.model).exists() else plan.model
    environment = {
        "SAM2RL_MODEL": source,
        "SAM2RL_DEVICE": device,
        AGENTS_VARIABLE: str(parts / "agents"),
        "OMP_NUM_THREADS": "1",  # agents and published rules run on one thread: so do all, for their speeds' sake
    }
    discard_broken(folder, plan.trackers)
    failures = evaluate(folder, plan.trackers, environment, jobs)
    if failures:
        raise Sam2rlError("; ".join(str(failure) for failure in failures))
    say("vot analysis")
    report = collect(folder)
    _check_made_with(folder, plan, report, made_with(model))
    _check_agents(folder, report, {name: trained[one]["quality"] for name, one in first.items()})
    document = _document(folder, plan, report, first, trained, found, controls, moved)
    made_on = json.loads((parts / "plan.json").read_text())[MADE_ON]
    document["settings"] |= {**describe(model, plan.seed), **_versions(), "threads": 1, MADE_ON: made_on}
    _write(folder / "benchmark.json", document)
    write_csv(folder / "benchmark.csv", document)
    with atomic_path(folder / "benchmark.md") as temporary:
        temporary.write_text(to_markdown(document))
    for ending in ("png", "pdf"):
        plot_gains(document, folder / f"benchmark-gains.{ending}")
        plot_steps(document, folder / f"benchmark-steps.{ending}")
    return document


def _check_made_with(folder: Path, plan: Plan, report: Report, expected: str) -> None:
    """Whether all results are of this model, device and these versions.

    Raises:
        Sam2rlError: some were made by another run of the toolkit.
    """
    for name in plan.trackers:
        if report.made_with.get(name) != [expected]:
            made = "; ".join(report.made_with.get(name, ["what they do not tell"]))
            raise Sam2rlError(
                f"{name}'s results were made with {made}, expected {expected}: delete {folder / 'results' / name} and "
                "repeat the command"
            )


def _check_agents(folder: Path, report: Report, trained: Mapping[str, float]) -> None:
    """Whether the toolkit scored the agents that were trained.

    Raises:
        Sam2rlError: it has results of others.
    """
    sequences = to_json(report)["sequences"]
    other = [name for name, quality in trained.items() if abs(sequences[name][AGENTS]["quality"] - quality) > SAME]
    if other:
        raise Sam2rlError(
            f"{AGENTS}'s results on {', '.join(other)} are not those of the agents trained here: delete "
            f"{folder / 'results' / AGENTS} and repeat the command"
        )


# ------------------------------------------------------------------------------------------------------------- parts


def _train(tasks: Sequence[Task], parts: Path, jobs: int, say: Callable[[str], None]) -> dict[Task, dict[str, Any]]:
    """Results of trainings, those that were finished before included."""
    files = {task: _trained_file(parts, task) for task in tasks}
    results = {task: json.loads(file.read_text()) for task, file in files.items() if file.is_file()}
    results = {task: result for task, result in results.items() if _agent_file(task, result).is_file()}
    told: dict[Task, int] = {}

    def on_iteration(task: Task, state: State) -> None:
        if told.get(task) != state.iteration:
            told[task] = state.iteration
            about = f"{state.iteration} of {state.iterations}, agent {state.best_greedy:.3f} (SAM 2 {state.sam2:.3f})"
            say(f"training {len(results) + 1} of {len(tasks)}: {task.sequence}, iteration {about}")

    failed = []
    missing = [task for task in tasks if task not in results]
    for task, result in train_all(missing, jobs, on_iteration, publishing=False) if missing else ():
        if isinstance(result, Sam2rlError):
            failed.append(f"{task.sequence}: {result}")
            continue
        curve = read_curve(task.folder) or [(result["steps"], result["batched_quality"])]
        results[task] = {**result, "curve": curve}
        _write(files[task], results[task])
    if failed:
        raise Sam2rlError(f"{len(failed)} trainings failed, the others are kept: {'; '.join(failed)}")
    return {task: results[task] for task in tasks}


def _trained_file(parts: Path, task: Task) -> Path:
    return parts / f"train-{task.sequence}-{task.settings.seed}.json"


def _agent_file(task: Task, result: Mapping[str, Any]) -> Path:
    """Where the agent of a training lies now: the folder may have been moved since."""
    return task.folder / Path(result["file"]).name


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
        failed = []
        try:
            for future in futures:
                try:
                    future.result()
                except Sam2rlError as error:  # the others are worth having
                    failed.append(error)
                    continue
                done += 1
                say(f"{what}: {done} of {len(works)}")
            if failed:
                raise failed[0]
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


@one_thread()
def _replay_controls(task: Task) -> dict[str, Any]:
    """Quality of every control, through the tracker."""
    model = load_model(task.model, task.device)
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    return {name: evaluate_policy(model, clip, make_policy(policy)) for name, policy in CONTROLS.items()}


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
    found: Mapping[str, dict[str, Any]],
    controls: Mapping[str, dict[str, Any]],
    moved: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Everything, as JSON: `trackers` and `sequences` as in `sam2rl report`, and

    - methods: {name: {quality, gain, low, high (mean difference to SAM 2 and its 95 % bootstrap interval over videos,
      for searches and the best found over those that were searched; the interval is None for fewer than `FEW` videos),
      accuracy_gain and robustness_gain ([mean, low, high] likewise; None for what the toolkit did not run: searches and
      controls), steps (simulated, mean over videos), fps (in `vot evaluate`, on one CPU thread; None likewise),
      sees_truth}};
    - videos: {sequence: {method: quality}};
    - steps: {sequence: {method: simulated steps}} of agents and searches;
    - claims: what is claimed of the agents' gains, with intervals;
    - seeds: {sequence: {seed: quality}} on the subset;
    - transfer: {variant: {what, sam2, agent, gain, low, high, kept}};
    - curves: {method: [[steps, mean simulated gain], ...]};
    - settings: the plan, versions, machine, seconds of each part, and a hash of each video with its truth.
    """
    names = list(tasks)
    measured = to_json(report)
    base = {name: measured["sequences"][name][BASELINE]["quality"] for name in names}
    videos = {name: {key: row["quality"] for key, row in measured["sequences"][name].items()} for name in names}
    for name in names:
        # Decisions are replayed through the tracker: what the simulator makes of them in batches is not quite the same.
        videos[name] |= {control: controls[name][control] for control in CONTROLS}
        if name in found:
            videos[name] |= {search: found[name]["replayed"][search] for search in SEARCHES}
            videos[name][BEST] = max(*videos[name].values(), trained[tasks[name]]["best_rollout_replayed"])
    # The first video was searched, as were the first others: what a method lacks is at the end.
    gains = {
        key: np.array([videos[name][key] - base[name] for name in names if key in videos[name]])
        for key in videos[names[0]]
    }
    steps = {name: {AGENTS: trained[task]["steps"]} for name, task in tasks.items()}
    for name, row in found.items():
        steps[name] |= {key: row["spent"][key] for key in SEARCHES}
    methods = {}
    for key, gain in gains.items():
        low, high = interval(gain)
        methods[key] = {
            "quality": float(np.mean([videos[name][key] for name in names if key in videos[name]])),
            "gain": float(gain.mean()),
            "low": low,
            "high": high,
            **{f"{name}_gain": difference(measured["sequences"], key, name) for name in ("accuracy", "robustness")},
            "steps": float(np.mean([row[key] for row in steps.values() if key in row]))
            if key in steps[names[0]]
            else None,
            "fps": _fps(folder, key, names) if key in plan.trackers else None,
            "sees_truth": key in report.trained or key in (*SEARCHES, BEST),
        }
    return {
        "trackers": measured["trackers"],
        "sequences": measured["sequences"],
        "methods": methods,
        "videos": videos,
        "steps": steps,
        "claims": judge(gains),
        "seeds": {
            name: {
                str(task.settings.seed): result["quality"] for task, result in trained.items() if task.sequence == name
            }
            for name in names[: plan.subset]
        },
        "transfer": survival(VARIANTS, moved),
        "curves": _curves({name: tasks[name] for name in found}, base, trained, found),
        "settings": {
            **asdict(plan),
            "seconds": {
                "training": sum(result["seconds"] for result in trained.values()),
                "searching": sum(result["seconds"] for result in found.values()),
                "replaying": sum(result["seconds"] for result in [*controls.values(), *moved.values()]),
                "tracking": float(sum(frame_times(folder, key, name).sum() for key in plan.trackers for name in names)),
            },
            "hashes": {name: _hash(open_workspace(folder).sequences / name) for name in names},
        },
    }


def _fps(folder: Path, tracker: str, names: Sequence[str]) -> float:
    """Frames per second as the toolkit saw them, the first frame of each video left out: it loads the model."""
    times = np.concatenate([frame_times(folder, tracker, name)[1:] for name in names])
    return float(1 / np.median(times))


def _hash(sequence: Path) -> str:
    """16 hex digits of a sequence's frames and truth."""
    digest = hashlib.sha256()
    for path in sorted([*sequence.glob("color/*"), *sequence.glob("groundtruth_*.txt")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _curves(
    tasks: Mapping[str, Task],
    base: Mapping[str, float],
    trained: Mapping[Task, dict[str, Any]],
    found: Mapping[str, dict[str, Any]],
) -> dict[str, list[list[float]]]:
    """Mean gain over the videos that were searched against simulated steps.

    A curve begins where that of every video has begun.
    """
    curves = {AGENTS: [trained[task]["curve"] for task in tasks.values()]}
    curves |= {key: [found[name]["curves"][key] for name in tasks] for key in SEARCHES}
    gains = {
        key: [[(steps, value - base[name]) for steps, value in line] for name, line in zip(tasks, lines, strict=True)]
        for key, lines in curves.items()
    }
    return {key: [list(point) for point in mean_curve(lines)] for key, lines in gains.items()}
