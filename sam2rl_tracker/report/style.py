"""One style for all figures: colours, lines and markers of what is compared, Matplotlib's settings, and saving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image as PILImage

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import TRACKERS
from sam2rl_tracker.media.files import StrPath, atomic_path
from sam2rl_tracker.media.overlay import object_color

FORMATS = (".png", ".pdf", ".svg")

INK = "#1b1f24"  # of lines and text; the page replaces it by its own, which a dark page needs
GRAY = "#8a8f98"
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe-Ito
GRID: Any = {"color": GRAY, "alpha": 0.3}

_SETTINGS: Any = {  # Matplotlib would have its keys typed as literals
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold dollars
    "pdf.fonttype": 42,
}
# -> Okabe-Ito colours up to 7, then others that can be read on white and on black
_KNOWN = dict(zip(TRACKERS, (5, 1, 3, 2, 27, 23, 16, 17, 7, 9, 6), strict=True))
_DASHES = {
    5: (),
    1: (7.0, 2.0),
    3: (2.0, 2.0),
    2: (9.0, 2.0, 2.0, 2.0),
    27: (5.0, 2.0, 1.0, 2.0),
    23: (3.0, 3.0),
    16: (1.0, 1.0),
    17: (12.0, 3.0),
    7: (4.0, 4.0),
    9: (10.0, 2.0, 4.0, 2.0),
    6: (),
}
_MARKERS = {5: "o", 1: "s", 3: "D", 2: "^", 27: "<", 23: "H", 16: "p", 17: "8", 7: "v", 9: "P", 6: "*"}
_OTHERS = "PXh>d1"


def hex_color(label: int) -> str:
    """`#rrggbb` of an object id, as `overlay` draws it."""
    return "#{:02x}{:02x}{:02x}".format(*object_color(label))


@dataclass(frozen=True)
class Style:
    """How a tracker is drawn.

    Attributes:
        label: The object id whose colour in `overlay` it is, so that masks wear it too.
        dash: Lengths of strokes and gaps, empty = solid.
        marker: Matplotlib's.
    """

    label: int
    dash: tuple[float, ...]
    marker: str

    @property
    def color(self) -> str:
        """`#rrggbb`."""
        return hex_color(self.label)

    def line(self, width: float = 1.8) -> dict[str, Any]:
        """Matplotlib's arguments for a line."""
        return {"color": self.color, "linewidth": width, "linestyle": (0, self.dash) if self.dash else "-"}


Styles = Mapping[str, Style]  # {tracker: style}


@dataclass(frozen=True)
class Stroke:
    """How a curve that is no tracker's is drawn: nothing depends on colour alone.

    Attributes:
        color: Of the line.
        dash: Matplotlib's name of a line style, or its lengths.
    """

    color: str
    dash: str | tuple[float, tuple[float, ...]]

    def line(self, width: float = 1.8) -> dict[str, Any]:
        """Matplotlib's arguments for a line."""
        return {"color": self.color, "linewidth": width, "linestyle": self.dash}


SEARCH_STROKES = {
    "random": Stroke("#56B4E9", ":"),
    "greedy": Stroke("#CC79A7", "-."),
    "beam": Stroke(GREEN, "--"),
    "local": Stroke("#E69F00", (0, (4, 1, 1, 1, 1, 1))),
}
"""{search: stroke}"""


def tracker_styles(trackers: Sequence[str]) -> dict[str, Style]:
    """{tracker: style}: the registered trackers have their own wherever they appear, others the next that is free."""
    styles: dict[str, Style] = {}
    free = (label for label in count(8) if label not in _MARKERS)  # 4, yellow, cannot be read on white
    for name in trackers:
        label = _KNOWN.get(name) or next(free)
        dash = _DASHES.get(label, (1.0 + label % 4, 2.0))
        styles[name] = Style(label, dash, _MARKERS.get(label) or _OTHERS[label % len(_OTHERS)])
    return styles


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in this module's style inside; what else uses Matplotlib in this process keeps its own."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, without pyplot: nothing is kept when it is dropped."""
    return Figure(figsize=(width, height), layout="constrained")


def draw_grid(axes: Axes) -> None:
    """Thin lines behind the data."""
    axes.grid(**GRID)


def number_log_axis(axis: Axis) -> None:
    """Plain numbers along a logarithmic axis: Matplotlib's own are mathematical text, which `_SETTINGS` turn off."""
    axis.set_major_formatter("{x:,.10g}")
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))  # only within one power of ten


def check_figure(path: Path) -> None:
    """Refuse to draw over a picture that is no figure of ours, as Matplotlib's name in a PNG tells.

    Raises:
        Sam2rlError: There is such a file.
    """
    if not path.exists():
        return
    try:
        with PILImage.open(path) as image:
            drawn = str(image.info.get("Software", "")).startswith("Matplotlib")
    except OSError:  # no picture at all
        drawn = False
    if not drawn:
        raise Sam2rlError(f"{path} is there already and is no figure of sam2rl, so it stays: give another folder.")


def save(figure: Figure, path: StrPath) -> Path:
    """Write a figure, in the format that its name ends in.

    Raises:
        Sam2rlError: The name has another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise Sam2rlError(f"{path} is none of {', '.join(FORMATS)}, which plots are written as: give a name that is.")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path
