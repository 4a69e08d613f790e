"""The report as one HTML page that needs nothing but itself, and its plots as PNG and PDF."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.curves import Training
from sam2rl_tracker.evaluation.intervals import FEW
from sam2rl_tracker.evaluation.measures import LOWER_IS_BETTER, MEASURES
from sam2rl_tracker.evaluation.memory import memory_use
from sam2rl_tracker.evaluation.methods import title
from sam2rl_tracker.evaluation.results import ROUNDING, Results
from sam2rl_tracker.evaluation.scoring import describe
from sam2rl_tracker.media.files import StrPath, refuse_inputs, temporary_folder
from sam2rl_tracker.media.output_folder import output_folder
from sam2rl_tracker.policies.registry import summary_of
from sam2rl_tracker.report.details import draw_details, save_details
from sam2rl_tracker.report.plots import draw_plots
from sam2rl_tracker.report.style import tracker_styles
from sam2rl_tracker.report.table import MeasureTable, making, other_benchmarks
from sam2rl_tracker.report.words import beyond, habits, labelled, points, summarise
from sam2rl_tracker.runs.provenance import PAGE_PACKAGES, machine, python_version, versions
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.registry import registered, registered_trackers
from sam2rl_tracker.vot.tracks import read_results
from sam2rl_tracker.vot.trainings import read_searches, read_trainings
from sam2rl_tracker.vot.workspace import Workspace, open_workspace

MOST_DETAILS = 50
"""Objects shown in detail: more would make the page too large to open at once."""

_COMMAND = "report"  # as the marker of a page's folder names it
_PAGE = "index.html"

_HEADS = {
    "quality": ("Quality", "Mean IoU over all frames; a frame without the object counts 1 if the tracker says so"),
    "accuracy": ("Accuracy", "Mean IoU over the frames on which the mask touches the object"),
    "robustness": ("Robustness", "Share of the frames with the object on which the mask touches it"),
    "nre": ("NRE ↓", "Not-reported error: share of the frames with the object on which no mask is given"),
    "dre": ("DRE ↓", "Drift-rate error: share of the frames with the object on which something else is marked"),
    "adq": ("ADQ", "Absence-detection quality: share of the frames without the object on which no mask is given"),
}


@dataclass(frozen=True)
class Cell:
    """A number of the table.

    Attributes:
        value: For sorting; None where the measure is not defined.
        text: In percent.
        change: The difference to the baseline and its interval.
        verdict: "better" or "worse" where the interval says so, else "".
        best: Whether it is the best of its column.
    """

    value: float | None
    text: str
    change: str = ""
    verdict: str = ""
    best: bool = False


def check_page_folder(folder: StrPath, out: StrPath | None = None) -> Path:
    """The folder for a workspace's page, once nothing speaks against it; arguments and errors as in `write_page`."""
    workspace = open_workspace(folder)
    if out is not None:
        refuse_inputs(out, workspace.inputs)
    path = workspace.folder / "report" if out is None else Path(out)
    with output_folder(path, _COMMAND) as output:
        output.refuse_others([_PAGE])
    return path


def write_page(
    folder: StrPath, report: Report, out: StrPath | None = None, defaults: Mapping[str, float] | None = None
) -> Path:
    """Write `index.html` and `figures/*.png`, `*.pdf`; figures that only an earlier report had are deleted.

    Args:
        folder: The workspace.
        report: What `collect` said of it.
        out: Where to write; by default `report/` in the workspace.
        defaults: {setting: value} that `sam2rl train` takes where none is given, named as in a training's
            settings.json: the page's command leaves them out.

    Returns:
        The page.

    Raises:
        Sam2rlError: The folder holds foreign files, lies among the workspace's data or cannot be written, or the
            workspace has damaged files.
    """
    workspace = open_workspace(folder)
    results = read_results(folder, report)
    trainings, searches = read_trainings(workspace.folder), read_searches(workspace.folder)
    styles = tracker_styles(results.trackers)
    with output_folder(check_page_folder(folder, out), _COMMAND) as output, _scratch(output.path) as drawn:
        plots, details = [], []
        if results.trackers:
            plots = draw_plots(results, trainings, searches, styles, drawn)
            details = draw_details(results, workspace, styles, MOST_DETAILS)
            save_details(details, drawn / "objects")
        environment = Environment(
            loader=PackageLoader("sam2rl_tracker", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        page = environment.get_template("page.html").render(
            report=report,
            results=results,
            not_scored=describe(report.not_scored),
            trainings=trainings,
            workspace=workspace,
            summary=summarise(results),
            styles=styles,
            labelled=partial(labelled, trained=report.trained, namesakes=report.namesakes, controls=report.controls),
            title=partial(title, namesakes=report.namesakes, controls=report.controls),
            beyond=beyond(report.controls),
            trained=report.trained & set(results.trackers),
            heads=_HEADS,
            table={name: {key: _cell(results, name, key) for key in MEASURES} for name in results.trackers},
            benchmarks=[(one, benchmark_rows(one)) for one in other_benchmarks(report)],
            sequences={name: _sequence_row(results, name) for name in results.by_sequence},
            few=FEW,
            rules=_rules(workspace, results.trackers),
            plots={plot.name: plot for plot in plots},
            details=details,
            links={detail.one.sequence: detail.name for detail in reversed(details)},
            memories={name: use for name in results.trackers if (use := memory_use(results.objects, name))},
            habits=habits(results),
            has_entropy=any("entropy" in training.columns for training in trainings),
            settings=_settings(workspace, report, trainings, defaults),
        )
        files = {f"figures/{path.relative_to(drawn).as_posix()}": path for path in drawn.rglob("*.*")}
        output.refuse_others([*files, _PAGE])
        for name, file in files.items():
            with output.write(name) as temporary:
                os.replace(file, temporary)
        with output.write(_PAGE) as temporary:
            temporary.write_text(page, encoding="utf-8")
        output.clear_old()
        return output.path / _PAGE


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A hidden folder in a folder of results, with one for objects, to draw into before anything is replaced."""
    try:
        with temporary_folder(folder / "figures") as scratch:
            (scratch / "objects").mkdir()
            yield scratch
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): give another folder.") from error


def _rules(workspace: Workspace, trackers: Sequence[str]) -> dict[str, str]:
    """What the trackers keep in memory, in a line each, of those whose command names a policy."""
    known = registered_trackers(workspace)
    rules = {}
    for name in trackers:
        tracker = registered(known, name)
        with suppress(Sam2rlError):  # a class of somebody's own
            if tracker and tracker.policy:
                rules[name] = summary_of(tracker.policy)
    return rules


def _cell(results: Results, tracker: str, key: str) -> Cell:
    value = getattr(results.overall[tracker], key)
    if value is None:
        return Cell(None, "–")
    sign = -1 if key in LOWER_IS_BETTER else 1
    others = [getattr(measures, key) for measures in results.overall.values()]
    best = sign * value > max(sign * other for other in others if other is not None) - ROUNDING
    difference = results.differences.get(tracker, {}).get(key)
    if difference is None:
        return Cell(value, f"{100 * value:.1f}", best=best)
    change = points(difference.mean)
    if difference.interval is not None:
        change += f" [{', '.join(map(points, difference.interval))}]"
    # A few sequences that happen to differ the same way would make every interval leave out 0.
    sure = difference.decided and difference.count >= FEW
    verdict = ("better" if sign * difference.mean > 0 else "worse") if sure else ""
    return Cell(value, f"{100 * value:.1f}", change, verdict, best)


def _sequence_row(results: Results, sequence: str) -> dict[str, Cell]:
    return _cells({name: measures.quality for name, measures in results.by_sequence[sequence].items()})


def benchmark_rows(table: MeasureTable) -> dict[str, dict[str, Cell]]:
    """{tracker: {measure: cell}} of a table of another benchmark's measures."""
    columns = {key: _cells({name: row[key] for name, row in table.rows.items()}) for key in table.heads}
    return {name: {key: columns[key][name] for key in table.heads} for name in table.rows}


def _cells(values: Mapping[str, float | None]) -> dict[str, Cell]:
    """One measure of several trackers, the best of which is marked."""
    most = max((value for value in values.values() if value is not None), default=0.0)
    return {
        name: Cell(None, "–") if value is None else Cell(value, f"{100 * value:.1f}", best=value > most - ROUNDING)
        for name, value in values.items()
    }


def _settings(
    workspace: Workspace, report: Report, trainings: Sequence[Training], defaults: Mapping[str, float] | None
) -> dict[str, str]:
    """What the numbers depend on, and how to get them again."""
    folder = shlex.quote(str(workspace.folder))
    commands = [f"sam2rl train {folder}{_training_options(trainings, defaults)}"] if trainings else []
    names = [*report.analysis.trackers, *(failure.tracker for failure in report.failures)]
    if (workspace.folder / "benchmark" / "plan.json").is_file():
        commands = [f"sam2rl benchmark {folder}  # with the options that benchmark/plan.json tells"]
    commands += [f"vot evaluate --workspace {folder} {' '.join(map(shlex.quote, names))}", f"sam2rl report {folder}"]
    return {
        "Workspace": str(workspace.folder),
        "Commands": "\n".join(commands),
        "Written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "Made with": "\n".join(making(report)) or "unknown: the results do not tell",
        **({"Measures": "\n".join(report.analysis.notes)} if report.analysis.notes else {}),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions(PAGE_PACKAGES).items())
        + f", Python {python_version()}",
        "Machine of this page": machine(),
    }


def _training_options(trainings: Sequence[Training], defaults: Mapping[str, float] | None) -> str:
    """Options of `sam2rl train` that the trainings were made with, where all were made with the same."""
    given = [{**training.settings, "seed": None} for training in trainings]  # seeds may differ: they have an option
    if any(settings != given[0] for settings in given):
        return " ...  # with settings that differ: see training/*/settings.json"
    known = dict.fromkeys(given[0]) if defaults is None else defaults
    changes = [f"{key}={value}" for key, value in given[0].items() if key != "seed" and known.get(key, value) != value]
    seeds = sorted({training.seed for training in trainings})
    options = [*(f"--set {change}" for change in changes), *(f"--seed {seed}" for seed in seeds if seeds != [0])]
    return "".join(f" {option}" for option in options)
