"""How a training of nano went, as a picture: losses, and quality on unseen scenes, over its steps."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import atomic_path

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
    try:
        with (folder / "progress.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise Sam2rlError(
            f"{folder} has no progress.csv ({error.strerror}): `sam2rl model train-nano` writes it"
        ) from error
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    tasks, last = figure.subplots(1, 3)[:2], figure.axes[2]
    for axes, (task, what) in zip(tasks, _TASKS.items(), strict=True):
        for loss, (color, line) in _LOSSES.items():
            _draw(axes, rows, f"{task}_{loss}", color=color, linestyle=line, label=loss)
        axes.set(title=what, ylabel="loss", yscale="log")
        if axes.lines:
            axes.legend(frameon=False)
    _draw(last, rows, "validation", color="#0072B2", marker="o", markersize=3)
    last.set(title="unseen scenes, recency rule", ylabel="Quality", ylim=(0, None))
    for axes in figure.axes:
        axes.set_xlabel("step")
        axes.set_xlim(0, int(rows[-1]["step"]) if rows else 1)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return path


def _draw(axes: Axes, rows: Sequence[dict[str, str]], name: str, **style: Any) -> None:
    points: list[tuple[int, float]] = []
    for row in rows:
        # Validations are far apart: between them the table repeats the last one.
        if row[name] and not (name == "validation" and points and points[-1][1] == float(row[name])):
            points.append((int(row["step"]), float(row[name])))
    if points:
        axes.plot(*zip(*points, strict=True), **style)
