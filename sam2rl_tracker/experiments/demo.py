"""The main job, end to end, on generated videos: what a newcomer runs first."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from sam2rl_tracker.agents.store import agents_folder
from sam2rl_tracker.errors import Sam2rlError, join_sentences
from sam2rl_tracker.evaluation.evaluate import trace_clip
from sam2rl_tracker.evaluation.methods import AGENTS, REFERENCE
from sam2rl_tracker.report.bank_plot import plot_banks
from sam2rl_tracker.report.comparison import write_comparison
from sam2rl_tracker.report.page import write_page
from sam2rl_tracker.report.table import render
from sam2rl_tracker.report.words import labelled
from sam2rl_tracker.runs.devices import local_executor
from sam2rl_tracker.runs.variables import tracker_environment
from sam2rl_tracker.tracking.tracker import Tracker
from sam2rl_tracker.training.settings import PRESETS, Settings
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.training.trainer import train_all
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.collect import Report, collect
from sam2rl_tracker.vot.results import Failure
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import generate, open_workspace

SHOWN = (REFERENCE, "SAMURAI", "DAM4SAM", AGENTS)  # without the rules that take longest
# Of the scenes from 930001 on, the first four whose object goes away for three frames or more and comes back: where it
# stays in view, hardly anything depends on the memory. Tracks were not looked at for this choice.
SEEDS = (930002, 930004, 930007, 930012)
TRAINING = Settings(iterations=4, samples=1024, patience=2, beam=1, local=1024)


def run_demo(
    out: Path,
    console: Console,
    trackers: Sequence[str] = SHOWN,
    frames: int = 60,
    seeds: Sequence[int] = SEEDS,
    training: Settings = TRAINING,
) -> Report:
    """Generate sequences, train an agent on each, evaluate trackers by the VOT toolkit, show what came of it.

    Args:
        out: A new folder; it becomes a VOT workspace.
        console: Where progress and the table are printed.
        trackers: Registered ones, `REFERENCE` and `AGENTS` among them.
        frames: Of each video.
        seeds: Of the videos.
        training: Settings of the agents' trainings.

    Raises:
        Sam2rlError: The folder is not new, or a training or a tracker failed.
    """
    started = time.perf_counter()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Sam2rlError(f"{out} is not empty, expected a new folder for the demo: give another one with --out.")

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"1/5 Generating {len(seeds)} sequences of {frames} frames")
    names = [name for seed in seeds for name in generate(out, 1, seed, frames)]
    chosen = " ".join(f"--{name} {getattr(training, name)}" for name in ("iterations", "samples", "patience"))
    chosen += f" --set beam={training.beam} --set local={training.local}"
    say(f"2/5 sam2rl train {out} {chosen}")
    _train([Task(out, name, 1, settings=training) for name in names], say)
    say(f"3/5 vot evaluate --workspace {out} {' '.join(trackers)}")
    failures = _evaluate(out, trackers)
    if failures:
        raise Sam2rlError(join_sentences(failures))
    say("4/5 vot analysis")
    report = collect(out)
    render(report, console)
    say("5/5 Drawing where the agent gains most over SAM 2")
    best = _most_gained(report)
    video, picture = _draw(out, best, trackers, report)
    page = write_page(out, report, defaults=PRESETS["default"].as_json())
    say(
        f"Done in {time.perf_counter() - started:.0f} s. In {out}:\n"
        f"  {page.parent.name}/{page.name}: all of this as a page, with plots and frames; open it in a browser\n"
        f"  {video.name}: true mask and trackers side by side on {best} (some frames in {video.stem}.png)\n"
        f"  {picture.name}: the frames in the memory banks of SAM 2 and of the agent\n"
        f"  results/: what the trackers said; agents/: the agents; sequences/: the videos and their truth\n"
        f"Next: sam2rl report {out} makes the page again; vot report --workspace {out} --format html --name demo, "
        "the toolkit's own"
    )
    return report


def _train(tasks: Sequence[Task], say: Callable[[str], None]) -> None:
    """Train an agent for each task.

    Raises:
        Sam2rlError: A training failed.
    """
    for outcome in train_all(tasks, local_executor(_jobs(len(tasks)))):
        task, result = outcome.task, outcome.result
        if isinstance(result, Sam2rlError):
            raise Sam2rlError(f"{task.sequence}: {result} Start again with a new folder.")
        how = ", whose own rule is the agent" * result.fallback
        say(f"    {task.sequence}: quality {result.quality:.3f} (SAM 2 {result.sam2_quality:.3f}{how})")


def _evaluate(out: Path, trackers: Sequence[str]) -> list[Failure]:
    """As many trackers side by side as there are cores: most of their time goes into starting, which one core does."""
    jobs = _jobs(len(trackers))
    threads = max((os.cpu_count() or 1) // jobs, 1) if jobs > 1 else None
    environment = tracker_environment("nano", agents=str(agents_folder(out.resolve())), threads=threads)
    return evaluate(out, trackers, environment, jobs)


def _jobs(tasks: int) -> int:
    """How many of some tasks are done side by side."""
    return min(tasks, os.cpu_count() or 1)


def _most_gained(report: Report) -> str:
    """The sequence on which the agent gains most over SAM 2."""
    sequences = report.analysis.sequences

    def gain(name: str) -> float:
        agent, reference = sequences[name][AGENTS].quality, sequences[name][REFERENCE].quality
        return agent - reference if agent is not None and reference is not None else -math.inf

    return max(sequences, key=gain)


def _draw(out: Path, sequence: str, trackers: Sequence[str], report: Report) -> tuple[Path, Path]:
    """The trackers side by side on a sequence, as a video, and the memory banks of SAM 2 and of the agent."""
    video = write_comparison(out, sequence, trackers, out / f"{sequence}.mp4")
    policies = {REFERENCE: "recency", AGENTS: f"sam2rl:agents={agents_folder(out)}"}
    clip = load_clip(open_workspace(out), sequence, 1)
    banks = {
        labelled(name, report.trained, report.namesakes, report.controls): trace_clip(
            Tracker(policy=policy, num_frames=len(clip)), clip
        )
        for name, policy in policies.items()
    }
    return video, plot_banks(banks, out / f"{sequence}-bank.png", f"{sequence}: what the trackers remember")
