"""Put trackers that ran later into docs/benchmark/: python docs/add_trackers.py N/benchmark.json

N is the folder of `sam2rl benchmark N --tracker NAME --tracker OTHER`, which has no agents. What both have, SAM 2 and
the baselines among it, must be equal to the last digit on every video; what N alone has is added. The claims are judged
again, as the best rule may be another, and the table and the pictures are made again. Frames/s are not taken over: they
were measured at another time. Enter the command and the day in docs/numbers/benchmark.json, and run make_tables.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument
from sam2rl_tracker.evaluation.methods import BASELINES, BEST, REFERENCE, SEARCHES, TRACKERS
from sam2rl_tracker.experiments.claims import judge, spread
from sam2rl_tracker.report.benchmark_plots import plot_gains, plot_steps
from sam2rl_tracker.report.benchmark_tables import write_csv
from sam2rl_tracker.runs.folder import write_json

DOCS = Path(__file__).resolve().parent
ORDER = (*TRACKERS, *BASELINES, *SEARCHES, BEST)
Value = TypeVar("Value")


def main(arguments: Sequence[str]) -> str | None:
    """Add the trackers of a benchmark's document, or say why not: a sentence, or None."""
    if len(arguments) != 1:
        return f"{len(arguments)} files were given, expected the benchmark.json of the later run."
    path = DOCS / "benchmark" / "default.json"
    try:
        document = add(read(path), read(Path(arguments[0])))
    except ValueError as error:
        return str(error)
    write_json(path, document.as_json(), indent=1)
    write_csv(path.with_suffix(".csv"), document)
    plot_gains(document, DOCS / "images" / "benchmark-gains.png")
    plot_steps(document, DOCS / "images" / "benchmark-steps.png")
    return None


def read(path: Path) -> BenchmarkDocument:
    return BenchmarkDocument.from_json(json.loads(path.read_text(encoding="utf-8")))


def add(document: BenchmarkDocument, later: BenchmarkDocument) -> BenchmarkDocument:
    """A benchmark's document with the trackers that a later one has besides.

    Raises:
        ValueError: They are not of the same videos and model, or differ in what both have.
    """
    for key in ("hashes", "model_hash"):
        if document.settings[key] != later.settings[key]:
            raise ValueError(f"The later run has another `settings.{key}`: it is of other videos or another model.")
    for name, row in later.videos.items():
        for key in row.keys() & document.videos[name].keys():
            if row[key] != document.videos[name][key]:
                raise ValueError(f"{key} on {name} is {row[key]}, not {document.videos[name][key]} as before.")
    videos = {name: in_order({**later.videos[name], **row}) for name, row in document.videos.items()}
    for row in videos.values():
        if BEST in row:
            row[BEST] = max(row.values())
    gains = {
        key: np.array([row[key] - row[REFERENCE] for row in videos.values() if key in row])
        for key in next(iter(videos.values()))  # the first video was searched: it has every method
    }
    added = {key: replace(method, fps=None) for key, method in later.methods.items()}
    gain, low, high = spread(gains[BEST])
    quality = float(np.mean([row[BEST] for row in videos.values() if BEST in row]))
    best = replace(document.methods[BEST], quality=quality, gain=gain, low=low, high=high)
    trackers = in_order({**later.trackers, **document.trackers})
    return replace(
        document,
        trackers=trackers,
        sequences={name: in_order({**later.sequences[name], **row}) for name, row in document.sequences.items()},
        methods=in_order({**added, **document.methods, BEST: best}),
        videos=videos,
        claims=judge(gains),
        settings={**document.settings, "trackers": list(trackers)},
    )


def in_order(rows: dict[str, Value]) -> dict[str, Value]:
    """Rows of methods in the order of the tables; what is unknown comes last."""
    return dict(sorted(rows.items(), key=lambda row: ORDER.index(row[0]) if row[0] in ORDER else len(ORDER)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
