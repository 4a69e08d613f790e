"""The plot of how trackers treat their memories."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sam2rl_tracker.evaluation.memory import memory_use
from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.report.style import Styles, draw_grid, new_figure, number_log_axis
from sam2rl_tracker.report.words import legend_label


def draw_memory(results: Results, styles: Styles) -> Figure | None:
    """Ages of memories, and the frames that were never used; None where no tracker tells."""
    found = {name: use for name in results.trackers if (use := memory_use(results.objects, name))}
    if not found:
        return None
    figure = new_figure(8.2, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for k, (name, use) in enumerate(found.items()):
        ages, counts = np.unique(use.ages, return_counts=True)
        style = styles[name]
        marked: Any = {"marker": style.marker, "markevery": (k, 8), "markersize": 4}
        share = 100 * np.cumsum(counts) / counts.sum()
        left.plot(ages, share, label=legend_label(name, results), **style.line(), **marked)
    left.set(xscale="log", xlabel="age, frames (logarithmic)", ylabel="memories at most this old, %", ylim=(0, 103))
    number_log_axis(left.xaxis)
    draw_grid(left)
    names = list(found)[::-1]
    shares = [100 * found[name].unused for name in names]
    right.barh(range(len(names)), shares, color=[styles[name].color for name in names])
    for y, share in enumerate(shares):
        right.text(share + 1, y, f"{share:.0f}", va="center")
    right.set_yticks(range(len(names)), [legend_label(name, results) for name in names])
    right.set(xlabel="frames never used as a memory, %", xlim=(0, max([10.0, *shares]) * 1.2))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
