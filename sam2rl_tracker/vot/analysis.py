"""`vot analysis` of any stack: run afresh, and its measures read.

The toolkit is run by `vot.toolkit`. Which of its numbers are ours is decided here: stacks ask for what they like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.results import evaluated_experiments
from sam2rl_tracker.vot.sequences import IGNORE_FILE
from sam2rl_tracker.vot.toolkit import run_toolkit
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace


@dataclass(frozen=True)
class Scores:
    """Measures of a tracker as the toolkit computes them, as fractions; None where the stack does not ask for one.

    Attributes:
        quality: Mean overlap over all frames.
        accuracy: Mean IoU over the frames on which the object is tracked.
        robustness: Share of the frames with the object on which it is tracked; None also where none is ever visible.
    """

    quality: float | None
    accuracy: float | None
    robustness: float | None


@dataclass(frozen=True)
class StackMeasure:
    """A number that a stack asks for, as it names it.

    Attributes:
        experiment: The experiment's name.
        name: The analysis' name and, where it has several numbers, which one.
        values: {tracker: value}; None where the toolkit could not compute it.
    """

    experiment: str
    name: str
    values: dict[str, float | None]


@dataclass(frozen=True)
class Analysis:
    """The toolkit's measures.

    Attributes:
        trackers: {tracker: over all sequences}.
        sequences: {sequence: {tracker: on this sequence}}.
        others: What else the stack's analyses give per tracker.
        lacking: The measures that the stack does not give: "quality", "accuracy", "robustness", and the same
            "by sequence".
        notes: What a reader of the numbers should know, in sentences.
    """

    trackers: dict[str, Scores]
    sequences: dict[str, dict[str, Scores]]
    others: list[StackMeasure] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def analyse(folder: StrPath, trackers: Sequence[str]) -> Analysis:
    """Run `vot analysis` afresh, without its cache, and read the measures.

    Any stack will do: what it does not ask for is None, and listed as lacking.

    Args:
        folder: The workspace.
        trackers: Trackers with complete results; the toolkit gives up when one lacks any.

    Raises:
        Sam2rlError: The workspace is unsuitable, or the analysis failed.
    """
    workspace = checked_workspace(folder)
    obstacle = _obstacle(workspace)
    if obstacle:
        nothing = {"trackers": trackers, "sequences": workspace.names(), "results": {}}
        found = _read_analysis(nothing, workspace)
        return replace(found, notes=[obstacle])
    path = workspace.folder / "analysis" / "sam2rl.json"
    path.unlink(missing_ok=True)
    evaluated = [one.name for one in evaluated_experiments(workspace)]
    skipped = [one.name for one in workspace.experiments() if one.name not in evaluated]
    some = ["--experiments", ",".join(evaluated)] if skipped else []
    arguments = ["analysis", "--format", "json", "--name", path.stem, *some, *trackers]
    lines = run_toolkit(workspace, arguments, lambda line: None)
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        said = [line for line in lines if not re.fullmatch(r"\d+ %", line)]
        raise Sam2rlError(
            f"`vot analysis` failed in {workspace.folder} ({said[-1] if said else error}): run it there to see more."
        ) from error
    found = _read_analysis(document, workspace)
    if skipped:
        note = f"No tracker has results of {', '.join(skipped)}, experiments of {workspace.stack}."
        found = replace(found, notes=[*found.notes, note])
    return found


def _obstacle(workspace: Workspace) -> str | None:
    """Why the toolkit has nothing to measure or would fail at it."""
    experiments = evaluated_experiments(workspace)
    if not any(experiment.analyses for experiment in experiments):
        return f"{workspace.stack} asks for no measures: those of a challenge whose server has the truth do not."
    alone = [one.name for one in experiments if one.kind == "unsupervised" and not one.multiobject]
    ignoring = [name for name in workspace.names() if (workspace.sequences / name / IGNORE_FILE).is_file()]
    if alone and ignoring:
        return (
            f"{workspace.stack} gives a tracker one object at a time in {alone[0]}, where the toolkit takes "
            f"{IGNORE_FILE} for an object and fails; {ignoring[0]} has one."
        )
    for tag in sorted(frozenset[str]().union(*(experiment.tags for experiment in experiments))):
        for name in workspace.names():
            for file in (f"{tag}.tag", IGNORE_FILE):
                if not (workspace.sequences / name / file).is_file():
                    return (
                        f"{workspace.stack} counts the frames of the tag {tag!r} only, for which the toolkit needs "
                        f"{tag}.tag and {IGNORE_FILE} in every sequence; {name} has no {file}."
                    )
    return None


@dataclass(frozen=True)
class _Result:
    """An analysis of an experiment as the toolkit describes it.

    Attributes:
        experiment: The experiment's name.
        kind: Module and class within `vot.analysis`.
        parameters: Of the analysis.
        rows: A tuple of values per tracker; or per sequence of each tracker in turn.
    """

    experiment: str
    kind: str
    parameters: dict[str, Any]
    rows: list[Any]

    @property
    def name(self) -> str:
        """As the stack calls it, or else the toolkit."""
        return str(self.parameters.get("name") or self.kind.rpartition(".")[2])

    @property
    def counts_all(self) -> bool:
        """Whether every known frame counts, not those only on which the object is tracked."""
        return not self.parameters.get("ignore_invisible") and self.parameters.get("threshold") is None


def _results(document: dict[str, Any]) -> Iterator[_Result]:
    for experiment, entry in document["results"].items():
        # Results come without names, in the order of the analyses.
        for parameters, rows in zip(entry["parameters"]["analyses"], entry["results"], strict=True):
            kind = str(parameters["type"]).removeprefix("vot.analysis.")
            yield _Result(experiment, kind, parameters, rows or [])


def _read_analysis(document: dict[str, Any], workspace: Workspace) -> Analysis:
    trackers, sequences = list(document["trackers"]), list(document["sequences"])
    results = list(_results(document))

    def find(kind: str, width: int, counts_all: bool | None = None) -> _Result | None:
        """The first of a kind that has a value for each tracker (`width` 1) or each tracker on each sequence."""
        fitting = [
            one
            for one in results
            if one.kind == kind and len(one.rows) == width * len(trackers) and counts_all in (None, one.counts_all)
        ]
        return fitting[0] if fitting else None

    count = len(sequences)
    quality = find("accuracy.AverageAccuracy", 1, counts_all=True)
    ar = find("longterm.AccuracyRobustness", 1)
    qualities = find("accuracy.SequenceAccuracy", count, counts_all=True)
    accuracies = find("accuracy.SequenceAccuracy", count, counts_all=False)
    auxiliaries = find("longterm.QualityAuxiliary", count)
    wanted = {
        "quality": quality,
        "accuracy": ar,
        "robustness": ar,
        "quality by sequence": qualities,
        "accuracy by sequence": accuracies,
        "robustness by sequence": auxiliaries,
    }
    by_sequence: dict[str, dict[str, Scores]] = {name: {} for name in sequences}
    for index, (tracker, sequence) in enumerate((one, name) for one in trackers for name in sequences):
        nre, dre = _value(auxiliaries, index, 0), _value(auxiliaries, index, 1)
        robustness = None if nre is None or dre is None else max(1 - nre - dre, 0.0)
        by_sequence[sequence][tracker] = Scores(_value(qualities, index), _value(accuracies, index), robustness)
    return Analysis(
        trackers={
            name: Scores(_value(quality, index), _value(ar, index, 0), _value(ar, index, 1))
            for index, name in enumerate(trackers)
        },
        sequences=by_sequence,
        others=list(_others(results, (quality, ar, qualities, accuracies, auxiliaries), trackers)),
        lacking=[name for name, found in wanted.items() if found is None],
        notes=[] if quality is None else _differences(quality, workspace),
    )


def _value(result: _Result | None, index: int, column: int = 0) -> float | None:
    cell = None if result is None else result.rows[index]
    return None if cell is None else cell[column]


_COLUMNS = {
    "longterm.AccuracyRobustness": ("accuracy", "robustness"),
    "longterm.AverageQualityAuxiliary": ("NRE", "DRE", "ADQ"),
    "longterm.PrecisionRecall": ("precision", "recall", "F"),
    "multistart.AverageAccuracyRobustness": ("accuracy", "robustness"),
    "supervised.AverageAccuracyRobustness": ("accuracy", "failures"),
}
"""What the numbers of an analysis are, where it has several."""


def _others(results: list[_Result], shown: Sequence[_Result | None], trackers: Sequence[str]) -> Iterator[StackMeasure]:
    """The numbers per tracker of the analyses that are not shown elsewhere; curves and numbers by sequence are not."""
    for one in results:
        if any(one is other for other in shown) or len(one.rows) != len(trackers):
            continue
        cells = [[] if cell is None else cell for cell in one.rows]
        if not all(isinstance(cell, list) for cell in cells):
            continue
        numbers = [[value for value in cell if value is None or isinstance(value, float | int)] for cell in cells]
        names = _COLUMNS.get(one.kind)  # others have one number; what follows is for the toolkit's own plots
        for column in range(min(max(map(len, numbers)), len(names or (one.name,)))):
            label = f"{one.name}, {names[column]}" if names else one.name
            values = {name: row[column] if row else None for name, row in zip(trackers, numbers, strict=True)}
            yield StackMeasure(one.experiment, label, values)


def _differences(quality: _Result, workspace: Workspace) -> list[str]:
    """How a stack's quality is not that of VOTS, in a sentence."""
    parameters = quality.parameters
    differences = []
    if not parameters.get("filter_tag") and not parameters.get("burnin"):
        differences.append("the first frame counts as a miss, as the toolkit stores no answer there")
    if parameters.get("burnin"):
        differences.append(f"the first {parameters['burnin']} frames are left out")
    if parameters.get("weighted"):
        differences.append("long sequences weigh more")
    if parameters.get("ignore_unknown"):
        differences.append("frames without an answer are left out")
    if not differences:
        return []
    return [f"Quality is {quality.name!r} of {workspace.stack}, in which {', and '.join(differences)}."]
