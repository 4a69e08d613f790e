"""Quality against simulated steps: how fast each way of finding decisions gets how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path
from sam2rl_tracker.media.overlay import object_color
from sam2rl_tracker.training.search import Found

FORMATS = (".png", ".pdf", ".svg")

_COLORS = [tuple(part / 255 for part in object_color(k)) for k in (5, 6, 3, 7, 1, 2)]  # Okabe-Ito without yellow
_MARKERS = "osD^vP"  # so that nothing depends on colour alone
_GRAY = (0.35, 0.35, 0.35)
_LABEL = 0.055  # height of a label, in heights of the axes


def plot_curves(founds: Sequence[Found], path: StrPath, title: str, extra: Mapping[str, float] | None = None) -> Path:
    """Draw the best quality so far of every search over the steps it took, on a logarithmic axis.

    Behind its last step a search is drawn on, thin and dotted, up to its name at the right edge.

    Args:
        path: a .png, .pdf or .svg to write.
        title: of the plot.
        extra: {name: quality}, drawn across, such as a tracker's that searches nothing.

    Raises:
        Sam2rlError: the name has another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise Sam2rlError(f"{path} is none of {', '.join(FORMATS)}, which plots are written as: give a name that is.")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    right = 1.15 * max(found.steps for found in founds)
    labels = []  # (quality, text, colour)
    for k, found in enumerate(founds):
        color, marker = _COLORS[k % len(_COLORS)], _MARKERS[k % len(_MARKERS)]
        steps, qualities = zip(*found.curve, strict=True)
        axes.step(steps, qualities, where="post", color=color, linewidth=2)
        axes.plot(steps[-1], qualities[-1], color=color, marker=marker)
        axes.plot([steps[-1], right], [qualities[-1]] * 2, color=color, linewidth=1, linestyle=":")
        labels.append((found.quality, found.name, color))
    for name, quality in (extra or {}).items():
        axes.axhline(quality, color=_GRAY, linewidth=1, linestyle="--")
        labels.append((quality, name, _GRAY))
    axes.set(xscale="log", xlabel="simulated steps", ylabel="quality, best so far", title=title)
    axes.set_xlim(right=right)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)

    labels.sort()
    low, high = axes.get_ylim()
    heights = _apart([(quality - low) / (high - low) for quality, _, _ in labels])
    for (quality, name, color), height in zip(labels, heights, strict=True):
        label = f"{name} {quality:.3f}"
        axes.annotate(label, (1.02, height), xycoords="axes fraction", va="center", fontsize=9, color=color)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


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
