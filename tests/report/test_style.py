"""Colours of trackers, and pictures as files."""

import matplotlib
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.report.style import (
    INK,
    check_figure,
    house_style,
    new_figure,
    number_log_axis,
    save,
    tracker_styles,
)


def test_trackers_keep_their_colours():
    styles = tracker_styles(["Other", "SAM2", "SAM2RL", "Second"])
    assert styles["SAM2"] == tracker_styles(["SAM2"])["SAM2"]
    assert len({style.color for style in styles.values()}) == 4
    assert styles["SAM2RL"].color == "#d55e00"


def test_the_style_holds_inside_alone(tmp_path):
    before = matplotlib.rcParams["text.color"]
    with house_style():
        assert matplotlib.rcParams["text.color"] == INK
        figure = new_figure(2, 1)
        figure.add_subplot()
    assert matplotlib.rcParams["text.color"] == before
    for ending in ("png", "pdf", "svg"):
        assert save(figure, tmp_path / f"plot.{ending}").stat().st_size > 100
    assert Image.open(tmp_path / "plot.png").size == (300, 150)
    with pytest.raises(Sam2rlError, match=r"plot\.gif is none of \.png, \.pdf, \.svg"):
        save(figure, tmp_path / "plot.gif")
    with pytest.raises(Sam2rlError, match="there is no folder"):
        save(figure, tmp_path / "none" / "plot.png")


@pytest.mark.parametrize("ends", [(90, 2e6), (0.02, 3), (20, 70)])
def test_logarithmic_axes_have_plain_numbers(tmp_path, ends):
    with house_style():
        figure = new_figure(4, 2)
        axes = figure.add_subplot(xscale="log", xlim=ends)
        number_log_axis(axes.xaxis)
        save(figure, tmp_path / "plot.png")
    labels = [label.get_text() for label in axes.get_xticklabels(which="both") if label.get_text()]
    assert sum(ends[0] <= float(text.replace(",", "")) <= ends[1] for text in labels) >= 2


def test_a_figure_of_ours_may_be_drawn_again_and_nothing_else(tmp_path):
    check_figure(tmp_path / "new.png")
    check_figure(save(new_figure(1, 1), tmp_path / "plot.png"))
    Image.new("L", (4, 4)).save(tmp_path / "photo.png")
    (tmp_path / "notes.png").write_text("mine")
    for name in ("photo", "notes"):
        with pytest.raises(Sam2rlError, match=rf"{name}\.png is there already and is no figure of sam2rl, so it stays"):
            check_figure(tmp_path / f"{name}.png")
