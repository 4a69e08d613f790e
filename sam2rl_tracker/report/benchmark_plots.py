"""What came of a benchmark, in two pictures: gains with their intervals, and gains against simulated steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument, Method
from sam2rl_tracker.evaluation.methods import AGENTS, BEST, REFERENCE, title
from sam2rl_tracker.report.benchmark_tables import SEARCHED, method_name
from sam2rl_tracker.report.style import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    SEARCH_STROKES,
    Stroke,
    draw_grid,
    house_style,
    new_figure,
    number_log_axis,
    save,
)

_COLORS = {False: BLUE, True: ORANGE}  # whether a method sees the truth that it is scored on
_MARKERS = {False: "o", True: "D"}
_NOTES = {False: "does not see the ground truth", True: "sees the ground truth it is scored on"}
_DOTS: Any = {"s": 12, "color": GRAY, "alpha": 0.6, "linewidths": 0}
_STROKES = {AGENTS: Stroke(ORANGE, "-"), **SEARCH_STROKES}


@house_style()
def plot_gains(document: BenchmarkDocument, path: Path) -> Path:
    """Draw every method's mean difference to SAM 2 with its interval, the best on top, and each video's as a dot.

    What searches found, if there were any, has a panel of its own, as only the first videos were searched; the agents
    there stand beside.

    Args:
        document: A benchmark's.
        path: A .png, .pdf or .svg to write.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    methods, rows = document.methods, list(document.videos.values())
    spans = {key: [row.gain, row.low, row.high] for key, row in methods.items() if key != REFERENCE}
    every = {key: span for key, span in spans.items() if key not in SEARCHED}
    searched: dict[str, Sequence[Any]] = {}
    if document.claims is not None:
        searched = {AGENTS: document.claims.searched_gain, **{key: spans[key] for key in SEARCHED if key in spans}}
    heights = [len(some) for some in (every, searched) if some]
    figure = new_figure(8, 0.42 * sum(heights) + 2.4)
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    _draw_gains(panels[0], every, rows, f"{len(rows)} videos", methods)
    if searched:
        some = [row for row in rows if BEST in row]
        _draw_gains(panels[1], searched, some, f"the {len(some)} videos that were searched", methods)
    panels[-1].set_xlabel("Quality less SAM 2's, percentage points: mean over videos, 95 % interval, each video")
    for sees in (False, True):
        panels[0].plot([], [], _MARKERS[sees], color=_COLORS[sees], label=_NOTES[sees])
    figure.legend(loc="outside upper center", ncols=2)
    return save(figure, path)


def _draw_gains(
    axes: Axes,
    spans: Mapping[str, Sequence[Any]],
    videos: Sequence[Mapping[str, float]],
    title: str,
    methods: Mapping[str, Method],
) -> None:
    order = sorted(spans, key=lambda key: spans[key][0])
    for y, key in enumerate(order):
        gain, low, high = spans[key]
        axes.scatter([100 * (row[key] - row[REFERENCE]) for row in videos], [y] * len(videos), **_DOTS)
        error = None if low is None else [[100 * (gain - low)], [100 * (high - gain)]]
        sees = methods[key].sees_truth
        axes.errorbar(100 * gain, y, xerr=error, color=_COLORS[sees], marker=_MARKERS[sees], capsize=4)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(order)), [method_name(key, methods[key]) for key in order])
    axes.set_title(title)


@house_style()
def plot_steps(document: BenchmarkDocument, path: Path) -> Path:
    """Draw the mean gain of agents and searches, on the searched videos, against the simulated steps that they took.

    Args:
        document: A benchmark's, with agents.
        path: A .png, .pdf or .svg to write.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    claims = document.claims
    assert claims is not None
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    for key in [key for key in _STROKES if key in document.curves]:
        stroke, (steps, gains) = _STROKES[key], zip(*document.curves[key], strict=True)
        percent = [100 * gain for gain in gains]
        name = method_name(key, document.methods[key])
        axes.step(steps, percent, where="post", label=name, **stroke.line(2))
        axes.plot(steps[-1], percent[-1], "o", color=stroke.color)
    for rule, dash in ((claims.heuristics, (0, (1, 3))), (claims.baselines, (0, (5, 5)))):
        if rule is not None:
            name, rows = rule.best, [row for row in document.videos.values() if BEST in row]
            gain = 100 * sum(row[name] - row[REFERENCE] for row in rows) / len(rows)
            axes.axhline(gain, color=GRAY, linewidth=1, linestyle=dash, label=f"{title(name)}, no steps")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(
        xscale="log",
        xlabel=f"simulated steps for each video (mean of {claims.searched} videos)",
        ylabel="simulated Quality less SAM 2's, percentage points",
    )
    number_log_axis(axes.xaxis)
    axes.set_title("*: found on the ground truth that it is scored on")
    axes.legend()
    draw_grid(axes)
    return save(figure, path)
