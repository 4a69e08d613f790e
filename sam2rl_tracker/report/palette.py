"""One colour, line and marker per tracker, in every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sam2rl_tracker.media.overlay import object_color

_KNOWN = {"SAM2": 5, "SAMURAI": 1, "DAM4SAM": 3, "SAM2Long": 2, "MoSAM": 7, "SAM2RL": 6}  # -> Okabe-Ito colour
_DASHES = {5: (), 1: (7.0, 2.0), 3: (2.0, 2.0), 2: (9.0, 2.0, 2.0, 2.0), 7: (4.0, 4.0), 6: ()}
_MARKERS = {5: "o", 1: "s", 3: "D", 2: "^", 7: "v", 6: "*"}
_OTHERS = "PXh<>p8d"


@dataclass(frozen=True)
class Style:
    """How a tracker is drawn.

    Attributes:
        label: the object id whose colour in `overlay` it is, so that masks wear it too.
        dash: lengths of strokes and gaps, empty = solid.
        marker: Matplotlib's.
    """

    label: int
    dash: tuple[float, ...]
    marker: str

    @property
    def color(self) -> str:
        """`#rrggbb`."""
        return "#{:02x}{:02x}{:02x}".format(*object_color(self.label))


def tracker_styles(trackers: Sequence[str]) -> dict[str, Style]:
    """{tracker: style}: the registered trackers have their own wherever they appear, others the next that is free."""
    styles: dict[str, Style] = {}
    for name in trackers:
        label = _KNOWN.get(name) or 8 + sum(other not in _KNOWN for other in styles)  # yellow cannot be read on white
        dash = _DASHES.get(label, (1.0 + label % 4, 2.0))
        styles[name] = Style(label, dash, _MARKERS.get(label) or _OTHERS[label % len(_OTHERS)])
    return styles
