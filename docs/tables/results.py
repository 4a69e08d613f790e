"""Videos scored, and the speed of tracking and simulation: docs/results.md, docs/limits.md, README.md, nano's card."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

from safetensors import safe_open

from sam2rl_tracker.evaluation.methods import title
from tables.cells import ABSENT, SEES_TRUTH, fraction, signed, table
from tables.files import CARD, read, row_of

SEQUENCES = ("bmx-bumps", "bmx-trees", "libby")  # the real videos


def trackers(name: str, sequences: bool = False, extra: str = "") -> list[str]:
    """The table of `sam2rl report`: a tracker's measures, and what it gains over SAM 2 in brackets.

    Args:
        name: Of the measurement.
        sequences: Whether to add Quality on each sequence.
        extra: Another column of Quality, by the measurement's field `nano`, and its head.
    """
    rows = read(name)["rows"]
    names = list(rows[0]["sequences"]) if sequences else []
    lines = []
    for row in rows:
        cells = [_titled(row)]
        for k, measure in enumerate(("quality", "accuracy", "robustness")):
            gain = f" ({signed(row['gains'][k])})" if "gains" in row else ""
            cells.append(f"{row[measure]:.1f}{gain}" if measure in row else "-")
        cells += [f"{row['sequences'][sequence]:.1f}" for sequence in names]
        cells += [f"{row['nano']:.1f}"] if extra else []
        lines.append(cells)
    return table(["", "Quality", "Accuracy", "Robustness", *names, *([extra] if extra else [])], lines)


def _titled(row: dict[str, Any]) -> str:
    return title(row["tracker"]) + SEES_TRUTH * row.get("sees_truth", False)


def generated(before: bool = False) -> list[str]:
    """Rules on 64 generated videos.

    Args:
        before: Whether to add Quality with nano's earlier weights.
    """
    heads = ["Rule", "Quality", "95 % interval", "Accuracy", "Robustness", ABSENT]
    lines = []
    for row in read("generated-64")["rows"]:
        name = title(row["rule"]) + (f" ({row['what']})" if "what" in row else "")
        interval = f"{fraction(row['low'])} to {fraction(row['high'])}"
        rest = [fraction(row[key]) for key in ("accuracy", "robustness", "absent")]
        rest += [fraction(row["before"]) if "before" in row else "-"] if before else []
        lines.append([name, fraction(row["quality"]), interval, *rest])
    return table([*heads, *(["Quality, earlier weights"] if before else [])], lines)


def nano_goals() -> list[str]:
    recency, sam2 = row_of("generated-64", "rule", "recency"), row_of("real-videos", "tracker", "SAM2")
    lines = []
    for goal in read("nano-goals")["rows"]:
        reached = sam2["sequences"][goal["of"]] / 100 if goal["file"] == "real-videos" else recency[goal["of"]]
        lines.append([goal["measure"], fraction(reached), fraction(goal["wanted"])])
    return table(["By SAM 2's rule", "`nano`", "wanted"], lines)


def speed() -> list[str]:
    lines = []
    for row in read("speed")["rows"]:
        cells = [row["policy"], str(row["objects"]), str(row["frames"]), f"{row['ours']:.1f}", f"{row['stock']:.1f}"]
        cells += [f"{row['ratio']:.2f}", f"{row['cost']:g}"]
        if "growth" in row:
            cells += [f"{row['growth']} MB (stock {row['stock_growth']})"]
            cells += [f"{row['late']:.2f} (stock {row['stock_late']:.2f})"]
        lines.append([*cells, *[""] * (9 - len(cells))])
    heads = ["policy", "objects", "frames", "ours", "stock", "ratio", "cost", "growth of memory", "late"]
    return table(heads, lines)


def simulation() -> list[str]:
    rows = read("simulation")["rows"]
    lines = [[row["way"], f"{row['fps']:.1f}", f"{row['ratio']:g}"] for row in rows]
    return table(["", "frames/s", "ratio to stock"], lines)


def _nano_parameters() -> int:
    with safe_open(CARD.parent / "model.safetensors", "numpy") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  (it is no dict)


def numbers() -> dict[str, str]:
    sam2 = row_of("real-videos", "tracker", "SAM2")
    now, before = sam2["sequences"], sam2["before"]
    stock, batched, memoised = read("simulation")["rows"][:3]
    several, long = row_of("speed", "objects", 5), row_of("speed", "frames", 2001)
    return {
        "nano.parameters": f"{_nano_parameters() / 1e6:.2f} M",
        "real-videos.sam2": f"{sam2['quality']:.0f} %",
        "real-videos.before": f"{before['quality']}: {', '.join(f'{key} {before[key]}' for key in SEQUENCES)}",
        "real-videos.card": ", ".join(
            f"{key} {fraction(now[key] / 100)} ({fraction(before[key] / 100)})" for key in SEQUENCES
        ),
        "generated-64.recency": fraction(row_of("generated-64", "rule", "recency")["quality"]),
        "simulation.stock": f"{stock['fps']}",
        "simulation.batched": f"{batched['fps']}",
        "simulation.memoised": f"{memoised['fps']:.0f}",
        "simulation.times": f"{memoised['ratio']:.0f}",
        "speed.five": f"{several['ratio']:.2f}",
        "speed.growth": f"{long['growth']} MB",
        "speed.stock_growth": f"{long['stock_growth']} MB",
        "speed.late": f"{long['late']:.2f}",
    }


TABLES: dict[str, Callable[[], list[str]]] = {
    "real-videos": partial(trackers, "real-videos"),
    "real-videos-each": partial(trackers, "real-videos", sequences=True),
    "demo": partial(trackers, "demo"),
    "reference-videos": partial(trackers, "reference-videos", extra="Quality, with `nano`"),
    "generated-64": generated,
    "generated-64-card": partial(generated, before=True),
    "nano-goals": nano_goals,
    "speed": speed,
    "simulation": simulation,
}
