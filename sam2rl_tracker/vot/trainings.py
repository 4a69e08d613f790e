"""The curves of trainings and searches that a workspace keeps."""

from __future__ import annotations

import json
import math
from pathlib import Path

from sam2rl_tracker.evaluation.curves import Search, Training
from sam2rl_tracker.runs.folder import PROGRESS, SEARCHES, SETTINGS, TRAININGS, read_progress


def read_trainings(folder: Path) -> list[Training]:
    """What is legible of the trainings that a workspace keeps."""
    found = []
    for path in sorted(folder.glob(f"{TRAININGS}/*/{PROGRESS}")):
        table = read_progress(path, "iteration")
        columns = {name: values.tolist() for name, values in table.columns.items()}
        if not columns.keys() >= {"steps", "mean"}:
            continue
        try:
            settings = dict(json.loads((path.parent / SETTINGS).read_text()))
        except (OSError, ValueError, TypeError):
            settings = {}
        settings.pop("subject", None)
        last = columns.get("iterations", [math.nan])[-1]
        if math.isfinite(last):
            settings["iterations"] = int(last)
        subject, _, seed = path.parent.name.rpartition("_seed")
        found.append(Training(subject, int(seed) if seed.isdecimal() else 0, columns, settings))
    return found


def read_searches(folder: Path) -> list[Search]:
    """What is legible of the searches that a workspace keeps."""
    found = []
    for path in sorted(folder.glob(f"{SEARCHES}/*.json")):
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
