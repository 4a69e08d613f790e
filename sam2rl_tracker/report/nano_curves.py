"""How a training of nano went, as a picture: losses, and quality on unseen scenes, over its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    Stroke,
    draw_grid,
    house_style,
    new_figure,
    number_log_axis,
    save,
)
from sam2rl_tracker.runs.folder import PROGRESS, ProgressTable, read_progress

_LOSSES = {"masks": Stroke(BLUE, "-"), "ious": Stroke(ORANGE, "--"), "scores": Stroke(GREEN, ":")}
_TASKS = {"prompt": "single images, from a point or a box", "clip": "clips, from memory"}


@house_style()
def plot_training(folder: Path, path: Path) -> Path:
    """Draw `progress.csv` of a training's folder.

    Args:
        folder: Of the training.
        path: A .png, .pdf or .svg to write.

    Raises:
        Sam2rlError: There is no such table yet, or the picture cannot be written.
    """
    if not (folder / PROGRESS).is_file():
        raise Sam2rlError(f"{folder} has no {PROGRESS}: `sam2rl model train-nano` writes it.")
    table = read_progress(folder / PROGRESS, "step")
    figure = new_figure(12, 3.6)
    *tasks, last = figure.subplots(1, 3)
    for axes, (task, what) in zip(tasks, _TASKS.items(), strict=True):
        for loss, stroke in _LOSSES.items():
            _draw(axes, table, f"{task}_{loss}", label=loss, **stroke.line())
        axes.set(title=what, ylabel="loss", yscale="log")
        number_log_axis(axes.yaxis)
        if axes.lines:
            axes.legend()
    _draw(last, table, "validation", color=BLUE, marker="o", markersize=3)
    last.set(title="unseen scenes, recency rule", ylabel="Quality", ylim=(0, None))
    for axes in figure.axes:
        axes.set(xlabel="step", xlim=(0, table.columns["step"][-1] if len(table) else 1))
        draw_grid(axes)
    return save(figure, path)


def _draw(axes: Axes, table: ProgressTable, name: str, **style: Any) -> None:
    if name not in table.columns:
        return
    steps, values = table.columns["step"], table.columns[name]
    drawn = ~np.isnan(values)
    if name == "validation":  # they are far apart: between them the table repeats the last one
        drawn[1:] &= values[1:] != values[:-1]
    if drawn.any():
        axes.plot(steps[drawn], values[drawn], **style)
