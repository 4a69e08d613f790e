"""What came of a benchmark: its tables in Markdown and CSV, and two pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sam2rl_tracker.report.figures import SEARCHES
from sam2rl_tracker.report.table import BASELINE
from sam2rl_tracker.report.words import FEW
from sam2rl_tracker.video import atomic_path

_COLORS = {False: "#0072B2", True: "#D55E00"}  # Okabe-Ito: whether a method sees the truth that it is scored on
_MARKERS = {False: "o", True: "D"}
_NOTES = {False: "does not see the ground truth", True: "sees the ground truth it is scored on"}
_LINES = {"SAM2RL": ("#D55E00", "-"), **SEARCHES}


def write_csv(path: Path, document: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["sequence", "method", "quality", "difference to SAM 2", "accuracy", "robustness", "sees truth"]
        )
        for name, row in document["videos"].items():
            for key, value in row.items():
                scores = document["sequences"][name].get(key, {})
                rest = (scores.get("accuracy"), scores.get("robustness"), document["methods"][key]["sees_truth"])
                writer.writerow([name, key, value, value - row[BASELINE], *rest])


def to_markdown(document: Mapping[str, Any]) -> str:
    """The tables of a benchmark, in Markdown."""
    methods, claims, count = document["methods"], document["claims"], len(document["videos"])
    lines = [
        f"Quality on {count} videos, %; differences to SAM 2 with 95 % bootstrap intervals over videos. "
        "*: sees the ground truth that it is scored on. What searches found was replayed by the tracker.",
        "",
        "| | Quality | Accuracy | Robustness | Difference in Quality | 95 % interval | simulated steps | frames/s |",
        "|--|--|--|--|--|--|--|--|",
    ]
    for key, row in methods.items():
        scores = document["trackers"].get(key, {})
        difference = ["", ""] if key == BASELINE else [f"{100 * row['gain']:+.1f}", _interval(row["low"], row["high"])]
        cells = [f"{100 * row['quality']:.1f}", *(_percent(scores.get(name)) for name in ("accuracy", "robustness"))]
        cells += [*difference, _number(row["steps"]), _number(row["fps"])]
        lines.append(f"| {key}{'*' * row['sees_truth']} | {' | '.join(cells)} |")
    lines += ["", *_sentences(claims), "", "Agents replayed on the same videos, changed:", ""]
    lines += ["| | SAM 2 | agent | difference | 95 % interval | of the gain kept |", "|--|--|--|--|--|--|"]
    for row in document["transfer"].values():
        kept = "-" if row["kept"] is None else f"{100 * row['kept']:.0f} %"
        values = (
            f"{100 * row['sam2']:.1f}",
            f"{100 * row['agent']:.1f}",
            f"{100 * row['gain']:+.1f}",
            _interval(row["low"], row["high"]),
        )
        lines.append(f"| {row['what']} | {' | '.join(values)} | {kept} |")
    lines += ["", "Agents of several seeds, quality, %:", ""]
    seeds = list(next(iter(document["seeds"].values()), {}))
    lines += ["| | SAM 2 | " + " | ".join(f"seed {seed}" for seed in seeds) + " |", "|--" * (len(seeds) + 2) + "|"]
    for name, qualities in document["seeds"].items():
        cells = [f"{100 * value:.1f}" for value in (document["videos"][name][BASELINE], *qualities.values())]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _sentences(claims: Mapping[str, Any]) -> list[str]:
    """What the numbers say of the claims."""
    mean, low, high = claims["agent_gain"]
    lines = [f"The agents gain {_points(mean)} points ({_interval(low, high)})."]
    if "best_rule" in claims:
        mean, low, high = claims["rule_gain"]
        lines.append(
            f"The best published rule here is {claims['best_rule']}: {_points(mean)} ({_interval(low, high)})."
        )
    if "times_excess" in claims:
        mean, low, high = claims["times_excess"]
        wanted = claims["times_wanted"]
        lines.append(
            f"The agents gain {claims['times_best_rule']:.1f} times as much. That it is more than {wanted} times "
            f"{_verdict(claims, 'times_excess')} (their gain less {wanted} times the rule's: {_points(mean)}, "
            f"{_interval(low, high)})."
        )
    mean, low, high = claims["share_excess"]
    lines.append(
        f"Of the gain of the best found by any method the agents reach {_percent(claims['share_of_best'])} %. That it "
        f"is more than {100 * claims['share_wanted']:.0f} % {_verdict(claims, 'share_excess')} ({_points(mean)}, "
        f"{_interval(low, high)})."
    )
    return lines


def _verdict(claims: Mapping[str, Any], name: str) -> str:
    _, low, high = claims[name]
    if claims["videos"] < FEW:
        return "cannot be told from so few videos"
    return "holds" if low > 0 else "does not hold" if high < 0 else "is not decided by these videos"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{_points(low)} to {_points(high)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


# ---------------------------------------------------------------------------------------------------------- pictures


def plot_gains(document: Mapping[str, Any], path: Path) -> Path:
    """Draw every method's mean difference to SAM 2 with its interval, the best on top, and each video's as a dot.

    Args:
        path: a .png, .pdf or .svg.
    """
    methods = {key: row for key, row in document["methods"].items() if key != BASELINE}
    order = sorted(methods, key=lambda key: methods[key]["gain"])
    figure = Figure(figsize=(8, 0.45 * len(order) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    told = set()
    for y, key in enumerate(order):
        row = methods[key]
        sees, gain = row["sees_truth"], 100 * row["gain"]
        gains = [100 * (video[key] - video[BASELINE]) for video in document["videos"].values()]
        axes.scatter(gains, [y] * len(gains), s=12, color="#999999", alpha=0.6, linewidths=0)
        spans = None if row["low"] is None else [[gain - 100 * row["low"]], [100 * row["high"] - gain]]
        label = None if sees in told else _NOTES[sees]
        told.add(sees)
        axes.errorbar(gain, y, xerr=spans, color=_COLORS[sees], marker=_MARKERS[sees], capsize=4, label=label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlabel(
        f"Quality less SAM 2's, percentage points (mean of {len(document['videos'])} videos, 95 % interval)"
    )
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def plot_steps(document: Mapping[str, Any], path: Path) -> Path:
    """Draw the mean gain of agents and searches against the simulated steps that they took.

    Args:
        path: a .png, .pdf or .svg.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for key, (color, line) in _LINES.items():
        steps, gains = zip(*document["curves"][key], strict=True)
        percent = [100 * gain for gain in gains]
        axes.step(steps, percent, where="post", color=color, linestyle=line, linewidth=2, label=key)
        axes.plot(steps[-1], percent[-1], "o", color=color)
    if rule := document["claims"].get("best_rule"):
        gain = 100 * document["methods"][rule]["gain"]
        axes.axhline(gain, color="#595959", linewidth=1, linestyle=(0, (1, 3)), label=f"{rule}, no steps")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="simulated steps for each video", ylabel="Quality less SAM 2's, percentage points")
    axes.set_title("Found on the ground truth that it is scored on", fontsize=10)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path
