"""The memory bank over time, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.report.style import BLUE, GREEN, ORANGE, house_style, new_figure, save
from sam2rl_tracker.tracking.trace import TraceLine

_SQUARE: Any = {"s": 4, "marker": "s", "linewidths": 0}


@house_style()
def plot_banks(traces: Mapping[str, Sequence[TraceLine]], path: StrPath, title: str) -> Path:
    """Draw which frames each tracker attended to, frame by frame. A dashed line is a frame that somebody corrected.

    Args:
        traces: {tracker: its trace of one object}; see `trace_clip`.
        path: A .png, .pdf or .svg to write.
        title: Above the picture.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    figure = new_figure(4 * len(traces), 4)
    panels = figure.subplots(1, len(traces), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, lines) in zip(panels, traces.items(), strict=True):
        dots = [(line.frame, frame) for line in lines for frame, _ in line.memories]
        axes.scatter(*zip(*dots, strict=True), color=BLUE, **_SQUARE)
        absent = [line.frame for line in lines if line.area == 0]
        axes.scatter(absent, [-2] * len(absent), color=ORANGE, **_SQUARE)
        for line in lines:
            if line.prompt == "correction":
                axes.axvline(line.frame, color=GREEN, linewidth=1, linestyle="--", label="corrected", zorder=0)
        axes.set(title=name, xlabel="frame")
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            axes.legend(handles[:1], labels[:1], loc="upper left")
    panels[0].set_ylabel("frames in the bank (orange: said to be absent)")
    figure.suptitle(title)
    return save(figure, path)
