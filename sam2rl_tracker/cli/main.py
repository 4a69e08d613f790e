"""The command line: parses, calls, prints. No logic of its own.

Functions import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from sam2rl_tracker import __version__
from sam2rl_tracker.errors import Sam2rlError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="SAM 2 tracking with pluggable memory policies.")
workspace_app = typer.Typer(no_args_is_help=True, help="Make VOT workspaces and fill them with sequences.")
import_app = typer.Typer(no_args_is_help=True, help="Add sequences of a data set to a workspace.")
model_app = typer.Typer(no_args_is_help=True, help="What there is in models.")
agent_app = typer.Typer(no_args_is_help=True, help="Trained agents.")
bench_app = typer.Typer(no_args_is_help=True, help="Speed and memory beside stock SAM 2.")
app.add_typer(workspace_app, name="workspace")
workspace_app.add_typer(import_app, name="import")
app.add_typer(model_app, name="model")
app.add_typer(agent_app, name="agent")
app.add_typer(bench_app, name="bench")

ON_TEST = "on the ground truth that they are scored on"

console = Console(stderr=True)  # for people; stdout is for results

Model = Annotated[str, typer.Option(help="A name, Hugging Face id or folder: see `sam2rl model list`.")]
Policy = Annotated[str, typer.Option(help="NAME[:key=value,...] or module:Class: see `sam2rl track --list-policies`.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps; by default the best there is.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document alone on stdout.")]
Folder = Annotated[Path, typer.Argument(metavar="WORKSPACE")]
Source = Annotated[Path, typer.Argument(metavar="SRC")]
Objects = Annotated[int, typer.Option(min=1, max=8, help="Targets in each.")]
Preset = Annotated[str, typer.Option(help="How hard the scenes are: easy, default, busy or hard.")]


def main() -> None:
    """Entry point: a user's error is one sentence on stderr and status 2."""
    sys.path.insert(0, "")  # `--policy mine:Class` means mine.py here, as for `python -m`
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is finished is kept
    try:
        app()
    except Sam2rlError as error:
        _say(f"error: {error}", style="red")
        sys.exit(2)


def _say(text: str, style: str | None = None) -> None:
    """A line for people, as it is: paths may hold what rich takes for markup."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sam2rl {__version__}")
        raise typer.Exit


def _print_policies(wanted: bool) -> None:
    if wanted:
        from sam2rl_tracker.policies import describe_policies

        for line in describe_policies():
            print(line)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="A new folder; it becomes a VOT workspace.")] = Path("sam2rl-demo"),
    every: Annotated[bool, typer.Option("--all", help="SAM2Long and MoSAM too.")] = False,
) -> None:
    """Generate videos, evaluate the trackers on them by the VOT toolkit, show the table and a video."""
    from sam2rl_tracker.experiments.demo import ALL_TRACKERS, TRACKERS, run_demo

    run_demo(out, Console(), ALL_TRACKERS if every else TRACKERS)


@app.command()
def track(
    source: Annotated[Path, typer.Argument(help="A folder of frames or a video file.")],
    init: Annotated[Path | None, typer.Option(help="Index PNG of the first frame: pixel value k = object k.")] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help="Instead of a mask, in pixels; repeat it per object.")
    ] = None,
    policy: Policy = "recency",
    model: Model = "nano",
    device: Device = None,
    dtype: Annotated[str, typer.Option(help="float32, or bfloat16 (faster on a GPU).")] = "float32",
    out: Annotated[Path | None, typer.Option(help="Folder for the masks; by default NAME-masks here.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="An .mp4 with the objects coloured.")] = None,
    trace: Annotated[Path | None, typer.Option(help="A JSONL file: what every frame attended to.")] = None,
    list_policies: Annotated[
        bool, typer.Option("--list-policies", callback=_print_policies, is_eager=True, help="List policies and leave.")
    ] = False,
) -> None:
    """Track objects through a video: one index PNG per frame, and an overlay video and a trace if asked for."""
    from sam2rl_tracker.tracking.video import CELL, track_video

    folder = out or Path(f"{source.resolve().stem}-masks")
    boxes = [_parse_box(text) for text in box or []]
    columns = (TextColumn("Tracking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("track", total=None, fps="")

        def on_frame(done: int, total: int | None) -> None:
            speed = progress.tasks[task].speed
            progress.update(task, completed=done, total=total, fps=f"{speed:.1f} fps" if speed else "")

        summary = track_video(
            source,
            folder,
            init,
            boxes,
            model=model,
            policy=policy,
            device=device,
            dtype=dtype,
            overlay_file=overlay,
            trace_file=trace,
            on_frame=on_frame,
        )
    count = len(summary.objects)
    _say(
        f"{summary.frames} frames, {count} object{'s' * (count != 1)}, {summary.frames / summary.seconds:.1f} fps: "
        f"masks in {folder}{' (chosen over the whole video)' * summary.revised}"
        + "".join(f", {path}" for path in (overlay, trace) if path)
    )
    if summary.tiny:
        _say(
            f"object{'s' * (len(summary.tiny) > 1)} {', '.join(map(str, summary.tiny))}: less than {CELL} x {CELL} of "
            f"the {summary.input_size} x {summary.input_size} pixels that {model} sees, so expect no track; crop the "
            "video around it, or take a model of larger input",
            style="yellow",
        )


def _parse_box(text: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise Sam2rlError(f"box {text!r} is not X,Y,W,H: four numbers in pixels") from None
    return x, y, width, height


# ------------------------------------------------------------------------------------------------------- workspaces


@workspace_app.command("create")
def workspace_create(folder: Folder) -> None:
    """Make an empty workspace with the registered trackers and a VOTS stack."""
    from sam2rl_tracker.vot.workspace import create

    create(folder)
    _say(f"{folder} is a workspace: fill it with `sam2rl workspace generate` or `import`")


@workspace_app.command("generate")
def workspace_generate(
    folder: Folder,
    count: Annotated[int, typer.Option(min=1, help="How many sequences.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others count up.")] = 0,
    frames: Annotated[int, typer.Option(min=2)] = 80,
    size: Annotated[int, typer.Option(min=32, help="Width and height in pixels.")] = 128,
    objects: Objects = 1,
    preset: Preset = "default",
) -> None:
    """Add generated sequences; the workspace is created if it is new."""
    from sam2rl_tracker.vot.workspace import generate

    _tell_added(generate(folder, count, seed, frames, size, objects, preset), folder)


@workspace_app.command("preview")
def workspace_preview(
    out: Annotated[Path, typer.Argument(metavar="OUT.png")],
    count: Annotated[int, typer.Option(min=1, help="How many scenes, a row each.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the first; the others count up.")] = 0,
    preset: Preset = "default",
    frames: Annotated[int, typer.Option(min=2)] = 80,
    size: Annotated[int, typer.Option(min=32, help="Width and height in pixels.")] = 128,
    objects: Objects = 1,
) -> None:
    """Draw what `generate` would add: some frames of every scene, with the targets outlined."""
    from sam2rl_tracker.report.contact_sheet import write_contact_sheet

    _say(f"{write_contact_sheet(out, range(seed, seed + count), preset, frames, size, objects)}: {count} scenes")


@import_app.command("frames")
def import_frames(source: Source, folder: Folder) -> None:
    """SRC/color/ and SRC/masks/ (index PNGs) become the sequence SRC."""
    from sam2rl_tracker.vot.workspace import import_frames as run

    _tell_added([run(source, folder)], folder)


@import_app.command("davis")
def import_davis(
    source: Source,
    folder: Folder,
    split: Annotated[str | None, typer.Option(help="A list in ImageSets, such as val.")] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
) -> None:
    """DAVIS 2016 or 2017 at 480p."""
    from sam2rl_tracker.vot.importers import import_davis as run

    _tell_added(run(source, folder, split, sequence), folder)


@import_app.command("sav")
def import_sav(source: Source, folder: Folder) -> None:
    """SA-V: videos with *_manual.json, or the frame and mask folders of val and test."""
    from sam2rl_tracker.vot.importers import import_sav as run

    _tell_added(run(source, folder), folder)


def _tell_added(names: list[str], folder: Path) -> None:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    _say(f"{folder}: added {shown}")


# ---------------------------------------------------------------------------------------------------------- reports


@app.command()
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Folder for the page; by default report/ in WORKSPACE.")] = None,
    no_html: Annotated[bool, typer.Option("--no-html", help="Only the table: no page, no figures.")] = False,
    as_json: Json = False,
) -> None:
    """Every tracker evaluated in a workspace beside SAM 2: a table, an HTML page, and its figures as PNG and PDF."""
    from sam2rl_tracker.report import collect, render, to_json
    from sam2rl_tracker.report.page import write_page

    found = collect(folder)
    if as_json:
        _print_json(to_json(found))
        for failure in found.failures:
            _say(f"FAILED: {failure}", style="red")
    else:
        render(found, Console())
    if not no_html:
        with console.status("Drawing the page"):
            page = write_page(folder, found, out)
        _say(f"{page}: open it in a browser; its figures are in {page.parent / 'figures'}")
    if found.failures:
        raise typer.Exit(1)


@app.command()
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
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any setting of docs/training.md; repeat it.")
    ] = None,
    control_steps: Annotated[
        int | None, typer.Option(min=1, help="Of random search and beam; by default as many as the agent took.")
    ] = None,
    searched: Annotated[
        int | None, typer.Option(min=1, help="Search on so many of the first videos.", show_default="8; --paper: all")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Agents of so many seeds on the first 4 videos.")] = 3,
    model: Model = "nano",
    device: Device = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train, search and track.")] = 2,
    as_json: Json = False,
) -> None:
    """Compare all trackers, agents and searches on generated videos: takes hours. Resumes by itself."""
    from sam2rl_tracker.experiments.benchmark import DEFAULT, PAPER, run_benchmark
    from sam2rl_tracker.report.standings import to_markdown
    from sam2rl_tracker.training.settings import parse_settings

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
    )
    with console.status("Starting") as status:

        def say(text: str) -> None:
            status.update(escape(text))
            if not console.is_terminal:  # a log has no status line
                _say(text)

        document = run_benchmark(folder, plan, jobs, device, say)
    if as_json:
        _print_json(document)
    else:
        print(to_markdown(document))
    _say(f"{folder / 'benchmark.md'}, benchmark.csv and benchmark.json; the page: sam2rl report {folder}")


@app.command()
def compare(
    folder: Folder,
    sequence: Annotated[
        str | None, typer.Option(help="By default, as for what else is not given, where trackers differ most.")
    ] = None,
    trackers: Annotated[
        list[str] | None, typer.Option(help="With results; repeat it. By default the two that differ most.")
    ] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="This one of the sequence's objects.")] = None,
    out: Annotated[Path | None, typer.Option(help="The .mp4; by default SEQUENCE_OBJECT-compare.mp4 there.")] = None,
    fps: Annotated[float, typer.Option(min=1)] = 12,
) -> None:
    """Draw trackers side by side with the truth and the frames in their memory banks: a video, and some stills."""
    from sam2rl_tracker.report.comparison import find_difference, write_comparison

    with console.status("Comparing") as status:
        found = find_difference(folder, sequence, trackers or (), object_id)
        file = out or folder / f"{found.sequence}_{found.object_id}-compare.mp4"
        status.update(f"Drawing {escape(found.sequence)}")
        write_comparison(folder, found.sequence, list(found.qualities), file, fps, found.object_id)
    qualities = ", ".join(f"{name} {value:.3f}" for name, value in found.qualities.items())
    _say(f"{found.sequence}, object {found.object_id}: quality {qualities}; {file}, stills in {file.stem}.png")


# --------------------------------------------------------------------------------------------------------- training


@app.command()
def train(
    folder: Folder,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="Only this object of each sequence.")] = None,
    model: Model = "nano",
    device: Device = None,
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
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any setting of docs/training.md; repeat it.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Repeat it for several; the best agent stays.", show_default="0")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, each training one agent at a time.")] = 1,
    store_mb: Annotated[float, typer.Option(help="Memory of the simulator for what it may compute again.")] = 512,
    as_json: Json = False,
) -> None:
    """Train an agent for every object by PPO, on the ground truth that it will be scored on. Resumes by itself."""
    from sam2rl_tracker.training.ppo import Progress as State
    from sam2rl_tracker.training.ppo import read_progress
    from sam2rl_tracker.training.settings import parse_settings
    from sam2rl_tracker.training.trainer import Task, train_all
    from sam2rl_tracker.vot.clips import objects_of

    given = {"iterations": iterations, "samples": samples, "epochs": epochs, "patience": patience}
    changes = [f"{key}={value}" for key, value in given.items() if value is not None]
    chosen = parse_settings(preset, [*changes, *(settings or [])])
    tasks = [
        Task(folder, name, k, model, device, replace(chosen, seed=one), store_mb=store_mb)
        for name, k in objects_of(folder, sequence or (), object_id)
        for one in (seed if seed else [chosen.seed])
    ]
    results, failures = [], list[dict[str, Any]]()
    told: dict[Task, int] = {}
    begin = f"begins with a beam of {chosen.beam}" if chosen.imitation else ""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        bars = {
            one: progress.add_task(
                escape(f"{one.sequence}:{one.object_id} seed {one.settings.seed}"),
                total=chosen.iterations,
                said="goes on" if read_progress(one.folder) else begin,
            )
            for one in tasks
        }

        def on_iteration(one: Task, state: State) -> None:
            said = (
                f"SAM 2 {state.sam2:.3f}  mean {state.mean:.3f}  agent {state.best_greedy:.3f}  best {state.best:.3f}"
            )
            said += f"  {state.speed:.0f} frames/s  reuse {state.reuse:.0%}"
            progress.update(bars[one], completed=state.iteration, said=said)
            if not console.is_terminal and told.get(one) != state.iteration:  # a log has no bars
                told[one] = state.iteration
                _say(f"{one.sequence}, object {one.object_id}: {state.iteration}/{state.iterations}  {said}")

        try:
            for one, result in train_all(tasks, jobs, on_iteration):
                name = f"{one.sequence}, object {one.object_id}, seed {one.settings.seed}"
                if isinstance(result, Sam2rlError):
                    about = {"sequence": one.sequence, "object": one.object_id, "seed": one.settings.seed}
                    failures.append({**about, "error": str(result)})
                    _say(f"FAILED {name}: {result}", style="red")
                    continue
                results.append(result)
                _say(
                    f"{name}: quality {result['quality']:.3f} on the video it was trained on "
                    f"(SAM 2 {result['sam2_quality']:.3f}, best rollout {result['best_rollout']:.3f}), "
                    f"{result['steps']} steps, {result['seconds']:.0f} s"
                )
        except KeyboardInterrupt:
            _say("Interrupted: what is finished is kept; repeat the command to go on")
            raise
    if as_json:
        _print_json({"agents": results, "failures": failures})
    if failures:
        raise typer.Exit(1)


@app.command()
def search(
    folder: Folder,
    sequence: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
    object_id: Annotated[int | None, typer.Option("--object", help="Only this object of each sequence.")] = None,
    model: Model = "nano",
    device: Device = None,
    budget: Annotated[int, typer.Option(min=1, help="Simulated steps for each search.")] = 4096,
    width: Annotated[int, typer.Option(min=1, help="Of the wide beam that estimates the ceiling.")] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    plots: Annotated[Path | None, typer.Option(help="Folder for a plot per object: return against steps.")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for agents of the best found: see SAM2RL_AGENTS.")] = None,
    as_json: Json = False,
) -> None:
    """What memory control can give: random, greedy and beam search on the ground truth, beside SAM 2 and the agent."""
    from sam2rl_tracker.training.settings import Settings
    from sam2rl_tracker.training.trainer import Task, search_object
    from sam2rl_tracker.vot.clips import objects_of

    if plots:
        try:
            plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Sam2rlError(f"{plots} cannot be written ({error.strerror}): give another folder") from error
    keys = ("sam2", "always", "random", "greedy", "beam", "agent", "ceiling")
    heads = ("SAM 2", "oldest", "random", "greedy", "beam", "agent", "ceiling")
    limits = f"random and beam: at most {budget} steps each; greedy, agent and ceiling: what they took"
    table = Table("Sequence", "", *heads, title=f"Quality, searched {ON_TEST}", caption=limits)
    results, failures = [], list[dict[str, Any]]()
    with console.status("Searching") as status:
        for name, k in objects_of(folder, sequence or (), object_id):
            status.update(f"Searching {escape(name)}, object {k}")
            task = Task(folder, name, k, model, device, Settings(seed=seed))
            try:
                results.append(search_object(task, budget, width, plots / f"{name}_{k}.png" if plots else None, save))
            except Sam2rlError as error:
                failures.append({"sequence": name, "object": k, "error": str(error)})
                _say(f"FAILED {name}, object {k}: {error}", style="red")
                continue
            values = [results[-1][key] for key in keys]
            table.add_row(escape(name), str(k), *("-" if value is None else f"{value:.3f}" for value in values))
    if as_json:
        _print_json({"sequences": results, "failures": failures})
    else:
        Console().print(table)
    if failures:
        raise typer.Exit(1)


@agent_app.command("list")
def agent_list(folder: Folder) -> None:
    """The agents of a workspace. Qualities are on the ground truth that the agents were trained on."""
    from sam2rl_tracker.agents.files import load_agent
    from sam2rl_tracker.agents.store import agents_folder
    from sam2rl_tracker.vot.workspace import open_workspace

    heads = ("Agent", "Sequence", "Object", "Model", "By", "Quality", "SAM 2's", "Steps")
    table = Table(title=f"Trained or searched {ON_TEST}")
    for head in heads:
        table.add_column(head, overflow="fold")
    damaged = []
    files = sorted(agents_folder(open_workspace(folder).folder).glob("*.safetensors"))
    if not files:
        raise Sam2rlError(f"{agents_folder(folder)} has no agents: `sam2rl train {folder}` makes them")
    for path in files:
        try:
            agent = load_agent(path)
        except Sam2rlError as error:
            damaged.append(str(error))
            continue
        keys = ("sequence", "object", "model", "method", "quality", "sam2_quality", "steps")
        values = [agent.record.get(key, "-") for key in keys]
        cells = (f"{value:.3f}" if isinstance(value, float) else escape(str(value)) for value in values)
        table.add_row(escape(agent.fingerprint), *cells)
    Console().print(table)
    for text in damaged:
        _say(text, style="red")
    if damaged:
        raise typer.Exit(1)


@agent_app.command("info")
def agent_info(file: Path) -> None:
    """All that an agent file says about itself, as JSON."""
    from sam2rl_tracker.agents.files import load_agent

    agent = load_agent(file)
    shapes = {name: list(tensor.shape) for name, tensor in agent.tensors.items()}
    about = {"fingerprint": agent.fingerprint, "frames": agent.frames, "capacity": agent.capacity, "tensors": shapes}
    _print_json({**agent.record, **about})


# ----------------------------------------------------------------------------------------------------------- models


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
    """Train the packaged model from nothing on generated scenes. Resumes by itself."""
    from sam2rl_tracker.nano.train import RECIPES, train_nano
    from sam2rl_tracker.nano.train import Progress as State
    from sam2rl_tracker.report.nano_curves import plot_training

    recipe = replace(RECIPES["quick" if quick else "nano"], seed=seed)
    if steps:
        recipe = replace(recipe, steps=steps)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=recipe.steps, said="")

        def on_step(state: State) -> None:
            said = "  ".join(f"{name} {value:.3f}" for name, value in state.losses.items())
            progress.update(bar, completed=state.step, said=f"{said}  quality {state.validation:.3f}")

        state = train_nano(out, recipe, device, on_step)
    plot_training(out, out / "curves.png")
    _say(
        f"{state.step} steps in {state.seconds:.0f} s, validation quality {state.validation:.3f}: "
        f"use it by --model {out}; curves in {out / 'curves.png'}"
    )


@model_app.command("score")
def model_score(
    name: Annotated[str, typer.Argument(help="As --model elsewhere.")] = "nano",
    count: Annotated[int, typer.Option(min=1, help="Scenes.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of the first scene.")] = 7_000_000,
    frames: Annotated[int, typer.Option(min=3)] = 80,
    objects: Annotated[int, typer.Option(min=1, max=8, help="Tracked at once in every scene.")] = 1,
    preset: Annotated[str, typer.Option(help="easy, default, busy or hard.")] = "default",
    policy: Annotated[list[str] | None, typer.Option(help="Repeat it; by default the heuristics and controls.")] = None,
    beam: Annotated[list[int] | None, typer.Option(min=1, help="Width of a search for the best; repeat it.")] = None,
    jobs: Annotated[int, typer.Option(min=1)] = 1,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """How well a model tracks unseen generated scenes, with several memory policies."""
    from sam2rl_tracker.experiments.score import POLICIES, Scenes, score_model

    scenes = Scenes(count, seed, frames, objects, preset)
    with console.status("Tracking") as status:
        result = score_model(name, device, scenes, policy or POLICIES, beam or (), jobs, report=status.update)
    if as_json:
        _print_json(result)
        return
    table = Table("Policy", "Quality", "95 % interval", "Accuracy", "Robustness", "Absent answered empty", "Merged")
    for key, row in result["policies"].items():
        cells = [f"{row['quality']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}", f"{row['accuracy']:.3f}"]
        cells += ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("robustness", "absent", "merged")]
        table.add_row(escape(key) + " (sees the truth)" * row["sees_truth"], *cells)
    Console().print(table)
    _say(", ".join(f"{key} {value}" for key, value in result["settings"].items()))


@model_app.command("fetch")
def model_fetch(name: str) -> None:
    """Download a model from the Hugging Face hub into the local cache."""
    from sam2rl_tracker.engine import resolve_model

    files = resolve_model(name)
    _say(f"{name} ({files.source}): {files.weights}")


# ------------------------------------------------------------------------------------------------------- benchmarks


@bench_app.command("simulate")
def bench_simulate(
    frames: Annotated[int, typer.Option(min=3)] = 80,
    rows: Annotated[int, typer.Option(min=1, help="States computed in one batch.")] = 32,
    iterations: Annotated[int, typer.Option(min=1, help="Of the training that memoisation is measured on.")] = 18,
    samples: Annotated[int, typer.Option(min=1)] = 4096,
    model: Model = "nano",
    device: Device = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Simulated frames per second: stock SAM 2 rollout by rollout, batched, and memoised over a training."""
    from sam2rl_tracker.experiments.simulation_speed import bench_simulate as run

    with console.status("Measuring") as status:
        result = run(model, device, frames, rows, iterations, samples, seed, report=status.update)
    if as_json:
        _print_json(result)
        return
    numbers = result["simulate"]
    table = Table("", "frames/s", "ratio to stock")
    table.add_row("stock, rollout by rollout", f"{numbers['stock_fps']:g}", "1")
    table.add_row("batched", f"{numbers['batched_fps']:g}", f"{numbers['ratio_batched']:g}")
    table.add_row("memoised, over a training", f"{numbers['memoised_fps']:g}", f"{numbers['ratio_memoised']:g}")
    Console().print(table)
    _say(f"reuse {numbers['reuse_rate']:.1%}, learning {numbers['learning_share']:.0%} of the training's time")
    _say(", ".join(f"{key} {value}" for key, value in result["settings"].items()))


@bench_app.command("predict")
def bench_predict(
    rows: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size; repeat it.", show_default="1, 4, 16, 64")
    ] = None,
    model: Model = "nano",
    device: Device = None,
    random_weights: Annotated[bool, typer.Option(help="A named model's real size, without its download.")] = False,
    input_size: Annotated[int | None, typer.Option(help="Another one than the named model's, in pixels.")] = None,
    bfloat16: Annotated[bool, typer.Option("--bfloat16", help="Instead of float32.")] = False,
    as_json: Json = False,
) -> None:
    """What a simulated step costs under a full bank, by batch size, beside the machine's product of matrices."""
    from sam2rl_tracker.experiments.simulation_speed import bench_predict as run

    with console.status("Measuring") as status:
        result = run(model, device, random_weights, input_size, rows or (1, 4, 16, 64), bfloat16, status.update)
    if as_json:
        _print_json(result)
        return
    table = Table("Rows", "frames/s", "TFLOP/s", "of the ceiling", "peak, MB")
    for line in result["predict"]:
        share = line["tflops"] / result["ceiling_tflops"]
        peak = "-" if line["peak_mb"] is None else str(line["peak_mb"])
        table.add_row(str(line["rows"]), f"{line['fps']:g}", f"{line['tflops']:g}", f"{share:.0%}", peak)
    Console().print(table)
    _say(f"{result['tflop_per_frame']:g} TFLOP a frame; ceiling {result['ceiling_tflops']:g} TFLOP/s")
    _say(", ".join(f"{key} {value}" for key, value in result["settings"].items()))


@bench_app.command("track")
def bench_track(
    case: Annotated[
        list[str] | None, typer.Option(metavar="OBJECTSxFRAMES", help="Repeat it; by default 1x101, 5x101 and 1x2001.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="As `sam2rl track --policy`; repeat it. By default recency, and all rules on 1x101."),
    ] = None,
    model: Model = "nano",
    device: Device = None,
    random_weights: Annotated[bool, typer.Option(help="A named model's real size, without its download.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Speed and growth of memory beside stock SAM2VideoPredictor, and what policies cost, in turns in one run."""
    from sam2rl_tracker.experiments.speed import Case
    from sam2rl_tracker.experiments.speed import bench_track as run

    cases = [Case.parse(text) for text in case or []]
    with console.status("Measuring") as status:
        result = run(cases, model, policy or (), device, random_weights, seed, report=status.update)
    if as_json:
        _print_json(result)
        return
    heads = ("Case", "fps", "stock", "ratio", "cost", "+ MB", "stock", "late")
    table = Table(Column("Policy", overflow="fold"), *(Column(head, no_wrap=True) for head in heads))
    for line in result["track"]:
        keys = ("fps", "stock_fps", "ratio", "cost", "growth_mb", "stock_growth_mb", "late_cost")
        cells = ["-" if line[key] is None else f"{line[key]:g}" for key in keys]
        table.add_row(escape(line["policy"]), f"{line['objects']}x{line['frames']}", *cells)
    table.caption = "cost: time over recency's; + MB, late: growth of memory and of a frame's time after frame 200"
    Console().print(table)
    _say(", ".join(f"{key} {value}" for key, value in result["settings"].items()))
