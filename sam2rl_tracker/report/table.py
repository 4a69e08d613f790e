"""The table of a workspace's trackers: Quality, Accuracy, Robustness, and what each gains over SAM 2."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINE
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.registry import registered_trackers
from sam2rl_tracker.vot.results import Failure, checked_workspace, find_failure, made_with, tracked_names
from sam2rl_tracker.vot.toolkit import Analysis, Scores, analyse
from sam2rl_tracker.vot.workspace import Workspace


def that_saw_truth(workspace: Workspace, trackers: Iterable[str]) -> frozenset[str]:
    """Trackers whose agents have seen the ground truth that they are scored on: they run the policy `sam2rl`."""
    registered = registered_trackers(workspace)
    return frozenset(
        name
        for name in trackers
        if name.upper().startswith(AGENTS)
        or re.search(r"policy\s*=\s*['\"]sam2rl\b", registered.get(name.partition("@")[0], {}).get("command", ""))
    )


def labelled(tracker: str, trained: Container[str]) -> str:
    """A tracker's name for pictures, which says so if it is one of those that saw the truth they are scored on."""
    return f"{tracker} (trained on this truth)" if tracker in trained else tracker


@dataclass(frozen=True)
class Report:
    """What the toolkit measured, and the trackers it could not measure as their results are incomplete.

    Attributes:
        trained: The trackers that saw the ground truth they are scored on.
        made_with: Of each tracker whose results tell, the models, devices and versions they were made with.
    """

    analysis: Analysis
    failures: list[Failure]
    trained: frozenset[str]
    made_with: dict[str, list[str]] = field(default_factory=dict)


def collect(folder: StrPath) -> Report:
    """Check the results in a workspace and let the toolkit analyse the complete ones.

    Args:
        folder: The workspace.

    Returns:
        The measures of every tracker with complete results, SAM 2 first, then in the order of the registry; the others
        are listed as failures, of which a caller should make a non-zero exit status.

    Raises:
        Sam2rlError: The workspace is unsuitable, or nothing was evaluated in it.
    """
    workspace = checked_workspace(folder)
    registered = registered_trackers(workspace)
    order = [BASELINE, *registered]
    names = sorted(
        tracked_names(workspace), key=lambda name: (order.index(name) if name in order else len(order), name)
    )
    if not names:
        raise Sam2rlError(
            f"{workspace.folder} has no results, expected those of at least one tracker: "
            f"`vot evaluate --workspace {workspace.folder} SAM2 SAMURAI DAM4SAM`."
        )
    found = {name: find_failure(workspace, name) for name in names}
    for name in names:
        if name.partition("@")[0] not in registered:  # the toolkit gives up altogether at such a name
            found[name] = Failure(
                name, "any", f"it is not registered: add it to trackers.ini, or delete results/{name}"
            )
    complete = [name for name, failure in found.items() if failure is None]
    return Report(
        analysis=analyse(folder, complete) if complete else Analysis({}, {}),
        failures=[failure for failure in found.values() if failure is not None],
        trained=that_saw_truth(workspace, names),
        made_with={name: made for name in complete if (made := made_with(workspace, name))},
    )


def render(report: Report, console: Console) -> None:
    """Print the measures over all sequences, as differences to SAM 2 too, the qualities by sequence, and failures."""
    trackers = report.analysis.trackers
    if trackers:
        table = Table(title="All sequences, % (difference to SAM 2)" if BASELINE in trackers else "All sequences, %")
        table.add_column("Tracker")
        for measure in ("Quality", "Accuracy", "Robustness"):
            table.add_column(measure, justify="right")
        base = trackers.get(BASELINE)
        for name, scores in trackers.items():
            compared = base if name != BASELINE else None
            label = f"{name} *" if name in report.trained else name
            table.add_row(
                escape(label), *(_cell(scores, compared, key) for key in ("quality", "accuracy", "robustness"))
            )
        console.print(table)
    if len(report.analysis.sequences) > 1:
        table = Table(title="Quality by sequence, %")
        table.add_column("Sequence")
        for name in trackers:
            table.add_column(escape(f"{name} *" if name in report.trained else name), justify="right")
        for sequence, row in report.analysis.sequences.items():
            table.add_row(escape(sequence), *(_cell(row[name], None, "quality") for name in trackers))
        console.print(table)
    if report.trained & trackers.keys():
        console.print("* trained on the ground truth that it is scored on", highlight=False)
    for line in making(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in report.failures:
        console.print(f"FAILED: {failure}", style="red", markup=False, highlight=False, soft_wrap=True)


def making(report: Report) -> list[str]:
    """What the results were made with, a line each; a warning where they cannot be compared."""
    makers: dict[str, list[str]] = {}
    for name, made in report.made_with.items():
        for one in made:
            makers.setdefault(one, []).append(name)
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

    Fractions; robustness is None where no object is ever visible. Trackers with incomplete results are left out, and
    named with the reason under "failures"; "made_with" is as in `Report`.
    """
    return {
        "trackers": {name: asdict(scores) for name, scores in report.analysis.trackers.items()},
        "sequences": {
            sequence: {name: asdict(scores) for name, scores in row.items()}
            for sequence, row in report.analysis.sequences.items()
        },
        "made_with": report.made_with,
        "failures": {failure.tracker: str(failure) for failure in report.failures},
    }
