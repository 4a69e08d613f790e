"""The plot of searches."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.search_curves import plot_curves


def test_plot(tmp_path: Path) -> None:
    curves = {
        "random": [(10, 0.3), (200, 0.5), (1000, 0.51)],
        "greedy": [(50, 0.5)],
        "beam": [(50, 0.5), (990, 0.55)],
        "ceiling": [(2040, 0.55)],
    }
    path = plot_curves(curves, tmp_path / "curves.png", "scene", {"SAM 2": 0.505})
    with Image.open(path) as image:
        assert min(image.size) > 500
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"], "nothing is left beside it"
    plot_curves(curves, tmp_path / "curves.svg", "scene")
    with pytest.raises(Sam2rlError, match=r"\.gif is none of \.png"):
        plot_curves(curves, tmp_path / "curves.gif", "scene")
