"""What was measured: the files of docs/numbers/ and docs/benchmark/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
CARD = DOCS.parent / "sam2rl_tracker" / "models" / "nano" / "MODEL_CARD.md"


@cache
def read(name: str) -> dict[str, Any]:
    """A measurement of docs/numbers/."""
    path = DOCS / "numbers" / f"{name}.json"
    if not path.is_file():
        raise SystemExit(f"docs/numbers/{name}.json does not exist.")
    return dict(json.loads(path.read_text(encoding="utf-8")))


@cache
def benchmark() -> dict[str, Any]:
    """What `sam2rl benchmark` wrote: its fields are described in `sam2rl_tracker.experiments.benchmark`."""
    return dict(json.loads((DOCS / "benchmark" / "default.json").read_text(encoding="utf-8")))


def row_of(name: str, column: str, value: Any) -> dict[str, Any]:
    """The first row of a measurement that has this value."""
    return next(row for row in read(name)["rows"] if row.get(column) == value)


def measured(name: str) -> list[str]:
    """Commands, and what they ran on."""
    about = read(name)
    made = f"Measured with {about['model']} on {about['machine']}. Recorded on {about['recorded']}."
    return ["```sh", *about["command"], "```", "", made]
