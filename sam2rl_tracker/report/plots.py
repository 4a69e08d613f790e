"""The page's plots: each is drawn once and saved as PNG, PDF, and as SVG for the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from sam2rl_tracker.evaluation.curves import Search, Training
from sam2rl_tracker.evaluation.results import Results
from sam2rl_tracker.report.memory_plots import draw_memory
from sam2rl_tracker.report.result_plots import (
    draw_accuracy_robustness,
    draw_differences,
    draw_measures,
    draw_quality_plot,
)
from sam2rl_tracker.report.style import INK, Styles, house_style, save
from sam2rl_tracker.report.training_plots import draw_searches, draw_training


@dataclass(frozen=True)
class Plot:
    """A plot in the page.

    Attributes:
        name: Of its files.
        title: Above it.
        caption: What to read in it.
        svg: The plot, as part of a page.
    """

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class _Drawn:
    """A plot before it is saved, as in `Plot`; the figure is None where there are no data for it."""

    name: str
    title: str
    caption: str
    figure: Figure | None


@house_style()
def draw_plots(
    results: Results, trainings: Sequence[Training], searches: Sequence[Search], styles: Styles, folder: Path
) -> list[Plot]:
    """Draw all plots for which there are data into a folder, NAME.png and NAME.pdf.

    Raises:
        Sam2rlError: A file cannot be written.
    """
    return [
        Plot(one.name, one.title, one.caption, _save(one.figure, folder / one.name))
        for one in _drawn(results, trainings, searches, styles)
        if one.figure is not None
    ]


def _drawn(
    results: Results, trainings: Sequence[Training], searches: Sequence[Search], styles: Styles
) -> Iterator[_Drawn]:
    yield _Drawn(
        "measures",
        "All measures at a glance",
        "Percent, over all sequences. The darker, the better in its column; ↓: lower is better. NRE: visible but "
        "nothing given; DRE: visible but something else marked; ADQ: absence noticed (of objects absent on more "
        "than 10 frames).",
        draw_measures(results),
    )
    yield _Drawn(
        "accuracy-robustness",
        "Accuracy and robustness",
        "Robustness: share of the frames with the object on which the mask touches it. Accuracy: mean IoU on those "
        "frames. Better is up and right; bars are 95 % bootstrap intervals over sequences.",
        draw_accuracy_robustness(results, styles),
    )
    yield _Drawn(
        "quality-plot",
        "Quality plot",
        "Share of frames with an IoU above a threshold, over the threshold, averaged over objects, then sequences. "
        "The area under a curve is the tracker's quality.",
        draw_quality_plot(results, styles),
    )
    yield _Drawn(
        "differences",
        f"Quality by sequence, difference to {results.base}",
        "One panel per tracker, sequences sorted in each. Line and band: the mean and its 95 % bootstrap interval "
        "over sequences.",
        draw_differences(results, styles),
    )
    yield _Drawn(
        "memory",
        "Age and use of memories",
        "Left: how old the memories in the bank are when a frame is predicted (the prompted frame, always there, "
        "left out). Right: share of frames whose memory was never used.",
        draw_memory(results, styles),
    )
    yield _Drawn(
        "training",
        "Training of the agents",
        "Thin: one training each; thick: their mean as far as all got. Return is the VOTS quality of the video "
        "that is trained and scored on.",
        draw_training(trainings, styles),
    )
    yield _Drawn(
        "searches",
        "What searching finds",
        "Best quality so far less SAM 2's against the simulated steps for each object, mean over objects; all "
        "found on the ground truth that it is scored on.",
        draw_searches(searches, trainings, styles),
    )


def _save(figure: Figure, stem: Path) -> str:
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what is laid out once need not be for every format
    for suffix in (".png", ".pdf"):
        save(figure, stem.with_name(stem.name + suffix))
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": stem.name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), stem.name)


def _inline(svg: str, name: str) -> str:
    """An SVG file as part of a page: no prologue, ids of its own, the page's colour and font."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--font)", svg)
    svg = re.sub(r'width="([\d.]+)pt" height="[\d.]+pt"', r'style="width:\1pt"', svg, count=1)
    return svg.replace(INK, "currentColor")
