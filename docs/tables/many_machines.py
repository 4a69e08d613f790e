"""What the file system is asked for: docs/many-machines.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tables.cells import table
from tables.files import read

CALLS = ("look", "open", "list", "create", "make folder", "rename", "delete")


def calls() -> list[str]:
    """What the file system is asked for each piece of work."""
    rows = read("many-machines")["rows"]
    lines = [[row["work"], *(str(row[call]) for call in CALLS), f"{row['bytes'] / 1e6:.2f} MB"] for row in rows]
    return table(["", *CALLS, "written"], lines)


def many_machines() -> list[str]:
    """The same in a second, where all workers of the example are at work, and what there is in the end."""
    about = read("many-machines")
    iteration, training, sequence, start, _ = about["rows"]
    videos, workers = about["assumed"]["videos"], about["assumed"]["workers"]
    left, share = about["left"], about["assumed"]["share"]

    def column(seconds: float, counts: Sequence[tuple[float, dict[str, Any]]], kind: str, records: int) -> list[str]:
        def total(*keys: str) -> float:
            return sum(times * row[key] for times, row in counts for key in keys)

        rate = workers / seconds
        hours = videos * seconds / workers / 3600
        return [
            f"{hours / 24:.0f} days" if hours > 48 else f"{hours:.1f} hours",
            f"{total('rename') * rate:.1f}",
            f"{total('create') * rate:.0f}",
            f"{total(*CALLS) * rate:.0f}",
            f"{total('bytes') * rate / 1e6:.1f}",
            f"{videos * left[f'{kind}_files'] + records:,}".replace(",", " "),
            f"{videos * left[f'{kind}_mb'] / 1000:.0f} GB",
        ]

    columns = [
        column(3600, [(150, iteration), (1, training)], "training", 0),
        column(120, [(18, iteration), (1, training)], "training", 0),
        column(10, [(1, sequence), (1 / share, start)], "evaluation", videos // share),
    ]
    heads = ["", "training, an hour each", "training, two minutes each", "evaluation, ten seconds each"]
    names = ["all of them", "renames per second", "files made per second", "calls per second", "MB per second"]
    names += ["files in the end", "disk in the end"]
    return table(heads, [[name, *cells] for name, *cells in zip(names, *columns, strict=True)])


def _plan_minutes() -> str:
    """How long `train` reads before it begins, where every call takes as long as assumed."""
    about = read("many-machines")
    planned = sum(about["rows"][-1][call] for call in CALLS)
    seconds = planned * about["assumed"]["videos"] * about["assumed"]["call_ms"] / 1000
    return f"{seconds / 60:.0f} minutes"


def numbers() -> dict[str, str]:
    return {"many-machines.plan_minutes": _plan_minutes()}


TABLES: dict[str, Callable[[], list[str]]] = {
    "calls": calls,
    "many-machines": many_machines,
}
