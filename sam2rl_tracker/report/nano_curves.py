"""How a training of nano went, as a picture: losses, and quality on unseen scenes, over its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.runs.folder import PROGRESS, ProgressTable, read_progress

# Okabe-Ito, with dashes so that nothing depends on colour alone.
_LOSSES = {"masks": ("#0072B2", "-"), "ious": ("#D55E00", "--"), "scores": ("#009E73", ":")}
_TASKS = {"prompt": "single images, from a point or a box", "clip": "clips, from memory"}


def plot_training(folder: Path, path: Path) -> Path:
    """Draw `progress.csv` of a training's folder.

    Args:
        path: a .png, .pdf or .svg.

    Raises:
        Sam2rlError: there is no such table yet, or the picture cannot be written.
    """
    if not (folder / PROGRESS).is_file():
        raise Sam2rlError(f"{folder} has no {PROGRESS}: `sam2rl model train-nano` writes it.")
    table = read_progress(folder / PROGRESS, "step")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    tasks, last = figure.subplots(1, 3)[:2], figure.axes[2]
    for axes, (task, what) in zip(tasks, _TASKS.items(), strict=True):
        for loss, (color, line) in _LOSSES.items():
            _draw(axes, table, f"{task}_{loss}", color=color, linestyle=line, label=loss)
        axes.set(title=what, ylabel="loss", yscale="log")
        if axes.lines:
            axes.legend(frameon=False)
    _draw(last, table, "validation", color="#0072B2", marker="o", markersize=3)
    last.set(title="unseen scenes, recency rule", ylabel="Quality", ylim=(0, None))
    for axes in figure.axes:
        axes.set_xlabel("step")
        axes.set_xlim(0, table.columns["step"][-1] if len(table) else 1)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return path


def _draw(axes: Axes, table: ProgressTable, name: str, **style: Any) -> None:
    if name not in table.columns:
        return
    steps, values = table.columns["step"], table.columns[name]
    drawn = ~np.isnan(values)
    if name == "validation":  # they are far apart: between them the table repeats the last one
        drawn[1:] &= values[1:] != values[:-1]
    if drawn.any():
        axes.plot(steps[drawn], values[drawn], **style)
