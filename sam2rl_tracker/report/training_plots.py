"""Plots of trainings and searches over simulated steps."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from sam2rl_tracker.evaluation.curves import Search, Training, interpolated_mean, search_gains
from sam2rl_tracker.evaluation.methods import AGENTS
from sam2rl_tracker.report.style import (
    GRAY,
    INK,
    SEARCH_STROKES,
    Stroke,
    Styles,
    draw_grid,
    new_figure,
    number_log_axis,
)

_COLUMNS = {  # of progress.csv -> (label, factor)
    "mean": ("mean return of the rollouts, %", 100),
    "best_greedy": ("return of the best policy, %", 100),
    "entropy": ("entropy of the policy, nats", 1),
    "reuse": ("states reused, %", 100),
    "frames_per_second": ("simulated frames/s", 1),
}
_MOST_MARKED = 8  # trainings whose iterations are marked, at most


def draw_training(trainings: Sequence[Training], styles: Styles) -> Figure | None:
    """A panel for each column that a training recorded; None where there is none."""
    shown = [key for key in _COLUMNS if any(key in training.columns for training in trainings)]
    if not shown:
        return None
    rows = -(-len(shown) // 2)
    figure = new_figure(8.2, 2.4 * rows)
    panels = figure.subplots(rows, 2, sharex=True, squeeze=False)
    color = styles[AGENTS].color if AGENTS in styles else GRAY
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for key, axes in zip(shown, panels.flat, strict=False):
        label, factor = _COLUMNS[key]
        curves = [
            [(steps, factor * value) for steps, value in training.curve(key)]
            for training in trainings
            if key in training.columns
        ]
        marker = "." if len(curves) <= _MOST_MARKED else None
        for curve in curves:
            axes.plot(*zip(*curve, strict=True), color=color, linewidth=0.8, alpha=0.55, marker=marker)
        if mean := interpolated_mean(curves):
            axes.plot(*zip(*mean, strict=True), color=color, linewidth=2.4)
        axes.set_ylabel(label)
        draw_grid(axes)
    for axes in panels.flat[max(0, len(shown) - 2) : len(shown)]:
        axes.set_xlabel("simulated steps")
        axes.tick_params(labelbottom=True)
    return figure


def draw_searches(searches: Sequence[Search], trainings: Sequence[Training], styles: Styles) -> Figure | None:
    """Mean gain over SAM 2 of searches and agents; None where nothing was searched."""
    curves = search_gains(searches, trainings)
    if not curves:
        return None
    figure = new_figure(8.2, 3.4)
    axes = figure.add_subplot()
    agents = Stroke(styles[AGENTS].color if AGENTS in styles else INK, "-")
    for name, curve in curves.items():
        steps, gains = zip(*curve, strict=True)
        stroke = SEARCH_STROKES.get(name, agents)
        percent = [100 * gain for gain in gains]
        axes.step(steps, percent, where="post", color=stroke.color, linestyle=stroke.dash, label=name)
        axes.plot(steps[-1], percent[-1], "o", color=stroke.color)
    axes.axhline(0, color=GRAY, linewidth=0.8)
    axes.set(xscale="log", xlabel="simulated steps (logarithmic)", ylabel="Quality less SAM 2's, points")
    number_log_axis(axes.xaxis)
    draw_grid(axes)
    axes.legend()
    return figure
