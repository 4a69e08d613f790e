"""Plots of what was measured: measures, accuracy and robustness, the quality plot, gains by sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sam2rl_tracker.evaluation.measures import LOWER_IS_BETTER, MEASURES
from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.report.style import GRAY, INK, Styles, draw_grid, new_figure
from sam2rl_tracker.report.words import legend_label, points

_MOST_NAMES = 12  # sequences whose names fit under a plot
_TITLES = {"nre": "NRE ↓", "dre": "DRE ↓", "adq": "ADQ"}


def draw_measures(results: Results) -> Figure:
    """All measures of all trackers as a table of shades."""
    rows = results.trackers
    figure = new_figure(7.6, 0.6 + 0.36 * len(rows))
    axes = figure.add_subplot()
    values = np.array(
        [[np.nan if (v := getattr(results.overall[row], key)) is None else 100 * v for key in MEASURES] for row in rows]
    )  # [trackers, measures]
    signs = np.array([-1 if key in LOWER_IS_BETTER else 1 for key in MEASURES])
    good = values * signs
    with np.errstate(invalid="ignore"):
        low, high = (np.where(np.isfinite(good), good, bad) for bad in (np.inf, -np.inf))
        span = np.maximum(high.max(axis=0) - low.min(axis=0), 1e-9)
        shade = np.where(np.isfinite(good), (good - low.min(axis=0)) / span, np.nan)  # 1 = the best of its column
    axes.imshow(0.08 + 0.72 * shade, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.1f}"
        best = bool(shade[y, x] > 1 - 1e-6)
        color = "white" if shade[y, x] > 0.7 else INK if np.isnan(value) else "#10151b"
        axes.text(x, y, text, ha="center", va="center", color=color, weight="bold" if best else "normal")
    axes.set_xticks(range(len(MEASURES)), [_TITLES.get(key, key.capitalize()) for key in MEASURES])
    axes.set_yticks(range(len(rows)), [legend_label(row, results) for row in rows])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def draw_accuracy_robustness(results: Results, styles: Styles) -> Figure | None:
    """A point for each tracker; None where robustness is defined for none."""
    figure = new_figure(6.2, 5.0)
    axes = figure.add_subplot()
    for name in results.trackers:
        mean = results.overall[name]
        if mean.robustness is None:
            continue
        x, y = 100 * mean.robustness, 100 * mean.accuracy
        across = _error(x, results.interval(name, "robustness"))
        along = _error(y, results.interval(name, "accuracy"))
        style = styles[name]
        axes.errorbar(x, y, along, across, color=style.color, linewidth=0.8, alpha=0.5)
        marked: Any = {"marker": style.marker, "markersize": 11 if style.marker == "*" else 8, "markeredgecolor": INK}
        axes.plot(x, y, linestyle="", color=style.color, label=legend_label(name, results), **marked)
    if not axes.lines:
        return None
    axes.set(xlabel="robustness, %", ylabel="accuracy, %")
    draw_grid(axes)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _error(mean: float, interval: tuple[float, float] | None) -> list[list[float]] | None:
    """How far an interval of fractions reaches below and above a mean in %; None where there is none."""
    if interval is None:
        return None
    low, high = (100 * value for value in interval)
    return [[max(0.0, mean - low)], [max(0.0, high - mean)]]


def draw_quality_plot(results: Results, styles: Styles) -> Figure:
    """Share of frames with an overlap above a threshold, over the threshold."""
    figure = new_figure(6.2, 5.0)
    axes = figure.add_subplot()
    thresholds = np.linspace(0, 1, 101)
    for k, name in enumerate(results.trackers):
        style = styles[name]
        label = f"{legend_label(name, results)}: {100 * results.overall[name].quality:.1f}"
        marked: Any = {"marker": style.marker, "markevery": (3 * k, 20), "markersize": 5}
        axes.plot(thresholds, 100 * results.success(name, thresholds), label=label, **style.line(), **marked)
    axes.set(xlabel="threshold of IoU", ylabel="frames above it, %", xlim=(0, 1), ylim=(0, 100))
    draw_grid(axes)
    figure.legend(loc="outside lower center", ncols=2, title="area = quality, %")
    return figure


def draw_differences(results: Results, styles: Styles) -> Figure | None:
    """Gains over the baseline by sequence, a panel for each tracker; None where there is nothing to compare."""
    others = [name for name in results.trackers if name != results.base]
    if results.base is None or not others:
        return None
    columns = min(3, len(others))
    lines = -(-len(others) // columns)
    few = len(results.by_sequence) <= _MOST_NAMES
    figure = new_figure(2.7 * columns + 0.6, (2.6 if few else 2.1) * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(others) :]:
        axes.set_visible(False)
    for name, axes in zip(others, panels.flat, strict=False):
        gains = sorted(results.gains(name).items(), key=lambda item: item[1])
        values = [100 * value for _, value in gains]
        axes.bar(range(len(values)), values, color=styles[name].color, width=0.8 if few else 1.0)
        axes.axhline(0, color=INK, linewidth=0.8)
        difference = results.differences[name]["quality"]
        axes.axhline(100 * difference.mean, color=INK, linewidth=1, linestyle="--")
        if difference.interval:
            axes.axhspan(*(100 * value for value in difference.interval), color=GRAY, alpha=0.2, linewidth=0)
        axes.set_title(f"{legend_label(name, results)}: {points(difference.mean)}")
        axes.set_xticks(range(len(values)) if few else [])
        if few:
            axes.set_xticklabels([key for key, _ in gains], rotation=60, ha="right", fontsize=7, rotation_mode="anchor")
    for row in panels:
        row[0].set_ylabel("quality, points")
    if not few:
        figure.supxlabel("sequences, sorted in each panel", fontsize=9)
    return figure
