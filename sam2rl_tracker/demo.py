"""The main job, end to end, on generated videos: what a newcomer runs first."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report import collect, render
from sam2rl_tracker.report.comparison import write_comparison
from sam2rl_tracker.report.table import Report
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import generate

TRACKERS = ("SAM2", "SAMURAI", "DAM4SAM")


def run_demo(out: Path, console: Console, count: int = 5, frames: int = 60, seed: int = 930001) -> Report:
    """Generate sequences, evaluate the registered trackers by the VOT toolkit, print the table, draw a comparison.

    Args:
        out: a new folder; it becomes a VOT workspace.

    Raises:
        Sam2rlError: the folder is not new, or a tracker failed.
    """
    started = time.perf_counter()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Sam2rlError(f"{out} is not empty, expected a new folder for the demo: give another one with --out")
    console.print(f"[bold]1/4[/] Generating {count} sequences of {frames} frames")
    generate(out, count, seed, frames)
    console.print(f"[bold]2/4[/] vot evaluate --workspace {escape(str(out))} {' '.join(TRACKERS)}")
    failures = evaluate(out, TRACKERS)
    if failures:
        raise Sam2rlError("; ".join(str(failure) for failure in failures))
    console.print("[bold]3/4[/] vot analysis")
    report = collect(out)
    render(report, console)
    console.print("[bold]4/4[/] Drawing where the trackers differ most")
    sequence = _most_different(report)
    video = write_comparison(out, sequence, list(TRACKERS), out / f"{sequence}.mp4")
    print_plainly = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    print_plainly(
        f"Done in {time.perf_counter() - started:.0f} s. In {out}:\n"
        f"  {video.name}: {sequence}, true mask and trackers side by side (and {video.stem}.png, some of its frames)\n"
        f"  results/: what the trackers said; sequences/: the videos and their truth\n"
        f"Next: sam2rl report {out}, or vot report --workspace {out} --format html --name demo"
    )
    return report


def _most_different(report: Report) -> str:
    """The sequence whose qualities spread most."""

    def spread(name: str) -> float:
        return float(np.ptp([scores.quality for scores in report.analysis.sequences[name].values()]))

    return max(report.analysis.sequences, key=spread)
