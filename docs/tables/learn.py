"""Policies on videos that nothing was trained on: docs/learn.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tables.cells import percent, signed, table
from tables.files import read, row_of


def unseen(group: str = "default") -> list[str]:
    """Every policy on generated videos that nothing was trained on."""
    (own,) = (row for row in read("unseen")["rows"] if row["group"] == group)
    rows = sorted(own["policies"], key=lambda row: row["quality"])
    return table(
        ["Policy", "Videos", "Quality", "Difference to SAM 2", "`learned` beside it"],
        (
            [
                f"`{row['policy']}`",
                str(row["videos"]),
                percent(row["quality"]),
                _paired(row, "to_sam2"),
                _paired(row, "of_learned"),
            ]
            for row in rows
        ),
    )


def unseen_others() -> list[str]:
    """SAM 2, the best rules and the learned agent on other videos."""
    rows = []
    for own in read("unseen")["rows"]:
        for row in own["policies"] if own["group"] != "default" else ():
            name = f"{own['group']} ({own['videos']})"
            rows.append([name, f"`{row['policy']}`", percent(row["quality"]), _paired(row, "to_sam2")])
    return table(["Videos", "Policy", "Quality", "Difference to SAM 2"], rows)


def unseen_calibration() -> list[str]:
    """What was said beside what was true."""
    curves = read("unseen")["calibration"]
    return table(
        ["", "Said", "True", "Frames"],
        (
            [what, f"{row['said']:.2f}", f"{row['true']:.2f}", f"{row['frames']}"]
            for what, name in (("presence", "presence"), ("IoU", "quality"))
            for row in curves[name]
        ),
    )


def ablation() -> list[str]:
    """The learned agent's control in parts, and refits without each kind of observation."""
    rows = []
    for row in read("learn-ablation")["rows"]:
        name = f"`{row['name']}`" if "=" in row["name"] else row["name"]
        rows.append([name, percent(row["quality"]), _paired(row, "difference")])
    return table(["", "Quality", "Difference"], rows)


def trials() -> list[str]:
    """What was tried to learn better, each beside what it began from."""
    rows = (
        [row["trial"], str(row["videos"]), percent(row["quality"]), row.get("beside", "-"), _paired(row, "difference")]
        for row in read("learn-trials")["rows"]
    )
    return table(["Trial", "Videos", "Quality", "Beside", "Difference"], rows)


def _gain_of_learned() -> str:
    (own,) = (row for row in read("unseen")["rows"] if row["group"] == "default")
    rows = {row["policy"]: row for row in own["policies"]}
    middle, low, high = (100 * value for value in rows["learned"]["to_sam2"])
    return f"{middle:.1f} points of Quality (95 % interval {low:.1f} to {high:.1f})"


def _paired(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return "-"
    middle, low, high = (100 * value for value in row[name])
    return f"{signed(middle)} ({signed(low)} to {signed(high)})"


def _told_by_ablation() -> str:
    """Which kinds of observation the agent is worse, better and neither without, by intervals on the unseen videos."""
    found: dict[str, list[str]] = {"worse": [], "better": [], "no different": []}
    for row in read("learn-ablation")["rows"]:
        if row["name"].startswith("without "):
            _, low, high = row["difference"]
            how = "worse" if high < 0 else "better" if low > 0 else "no different"
            found[how].append(row["name"].removeprefix("without "))
    return "; ".join(f"{how} without {', '.join(kinds)}" for how, kinds in found.items() if kinds)


def _by_seed_alone() -> str:
    return _paired(row_of("learn-ablation", "name", "another seed"), "difference")


def numbers() -> dict[str, str]:
    return {
        "unseen.gain": _gain_of_learned(),
        "learn-ablation.told": _told_by_ablation(),
        "learn-ablation.seed": _by_seed_alone(),
    }


TABLES: dict[str, Callable[[], list[str]]] = {
    "unseen": unseen,
    "unseen-others": unseen_others,
    "unseen-calibration": unseen_calibration,
    "learn-trials": trials,
    "learn-ablation": ablation,
}
