"""The report's plots: each is drawn once and saved as PNG, PDF, and as SVG for the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sam2rl_tracker.evaluation.intervals import bootstrap_interval
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.report.measured import LOWER_IS_BETTER, NAMES, Measured, fate, mean_curve
from sam2rl_tracker.report.palette import Style
from sam2rl_tracker.report.table import labelled
from sam2rl_tracker.report.words import points

INK = "#1b1f24"  # of lines and text; the page replaces it by its own, which a dark page needs
_GRID = "#8a8f98"
SEARCHES = {"random": ("#56B4E9", ":"), "greedy": ("#CC79A7", "-."), "beam": ("#009E73", "--")}
"""{search: (colour, dash)}"""

_FEW = 12  # sequences whose names fit under a plot
_TITLES = {"nre": "NRE ↓", "dre": "DRE ↓", "adq": "ADQ"}
_RC: Any = {  # Matplotlib would have its keys typed as literals
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

Styles = Mapping[str, Style]


@dataclass(frozen=True)
class Plot:
    """A plot in the page: its SVG, and what to read in it."""

    name: str
    title: str
    caption: str
    svg: str


def draw_plots(measured: Measured, styles: Styles, folder: Path) -> list[Plot]:
    """Draw all plots for which there are data into a folder, NAME.png and NAME.pdf.

    Raises:
        Sam2rlError: A file cannot be written.
    """
    plots: list[tuple[str, str, str, Callable[[Measured, Styles], Figure | None]]] = [
        (
            "measures",
            "All measures at a glance",
            "Percent, over all sequences. The darker, the better in its column; ↓: lower is better. NRE: visible but "
            "nothing given; DRE: visible but something else marked; ADQ: absence noticed (of objects absent on more "
            "than 10 frames).",
            _draw_measures,
        ),
        (
            "accuracy-robustness",
            "Accuracy and robustness",
            "Robustness: share of the frames with the object on which the mask touches it. Accuracy: mean IoU on those "
            "frames. Better is up and right; bars are 95 % bootstrap intervals over sequences.",
            _draw_accuracy_robustness,
        ),
        (
            "quality-plot",
            "Quality plot",
            "Share of frames with an IoU above a threshold, over the threshold, averaged over objects, then sequences. "
            "The area under a curve is the tracker's quality.",
            _draw_quality_plot,
        ),
        (
            "differences",
            f"Quality by sequence, difference to {measured.base}",
            "One panel per tracker, sequences sorted in each. Line and band: the mean and its 95 % bootstrap interval "
            "over sequences.",
            _draw_differences,
        ),
        (
            "memory",
            "Age and use of memories",
            "Left: how old the memories in the bank are when a frame is predicted (the prompted frame, always there, "
            "left out). Right: share of frames whose memory was never used.",
            _draw_memory,
        ),
        (
            "training",
            "Training of the agents",
            "Thin: one training each; thick: their mean as far as all got. Return is the VOTS quality of the video "
            "that is trained and scored on.",
            _draw_training,
        ),
        (
            "searches",
            "What searching finds",
            "Best quality so far less SAM 2's against the simulated steps for each object, mean over objects; all "
            "found on the ground truth that it is scored on.",
            _draw_searches,
        ),
    ]
    found = []
    with matplotlib.rc_context(_RC):
        for name, title, caption, draw in plots:
            figure = draw(measured, styles)
            if figure is not None:
                found.append(Plot(name, title, caption, _save(figure, folder / name)))
    return found


def _save(figure: Figure, stem: Path) -> str:
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what is laid out once need not be for every format
    for suffix in (".png", ".pdf"):
        with atomic_path(stem.with_name(stem.name + suffix)) as temporary:
            figure.savefig(temporary, dpi=150)
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


def _label(tracker: str, measured: Measured) -> str:
    """A name for a legend, from which Matplotlib would leave out what begins with an underscore."""
    return labelled(tracker, measured.report.trained).replace("_", " _", 1 if tracker.startswith("_") else 0)


def _line(style: Style, width: float = 1.8) -> dict[str, Any]:
    return {"color": style.color, "linewidth": width, "linestyle": (0, style.dash) if style.dash else "-"}


# ---------------------------------------------------------------- results


def _draw_measures(measured: Measured, styles: Styles) -> Figure:
    rows = measured.trackers
    figure = Figure(figsize=(7.6, 0.6 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(
        [[np.nan if (v := getattr(measured.overall[row], key)) is None else 100 * v for key in NAMES] for row in rows]
    )  # [trackers, measures]
    signs = np.array([-1 if key in LOWER_IS_BETTER else 1 for key in NAMES])
    good = values * signs
    with np.errstate(invalid="ignore"):
        low, high = (np.where(np.isfinite(good), good, bad) for bad in (np.inf, -np.inf))
        span = np.maximum(high.max(axis=0) - low.min(axis=0), 1e-9)
        shade = np.where(np.isfinite(good), (good - low.min(axis=0)) / span, np.nan)  # 1 = the best of its column
    axes.imshow(0.08 + 0.72 * shade, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.1f}"
        best = bool(shade[y, x] > 1 - 1e-6)
        color = "white" if shade[y, x] > 0.7 else INK if np.isnan(value) else "#10151b"
        axes.text(x, y, text, ha="center", va="center", color=color, weight="bold" if best else "normal")
    axes.set_xticks(range(len(NAMES)), [_TITLES.get(key, key.capitalize()) for key in NAMES])
    axes.set_yticks(range(len(rows)), [_label(row, measured) for row in rows])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def _draw_accuracy_robustness(measured: Measured, styles: Styles) -> Figure | None:
    figure = Figure(figsize=(6.2, 5.0), layout="constrained")
    axes = figure.add_subplot()
    for name in measured.trackers:
        mean = measured.overall[name]
        if mean.robustness is None:
            continue
        x, y = 100 * mean.robustness, 100 * mean.accuracy
        rows = [row[name] for row in measured.by_sequence.values()]
        across = _error(x, [row.robustness for row in rows])
        along = _error(y, [row.accuracy for row in rows])
        style = styles[name]
        axes.errorbar(x, y, along, across, color=style.color, linewidth=0.8, alpha=0.5)
        size = 11 if style.marker == "*" else 8
        axes.plot(
            x, y, style.marker, color=style.color, markersize=size, label=_label(name, measured), markeredgecolor=INK
        )
    if not axes.lines:
        return None
    axes.set(xlabel="robustness, %", ylabel="accuracy, %")
    axes.grid(color=_GRID, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _error(mean: float, values: Sequence[float | None]) -> list[list[float]] | None:
    """How far the interval of a mean, in %, reaches below and above it; None where there is none."""
    defined = [value for value in values if value is not None]
    if len(defined) < 2:
        return None
    low, high = (100 * value for value in bootstrap_interval(defined))
    return [[max(0.0, mean - low)], [max(0.0, high - mean)]]


def _draw_quality_plot(measured: Measured, styles: Styles) -> Figure:
    figure = Figure(figsize=(6.2, 5.0), layout="constrained")
    axes = figure.add_subplot()
    thresholds = np.linspace(0, 1, 101)
    for k, name in enumerate(measured.trackers):
        curves = [success(measured, name, sequence, thresholds) for sequence in measured.by_sequence]
        style = styles[name]
        label = f"{_label(name, measured)}: {100 * measured.overall[name].quality:.1f}"
        mean = 100 * np.mean(curves, axis=0)
        marked: dict[str, Any] = {"marker": style.marker, "markevery": (3 * k, 20), "markersize": 5}
        axes.plot(thresholds, mean, label=label, **_line(style), **marked)
    axes.set(xlabel="threshold of IoU", ylabel="frames above it, %", xlim=(0, 1), ylim=(0, 100))
    axes.grid(color=_GRID, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, title="area = quality, %")
    return figure


def success(measured: Measured, tracker: str, sequence: str, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of scored frames with an overlap above each threshold, averaged over the sequence's objects."""
    shares = []
    for one in measured.objects:
        if one.sequence == sequence and one.scored.any():
            overlaps = one.tracks[tracker].overlaps[one.scored]
            shares.append((overlaps[:, None] > thresholds).mean(axis=0))
    return np.mean(shares, axis=0) if shares else np.zeros(len(thresholds))


def _draw_differences(measured: Measured, styles: Styles) -> Figure | None:
    others = [name for name in measured.trackers if name != measured.base]
    if measured.base is None or not others:
        return None
    columns = min(3, len(others))
    lines = -(-len(others) // columns)
    few = len(measured.by_sequence) <= _FEW
    size = (2.7 * columns + 0.6, (2.6 if few else 2.1) * lines)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(others) :]:
        axes.set_visible(False)
    for name, axes in zip(others, panels.flat, strict=False):
        gains = sorted(measured.gains(name).items(), key=lambda item: item[1])
        values = [100 * value for _, value in gains]
        axes.bar(range(len(values)), values, color=styles[name].color, width=0.8 if few else 1.0)
        axes.axhline(0, color=INK, linewidth=0.8)
        difference = measured.differences[name]["quality"]
        axes.axhline(100 * difference.mean, color=INK, linewidth=1, linestyle="--")
        if difference.interval:
            axes.axhspan(*(100 * value for value in difference.interval), color=_GRID, alpha=0.2, linewidth=0)
        axes.set_title(f"{_label(name, measured)}: {points(difference.mean)}")
        axes.set_xticks(range(len(values)) if few else [])
        if few:
            axes.set_xticklabels([key for key, _ in gains], rotation=60, ha="right", fontsize=7, rotation_mode="anchor")
    for row in panels:
        row[0].set_ylabel("quality, points")
    if not few:
        figure.supxlabel("sequences, sorted in each panel", fontsize=9)
    return figure


# ---------------------------------------------------------------- memory


@dataclass(frozen=True)
class Memory:
    """How a tracker treats its bank, over all objects.

    Attributes:
        ages: Of every memory attended to but the prompted frame's, in frames.
        unused: Share of frames whose memory no later frame attended to.
        turnover: Frames that come into the bank per predicted frame.
        longest: The longest time a frame stayed, in frames.
        milliseconds: Median time of a frame in `vot evaluate`; None where it was not kept.
    """

    ages: NDArray[np.int64]
    unused: float
    turnover: float
    longest: int
    milliseconds: float | None

    @property
    def median(self) -> float:
        """Median age, in frames."""
        return float(np.median(self.ages))


def remember(measured: Measured, tracker: str) -> Memory | None:
    """What a tracker's results tell of its memory; None where they do not."""
    ages: list[int] = []
    unused: list[float] = []
    seconds = []
    entered = predicted = longest = 0
    for one in measured.objects:
        track = one.tracks[tracker]
        if track.seconds is not None:
            seconds.append(track.seconds[one.start + 1 :])  # the first frame loads the model
        if track.banks is None:
            continue
        before: set[int] = set()
        for t, bank in enumerate(track.banks):
            ages += [t - frame for frame in bank if frame != one.start]
            entered += len(set(bank) - before - {one.start})
            predicted += bool(bank)
            before = set(bank)
            longest = max([longest, *(t - frame for frame in bank if frame != one.start)])
        unused += (~fate(track.banks, one.start))[one.start + 1 : -1].tolist()  # nothing follows the last frame
    if not ages:
        return None
    times = np.concatenate(seconds) if seconds else np.zeros(0)
    milliseconds = float(1000 * np.median(times)) if times.size else None
    share = float(np.mean(unused)) if unused else 0.0
    return Memory(np.array(ages), share, entered / max(1, predicted), longest, milliseconds)


def _draw_memory(measured: Measured, styles: Styles) -> Figure | None:
    found = {name: memory for name in measured.trackers if (memory := remember(measured, name))}
    if not found:
        return None
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for k, (name, memory) in enumerate(found.items()):
        ages, counts = np.unique(memory.ages, return_counts=True)
        style = styles[name]
        marked = {"marker": style.marker, "markevery": (k, 8), "markersize": 4}
        share = 100 * np.cumsum(counts) / counts.sum()
        left.plot(ages, share, label=_label(name, measured), **_line(style), **marked)
    left.set(xscale="log", xlabel="age, frames (logarithmic)", ylabel="memories at most this old, %", ylim=(0, 103))
    left.xaxis.set_major_formatter("{x:.0f}")
    left.grid(color=_GRID, alpha=0.3)
    names = list(found)[::-1]
    shares = [100 * found[name].unused for name in names]
    right.barh(range(len(names)), shares, color=[styles[name].color for name in names])
    for y, share in enumerate(shares):
        right.text(share + 1, y, f"{share:.0f}", va="center")
    right.set_yticks(range(len(names)), [_label(name, measured) for name in names])
    right.set(xlabel="frames never used as a memory, %", xlim=(0, max([10.0, *shares]) * 1.2))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


# ---------------------------------------------------------------- training


def _draw_training(measured: Measured, styles: Styles) -> Figure | None:
    trainings = measured.trainings
    wanted = {
        "mean": ("mean return of the rollouts, %", 100),
        "best_greedy": ("return of the best policy, %", 100),
        "entropy": ("entropy of the policy, nats", 1),
        "reuse": ("states reused, %", 100),
        "frames_per_second": ("simulated frames/s", 1),
    }
    shown = [key for key in wanted if any(key in training.columns for training in trainings)]
    if not shown:
        return None
    figure = Figure(figsize=(8.2, 2.4 * -(-len(shown) // 2)), layout="constrained")
    panels = figure.subplots(-(-len(shown) // 2), 2, sharex=True, squeeze=False)
    color = styles["SAM2RL"].color if "SAM2RL" in styles else _GRID
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for key, axes in zip(shown, panels.flat, strict=False):
        label, factor = wanted[key]
        curves = [
            (training.columns["steps"], factor * np.array(training.columns[key]))
            for training in trainings
            if key in training.columns
        ]
        for steps, values in curves:
            axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.55, marker="." if len(curves) < 9 else None)
        _draw_mean(axes, curves, color)
        axes.set_ylabel(label)
        axes.grid(color=_GRID, alpha=0.3)
    for axes in panels.flat[max(0, len(shown) - 2) : len(shown)]:
        axes.set_xlabel("simulated steps")
        axes.tick_params(labelbottom=True)
    return figure


def _draw_searches(measured: Measured, styles: Styles) -> Figure | None:
    searches = {one.subject: one for one in measured.searches}
    # Of each object the first seed; objects that were searched and trained on, so that all curves are of the same.
    trained = {one.subject: one.columns for one in sorted(measured.trainings, key=lambda one: -one.seed)}
    trained = {key: columns for key, columns in trained.items() if columns.keys() >= {"best_greedy", "sam2"}}
    both = [key for key in searches if key in trained]
    curves = {
        name: [[(steps, value - searches[key].sam2) for steps, value in searches[key].curves[name]] for key in subjects]
        for name in SEARCHES
        if (subjects := both or list(searches)) and all(name in searches[key].curves for key in subjects)
    }
    if both:
        curves["SAM2RL"] = [
            [
                (steps, best - sam2)
                for steps, best, sam2 in zip(columns["steps"], columns["best_greedy"], columns["sam2"], strict=True)
            ]
            for columns in (trained[key] for key in both)
        ]
    if not curves.keys() - {"SAM2RL"}:
        return None
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for name, lines in curves.items():
        steps, gains = zip(*mean_curve(lines), strict=True)
        color, dash = SEARCHES.get(name) or (styles["SAM2RL"].color if name in styles else INK, "-")
        percent = [100 * gain for gain in gains]
        axes.step(steps, percent, where="post", color=color, linestyle=dash, label=name)
        axes.plot(steps[-1], percent[-1], "o", color=color)
    axes.axhline(0, color=_GRID, linewidth=0.8)
    axes.set(xscale="log", xlabel="simulated steps (logarithmic)", ylabel="Quality less SAM 2's, points")
    axes.grid(color=_GRID, alpha=0.3)
    axes.legend()
    return figure


def _draw_mean(axes: Axes, curves: Sequence[tuple[list[float], NDArray[np.float64]]], color: str) -> None:
    """The mean of curves over different steps, where all of them are there."""
    begin, end = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    if len(curves) > 1 and begin < end:
        grid = np.linspace(begin, end, 100)
        mean = np.mean([np.interp(grid, steps, values) for steps, values in curves], axis=0)
        axes.plot(grid, mean, color=color, linewidth=2.4)
