"""The curves of trainings and searches that a workspace keeps."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from sam2rl_tracker.evaluation.curves import Search, Training


def read_trainings(folder: Path) -> list[Training]:
    """What is legible of the trainings that a workspace keeps."""
    found = []
    for path in sorted(folder.glob("training/*/progress.csv")):
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            columns = {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else ())}
        except (OSError, ValueError, TypeError, csv.Error):
            continue
        if not columns.keys() >= {"steps", "mean"}:
            continue
        try:
            settings = dict(json.loads((path.parent / "settings.json").read_text()))
        except (OSError, ValueError, TypeError):
            settings = {}
        settings.pop("subject", None)
        if "iterations" in columns:
            settings["iterations"] = int(columns["iterations"][-1])
        subject, _, seed = path.parent.name.rpartition("_seed")
        found.append(Training(subject, int(seed) if seed.isdecimal() else 0, columns, settings))
    return found


def read_searches(folder: Path) -> list[Search]:
    """What is legible of the searches that a workspace keeps."""
    found = []
    for path in sorted(folder.glob("search/*.json")):
        try:
            result = json.loads(path.read_text())
            curves = {
                str(name): [(float(steps), float(value)) for steps, value in curve]
                for name, curve in result["curves"].items()
            }
            found.append(Search(path.stem, float(result["sam2"]), curves))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found
