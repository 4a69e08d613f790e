"""The table of a workspace's trackers: Quality, Accuracy, Robustness, and what each gains over SAM 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam2rl_tracker.evaluation.methods import REFERENCE, title
from sam2rl_tracker.evaluation.scoring import describe
from sam2rl_tracker.report.words import beyond, fallen_back
from sam2rl_tracker.vot.analysis import Scores
from sam2rl_tracker.vot.collect import Report

_COLUMN = 13  # characters of a tracker's column, its border included: most words of a name fit


def render(report: Report, console: Console) -> None:
    """Print the measures over all sequences, as differences to SAM 2 too, and the qualities by sequence.

    What is not scored, and failures, follow in words.
    """
    trackers = report.analysis.trackers
    if trackers:
        table = Table(title="All sequences, % (difference to SAM 2)" if REFERENCE in trackers else "All sequences, %")
        table.add_column("Tracker")
        for measure in ("Quality", "Accuracy", "Robustness"):
            table.add_column(measure, justify="right")
        base = trackers.get(REFERENCE)
        for name, scores in trackers.items():
            compared = base if name != REFERENCE else None
            cells = (_cell(scores, compared, key) for key in ("quality", "accuracy", "robustness"))
            table.add_row(_head(name, report), *cells)
        console.print(table)
    left_out = any(one.object_name is None for one in report.not_scored)
    if len(report.analysis.sequences) > 1 or (report.analysis.sequences and left_out):
        qualities = {
            sequence: [_cell(row[name], None, "quality") for name in trackers]
            for sequence, row in report.analysis.sequences.items()
        }
        _print_by_tracker(console, "Quality by sequence, %", "Sequence", report, qualities)
    _render_others(report, console)
    if report.trained & trackers.keys():
        console.print("* trained on the ground truth that it is scored on", highlight=False)
    for line in [*beyond(report.controls), *fallen_back(report.fallbacks)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in [*making(report), *report.analysis.notes]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in describe(report.not_scored):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in report.failures:
        console.print(f"FAILED: {failure}", style="red", markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class MeasureTable:
    """Measures of other benchmarks that the truth of a workspace allows.

    Attributes:
        title: Whose they are.
        heads: {measure: (head of its column, what it is)}.
        rows: {tracker: {measure: fraction}}; None where it is not defined.
        note: What they count.
    """

    title: str
    heads: Mapping[str, tuple[str, str]]
    rows: Mapping[str, Mapping[str, float | None]]
    note: str


_BOX_HEADS = {
    "success_auc": ("Success AUC", "LaSOT: share of frames with a larger IoU, mean over 21 thresholds from 0 to 1"),
    "precision": ("Precision", "LaSOT: share of frames with at most 20 pixels between the centres"),
    "normalized_precision": ("Norm. precision", "LaSOT: the same with at most 0.2 true boxes between them"),
    "ao": ("AO", "GOT-10k: mean IoU"),
    "sr50": ("SR 0.5", "GOT-10k: share of frames with an IoU above 0.5"),
    "sr75": ("SR 0.75", "GOT-10k: share of frames with an IoU above 0.75"),
}
_MASK_HEADS = {
    "j": ("J", "IoU"),
    "f": ("F", "F-measure of contours, which meet within 0.8 % of the image's diagonal"),
    "j_and_f": ("J&F", "mean of J and F"),
}


def other_benchmarks(report: Report) -> list[MeasureTable]:
    """The measures of other benchmarks that a report has."""
    boxes = MeasureTable(
        "Boxes: success and precision as LaSOT, AO and SR as GOT-10k",
        _BOX_HEADS,
        {name: asdict(measures) for name, measures in report.boxes.items()},
        "Over the objects whose truth are boxes. The frame on which one is given counts in LaSOT's, not in GOT-10k's.",
    )
    masks = MeasureTable(
        "Masks: J and F as DAVIS",
        _MASK_HEADS,
        _mask_rows(report),
        "Over the objects whose truth are masks, without the frame on which one is given and the last of the video.",
    )
    return [table for table in (boxes, masks) if table.rows]


def _render_others(report: Report, console: Console) -> None:
    """Measures of other benchmarks, where the truth is of their kind, and what else the stack asks for."""
    for benchmark in other_benchmarks(report):
        table = Table(title=f"{benchmark.title}, %")
        table.add_column("Tracker")
        for head, _ in benchmark.heads.values():
            table.add_column(head, justify="right")
        for name, row in benchmark.rows.items():
            table.add_row(_head(name, report), *(_percent(row[key]) for key in benchmark.heads))
        console.print(table)
    others = [one for one in report.analysis.others if one.name not in _OURS]
    if others:
        # By measure, as there may be many: of each experiment EAO, accuracy, robustness, ...
        values = {
            f"{one.experiment}: {one.name}": ["-" if v is None else f"{v:.3f}" for v in one.values.values()]
            for one in others
        }
        _print_by_tracker(console, "Other measures of the stack", "Measure", report, values)


def _print_by_tracker(
    console: Console, title: str, corner: str, report: Report, rows: Mapping[str, Sequence[str]]
) -> None:
    """Print a table with a column for each tracker, as several where the console is too narrow for all of them.

    Args:
        corner: What the rows are.
        rows: {what a row is of: a cell for each tracker}.
    """
    heads = [_head(name, report) for name in report.analysis.trackers]
    room = console.width - max(map(len, [corner, *rows])) - 4
    count = max(room // _COLUMN, 1)
    for start in range(0, len(heads), count):
        table = Table(title=title if start == 0 else f"{title}, continued")
        table.add_column(corner, overflow="fold")
        for head in heads[start : start + count]:
            table.add_column(head, justify="right", overflow="fold")
        for row, cells in rows.items():
            table.add_row(escape(row), *cells[start : start + count])
        console.print(table)


_OURS = {f"Auxiliary, {name}" for name in ("NRE", "DRE", "ADQ")}
"""What the stack of our own workspaces asks for besides; the page has it."""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _head(tracker: str, report: Report) -> str:
    """A tracker's name in tables, with a star if it saw the truth that it is scored on."""
    return escape(title(tracker, report.namesakes, report.controls) + " *" * (tracker in report.trained))


def _mask_rows(report: Report) -> dict[str, dict[str, float | None]]:
    return {name: {"j": one.j, "f": one.f, "j_and_f": one.j_and_f} for name, one in report.masks.items()}


def making(report: Report) -> list[str]:
    """What the results were made with, a line each; a warning where they cannot be compared."""
    makers: dict[str, list[str]] = {}
    for name, made in report.made_with.items():
        for one in made:
            makers.setdefault(one, []).append(title(name, report.namesakes))
    if len(makers) < 2:
        return [f"Made with {one}" for one in makers]
    lines = [f"{', '.join(names)}: made with {one}" for one, names in makers.items()]
    return [*lines, "These were not made with the same: differences need not come from the rules."]


def _cell(scores: Scores, base: Scores | None, measure: str) -> str:
    """`62.3` or `62.3 (+3.4)`, both in %."""
    value = getattr(scores, measure)
    if value is None:
        return "-"
    other = None if base is None else getattr(base, measure)
    return f"{100 * value:.1f}" if other is None else f"{100 * value:.1f} ({100 * (value - other):+.1f})"


def to_json(report: Report) -> dict[str, Any]:
    """{"trackers": {NAME: {"quality": x, "accuracy": x, "robustness": x}}, "sequences": {SEQ: {NAME: {...}}}}.

    Fractions; robustness is None where no object is ever visible, and each is None where neither the stack nor the
    results give it. Trackers with incomplete results are left out, and named with the reason under "failures";
    "made_with" is as in `Report`. "not_scored" lists the sequences, objects and frames without known truth, which no
    measure counts. These stand there where they apply: "box_measures" and "mask_measures" by tracker, "stack" with the
    other numbers that the stack asks for, "notes" with what to know of the numbers, "controls" as in `Report`, and
    "fallbacks" by tracker, as `Fallbacks`.
    """
    document: dict[str, Any] = {
        "trackers": {name: asdict(scores) for name, scores in report.analysis.trackers.items()},
        "sequences": {
            sequence: {name: asdict(scores) for name, scores in row.items()}
            for sequence, row in report.analysis.sequences.items()
        },
        "made_with": report.made_with,
        "failures": {failure.tracker: str(failure) for failure in report.failures},
        "not_scored": [one.as_json() for one in report.not_scored],
    }
    stack: dict[str, dict[str, dict[str, float | None]]] = {}
    for one in report.analysis.others:
        stack.setdefault(one.experiment, {})[one.name] = one.values
    further = {
        "box_measures": {name: asdict(measures) for name, measures in report.boxes.items()},
        "mask_measures": _mask_rows(report),
        "stack": stack,
        "notes": report.analysis.notes,
        "controls": report.controls,
        "fallbacks": {name: told.as_json() for name, told in report.fallbacks.items()},
    }
    return document | {key: value for key, value in further.items() if value}
