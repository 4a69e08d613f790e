"""Draw trainings of the paper's full budget on the benchmark's first videos, and write their curves down.

python docs/draw_budget.py P Q R    workspaces, one for each of STYLES, in this order
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
STYLES = {
    "default method (begun with a beam search)": "#D55E00",
    "PPO alone, plain rewards": "#0072B2",
    "PPO alone, relative rewards": "#009E73",
}
COLUMNS = ("iteration", "steps", "evaluated", "mean", "best_greedy", "entropy", "sam2")
Rows = list[dict[str, float]]


def read_trainings(workspace: Path) -> dict[str, Rows]:
    """{sequence: one row for every iteration}."""
    trainings = {}
    for path in sorted(workspace.glob("training/*_1_seed0/progress.csv")):
        with path.open(newline="") as file:
            rows = [{key: float(row[key]) for key in COLUMNS} for row in csv.DictReader(file)]
        trainings[path.parent.name.removesuffix("_1_seed0")] = rows
    return trainings


def draw(axes: Axes, name: str, trainings: dict[str, dict[str, Rows]], known: dict[str, float], spent: float) -> None:
    """One video: agents and mean rollouts over steps, and what the benchmark measured at its own number of steps."""
    base = known["SAM2"]
    for method, color in STYLES.items():
        rows = trainings[method].get(name, [])
        steps = [row["steps"] for row in rows]
        agent, mean = ([100 * (row[key] - base) for row in rows] for key in ("best_greedy", "mean"))
        axes.step(steps, agent, where="post", color=color, linewidth=2)
        axes.plot(steps, mean, color=color, linewidth=0.8, linestyle="--")
    axes.plot(spent, 100 * (known["SAM2RL"] - base), "D", color="black", markersize=5)
    axes.plot(spent, 100 * (known["beam"] - base), "v", color="black", markersize=6, fillstyle="none")
    axes.axhline(100 * (known["DAM4SAM"] - base), color="#595959", linewidth=1, linestyle=":")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(title=name, xscale="log")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def main(*workspaces: str) -> str | None:
    """Write the picture and the CSV, or say in a sentence why not."""
    if len(workspaces) != len(STYLES):
        return (
            f"{len(workspaces)} workspaces were given, expected {len(STYLES)}, one for each of: "
            f"{'; '.join(STYLES)}. Type `python docs/draw_budget.py P Q R`."
        )
    trainings = dict(zip(STYLES, (read_trainings(Path(folder)) for folder in workspaces), strict=True))
    benchmark = json.loads((DOCS / "benchmark" / "default.json").read_text())
    names = list(trainings[next(iter(STYLES))])
    figure = Figure(figsize=(8.2, 6.2), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).flat
    for axes, name in zip(panels, names, strict=True):
        draw(axes, name, trainings, benchmark["videos"][name], benchmark["steps"][name]["SAM2RL"])
    first = figure.axes[0]
    for method, color in STYLES.items():
        first.plot([], [], color=color, linewidth=2, label=f"agent: {method}")
        first.plot([], [], color=color, linewidth=0.8, linestyle="--", label="the same: mean of the rollouts")
    first.plot([], [], "D", color="black", label="agent of the benchmark")
    first.plot([], [], "v", color="black", fillstyle="none", label="beam search of the benchmark")
    first.plot([], [], color="#595959", linewidth=1, linestyle=":", label="DAM4SAM")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    for axes in figure.axes[2:]:
        axes.set_xlabel("simulated steps")
    figure.supylabel("Quality less SAM 2's, points", fontsize=10)
    figure.suptitle("All but DAM4SAM: on the ground truth that they are scored on", fontsize=10)
    figure.savefig(DOCS / "images" / "full-budget.png", dpi=150)
    with (DOCS / "benchmark" / "full-budget.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sequence", "training", *COLUMNS])
        for method, videos in trainings.items():
            for name, rows in videos.items():
                writer.writerows([[name, method, *(f"{row[key]:.9g}" for key in COLUMNS)] for row in rows])
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
