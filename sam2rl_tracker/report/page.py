"""The report as one HTML page that needs nothing but itself, and its plots as PNG and PDF."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath, atomic_path, prepare_output_folder
from sam2rl_tracker.policies.registry import summary_of
from sam2rl_tracker.report.details import draw_details, save_details
from sam2rl_tracker.report.figures import Memory, draw_plots, remember
from sam2rl_tracker.report.measured import DUST, LOWER_IS_BETTER, NAMES, Measured, Training, measure
from sam2rl_tracker.report.palette import tracker_styles
from sam2rl_tracker.report.table import Report, labelled, making
from sam2rl_tracker.report.words import FEW, points, summarise
from sam2rl_tracker.runs.provenance import PAGE_PACKAGES, machine, python_version, versions
from sam2rl_tracker.training.settings import PRESETS
from sam2rl_tracker.vot.registry import registered_trackers
from sam2rl_tracker.vot.workspace import Workspace, open_workspace

MOST_DETAILS = 50
"""Objects shown in detail: more would make the page too large to open at once."""

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


def write_page(folder: StrPath, report: Report, out: StrPath | None = None) -> Path:
    """Write `index.html` and `figures/*.png`, `*.pdf`.

    Args:
        folder: The workspace.
        report: What `collect` said of it.
        out: Where to write; by default `report/` in the workspace.

    Returns:
        The page.

    Raises:
        Sam2rlError: The folder holds foreign files or cannot be written, or the workspace has damaged files.
    """
    workspace = open_workspace(folder)
    out = prepare_output_folder(workspace.folder / "report" if out is None else out)
    measured = measure(folder, report)
    styles = tracker_styles(measured.trackers)
    figures = out / "figures"
    plots, details = [], []
    if measured.trackers:
        try:
            (figures / "objects").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Sam2rlError(f"{figures} cannot be written ({error.strerror}): give another folder") from error
        plots = draw_plots(measured, styles, figures)
        details = draw_details(measured, workspace, styles, MOST_DETAILS)
        save_details(details, figures / "objects")
        _clean(figures, {plot.name for plot in plots})
        _clean(figures / "objects", {detail.name for detail in details})
    environment = Environment(
        loader=PackageLoader("sam2rl_tracker", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html").render(
        measured=measured,
        workspace=workspace,
        summary=summarise(measured),
        styles=styles,
        labelled=partial(labelled, trained=report.trained),
        trained=report.trained & set(measured.trackers),
        heads=_HEADS,
        table={name: {key: _cell(measured, name, key) for key in NAMES} for name in measured.trackers},
        sequences={name: _sequence_row(measured, name) for name in measured.by_sequence},
        few=FEW,
        rules=_rules(workspace, measured.trackers),
        plots={plot.name: plot for plot in plots},
        details=details,
        links={detail.one.sequence: detail.name for detail in reversed(details)},
        memories={name: memory for name in measured.trackers if (memory := remember(measured, name))},
        habits=_habits(measured),
        has_entropy=any("entropy" in training.columns for training in measured.trainings),
        settings=_settings(workspace, measured),
    )
    path = out / "index.html"
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _clean(folder: Path, names: Container[str]) -> None:
    """Delete figures of an earlier report that this one does not have."""
    for file in folder.iterdir():
        if file.suffix in (".png", ".pdf", ".svg") and file.stem not in names:
            file.unlink(missing_ok=True)


def _rules(workspace: Workspace, trackers: Sequence[str]) -> dict[str, str]:
    """What the trackers keep in memory, in a line each, of those whose command names a policy."""
    registered = registered_trackers(workspace)
    rules = {}
    for name in trackers:
        command = registered.get(name.partition("@")[0], {}).get("command", "")
        found = re.search(r"policy\s*=\s*['\"](\w+)", command)
        with suppress(Sam2rlError):  # a class of somebody's own
            if found:
                rules[name] = summary_of(found[1])
    return rules


def _cell(measured: Measured, tracker: str, key: str) -> Cell:
    value = getattr(measured.overall[tracker], key)
    if value is None:
        return Cell(None, "–")
    sign = -1 if key in LOWER_IS_BETTER else 1
    others = [getattr(measures, key) for measures in measured.overall.values()]
    best = sign * value > max(sign * other for other in others if other is not None) - DUST
    difference = measured.differences.get(tracker, {}).get(key)
    if difference is None:
        return Cell(value, f"{100 * value:.1f}", best=best)
    change = points(difference.mean)
    if difference.interval is not None:
        change += f" [{', '.join(map(points, difference.interval))}]"
    # A few sequences that happen to differ the same way would make every interval leave out 0.
    sure = difference.decided and difference.count >= FEW
    verdict = ("better" if sign * difference.mean > 0 else "worse") if sure else ""
    return Cell(value, f"{100 * value:.1f}", change, verdict, best)


def _sequence_row(measured: Measured, sequence: str) -> dict[str, Cell]:
    qualities = {name: measures.quality for name, measures in measured.by_sequence[sequence].items()}
    most = max(qualities.values())
    return {name: Cell(value, f"{100 * value:.1f}", best=value > most - DUST) for name, value in qualities.items()}


def _habits(measured: Measured) -> str:
    """How trained agents treat the memory, beside SAM 2."""
    sentences = []
    base = remember(measured, measured.base) if measured.base else None
    for name in sorted(measured.report.trained & set(measured.trackers)):
        memory = remember(measured, name)
        if memory is not None and base is not None:
            sentences.append(
                f"{name} {_habit(memory)}; {measured.base}, which always keeps the newest frames, {_habit(base)}."
            )
    return " ".join(sentences)


def _habit(memory: Memory) -> str:
    unused = f"never used {100 * memory.unused:.0f} % of the frames" if memory.unused >= 0.005 else "used every frame"
    return (
        f"{unused} as a memory, its memories were "
        f"{memory.median:.0f} frames old in the median, and the one that stayed longest was {memory.longest} "
        "frames old"
    )


def _settings(workspace: Workspace, measured: Measured) -> dict[str, str]:
    """What the numbers depend on, and how to get them again."""
    folder = shlex.quote(str(workspace.folder))
    commands = [f"sam2rl train {folder}{_settings_of(measured.trainings)}"] if measured.trainings else []
    names = [*measured.trackers, *(failure.tracker for failure in measured.report.failures)]
    if (workspace.folder / "benchmark" / "plan.json").is_file():
        commands = [f"sam2rl benchmark {folder}  # with the options that benchmark/plan.json tells"]
    commands += [f"vot evaluate --workspace {folder} {' '.join(map(shlex.quote, names))}", f"sam2rl report {folder}"]
    return {
        "Workspace": str(workspace.folder),
        "Commands": "\n".join(commands),
        "Written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "Made with": "\n".join(making(measured.report)) or "unknown: the results do not tell",
        "Versions": ", ".join(f"{name} {number}" for name, number in versions(PAGE_PACKAGES).items())
        + f", Python {python_version()}",
        "Machine of this page": machine(),
    }


def _settings_of(trainings: Sequence[Training]) -> str:
    """Options of `sam2rl train` that the trainings were made with, where all were made with the same."""
    defaults = asdict(PRESETS["default"])
    given = [{**training.settings, "seed": defaults["seed"]} for training in trainings]
    if any(settings != given[0] for settings in given):
        return " ...  # with settings that differ: see training/*/settings.json"
    changes = [f"{key}={value}" for key, value in given[0].items() if defaults.get(key, value) != value]
    seeds = sorted({training.seed for training in trainings})
    options = [*(f"--set {change}" for change in changes), *(f"--seed {seed}" for seed in seeds if seeds != [0])]
    return "".join(f" {option}" for option in options)
