"""Quality against simulated steps: how fast each way of finding decisions gets how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sam2rl_tracker.evaluation.curves import Curve
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.report.style import (
    GRAY,
    INK,
    SEARCH_STROKES,
    draw_grid,
    house_style,
    new_figure,
    number_log_axis,
    save,
)

_MARKERS = "osD^vP"  # so that nothing depends on colour alone
_LABEL = 0.055  # height of a label, in heights of the axes


@house_style()
def plot_curves(
    curves: Mapping[str, Curve], path: StrPath, title: str, extra: Mapping[str, float] | None = None
) -> Path:
    """Draw the best quality so far of every search over the steps it took, on a logarithmic axis.

    Behind its last step a search is drawn on, thin and dotted, up to its name at the right edge.

    Args:
        curves: {search: (simulated steps, best quality so far)}.
        path: A .png, .pdf or .svg to write.
        title: Of the plot.
        extra: {name: quality}, drawn across, such as a tracker's that searches nothing.

    Raises:
        Sam2rlError: The name has another ending, or the file cannot be written.
    """
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    right = 1.15 * max(curve[-1][0] for curve in curves.values())
    labels = []  # (quality, text, colour)
    for k, (name, curve) in enumerate(curves.items()):
        color = SEARCH_STROKES[name].color if name in SEARCH_STROKES else INK
        marker = _MARKERS[k % len(_MARKERS)]
        steps, qualities = zip(*curve, strict=True)
        axes.step(steps, qualities, where="post", color=color, linewidth=2)
        axes.plot(steps[-1], qualities[-1], color=color, marker=marker)
        axes.plot([steps[-1], right], [qualities[-1]] * 2, color=color, linewidth=1, linestyle=":")
        labels.append((qualities[-1], name, color))
    for name, quality in (extra or {}).items():
        axes.axhline(quality, color=GRAY, linewidth=1, linestyle="--")
        labels.append((quality, name, GRAY))
    axes.set(xscale="log", xlabel="simulated steps", ylabel="quality, best so far", title=title)
    number_log_axis(axes.xaxis)
    axes.set_xlim(right=right)
    draw_grid(axes)

    labels.sort(key=lambda label: label[:2])
    low, high = axes.get_ylim()
    heights = _apart([(quality - low) / (high - low) for quality, _, _ in labels])
    for (quality, name, color), height in zip(labels, heights, strict=True):
        axes.annotate(f"{name} {quality:.3f}", (1.02, height), xycoords="axes fraction", va="center", color=color)
    return save(figure, path)


def _apart(heights: Sequence[float]) -> list[float]:
    """Move labels, given from the lowest to the highest, just far enough apart to be read."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + _LABEL) if moved else height)
    top = 1.0
    for k in reversed(range(len(moved))):  # what has been pushed out at the top pushes back
        moved[k] = min(moved[k], top)
        top = moved[k] - _LABEL
    return moved
