"""How a training of nano went, as a picture: losses, and quality on unseen scenes, over its steps."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.style import BLUE, GREEN, ORANGE, Stroke, draw_grid, house_style, new_figure, save

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
    try:
        with (folder / "progress.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise Sam2rlError(
            f"{folder} has no progress.csv ({error.strerror}): `sam2rl model train-nano` writes it."
        ) from error
    figure = new_figure(12, 3.6)
    *tasks, last = figure.subplots(1, 3)
    for axes, (task, what) in zip(tasks, _TASKS.items(), strict=True):
        for loss, stroke in _LOSSES.items():
            _draw(axes, rows, f"{task}_{loss}", label=loss, **stroke.line())
        axes.set(title=what, ylabel="loss", yscale="log")
        if axes.lines:
            axes.legend()
    _draw(last, rows, "validation", color=BLUE, marker="o", markersize=3)
    last.set(title="unseen scenes, recency rule", ylabel="Quality", ylim=(0, None))
    for axes in figure.axes:
        axes.set(xlabel="step", xlim=(0, int(rows[-1]["step"]) if rows else 1))
        draw_grid(axes)
    return save(figure, path)


def _draw(axes: Axes, rows: Sequence[dict[str, str]], name: str, **style: Any) -> None:
    points: list[tuple[int, float]] = []
    for row in rows:
        # Validations are far apart: between them the table repeats the last one.
        if row[name] and not (name == "validation" and points and points[-1][1] == float(row[name])):
            points.append((int(row["step"]), float(row[name])))
    if points:
        axes.plot(*zip(*points, strict=True), **style)
