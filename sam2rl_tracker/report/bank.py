"""The memory bank over time, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sam2rl_tracker.media.files import StrPath, atomic_path


def plot_banks(traces: Mapping[str, Sequence[Mapping[str, Any]]], path: StrPath, title: str) -> Path:
    """Draw which frames each tracker attended to, frame by frame.

    Args:
        traces: {tracker: lines of its trace for one object, as `Tracker.trace` gives them}.
        path: a .png.

    Raises:
        Sam2rlError: the file cannot be written.
    """
    figure, axes = plt.subplots(
        1, len(traces), figsize=(4 * len(traces), 4), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, lines) in zip(axes[0], traces.items(), strict=True):
        dots = [(line["frame"], frame) for line in lines for frame, _ in line["memories"]]
        axis.scatter(*zip(*dots, strict=True), s=4, marker="s", color="#0072B2", linewidths=0)
        absent = [line["frame"] for line in lines if line["area"] == 0]
        axis.scatter(absent, [-2] * len(absent), s=4, marker="s", color="#D55E00", linewidths=0)
        axis.set_title(name)
        axis.set_xlabel("frame")
    axes[0][0].set_ylabel("frames in the bank (orange: said to be absent)")
    figure.suptitle(title)
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
    return path


def places(banks: Sequence[Sequence[int]], prompted: int) -> list[list[int | None]]:
    """Give every frame of a bank a place that it keeps as long as it is there.

    Args:
        banks: For each prediction the frames it attended to.
        prompted: The frame that has the first place, and no other.

    Returns:
        For each prediction the frame in each place, None = free; a frame that comes takes the first free place.
    """
    row: list[int | None] = [None]
    rows = []
    for bank in banks:
        row = [prompted if prompted in bank else None, *(frame if frame in bank else None for frame in row[1:])]
        for frame in sorted({*bank} - {prompted, *row}):
            free = next((k for k in range(1, len(row)) if row[k] is None), None)
            if free is None:
                row.append(frame)
            else:
                row[free] = frame
        rows.append(row)
    return rows
