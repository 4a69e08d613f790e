"""The real toolkit on a small workspace: scores, failures, and our measures beside its own."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import yaml

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import Measures, mean_measures, measure_object
from sam2rl_tracker.vot.analysis import Scores, analyse
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.regions import Region, read_trajectory
from sam2rl_tracker.vot.scoring import complete
from sam2rl_tracker.vot.sequences import AnnotatedFrame, read_sequence
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import Workspace, create


@pytest.fixture(scope="module")
def analysis(evaluated):
    return analyse(evaluated.workspace.folder, ["Perfect", "Mixed", "SAM2"])


def own_measures(workspace: Workspace, tracker: str) -> dict[str, Measures]:
    """{sequence: measures} from the result files that the toolkit wrote."""
    found = {}
    for name in workspace.names():
        sequence = read_sequence(workspace.sequences / name)
        items = []
        for k in sequence.regions:
            stem = f"{name}_{k}_001" if len(sequence.regions) > 1 else f"{name}_001"
            data = (workspace.folder / "results" / tracker / "baseline" / name / f"{stem}.bin").read_bytes()
            prediction = np.zeros((len(sequence), *sequence.size), dtype=bool)
            for mask, region in zip(prediction, read_trajectory(data), strict=True):
                if isinstance(region, Region):
                    mask[:] = region.full(sequence.size)
            items.append(measure_object(prediction, sequence.masks(k), sequence.known(k), sequence.ignored_masks()))
        found[name] = mean_measures(items)
    return found


@pytest.mark.slow
def test_a_perfect_tracker_scores_exactly_one(analysis):
    assert analysis.trackers["Perfect"] == Scores(1.0, 1.0, 1.0)
    assert all(row["Perfect"] == Scores(1.0, 1.0, 1.0) for row in analysis.sequences.values())


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["Perfect", "Mixed"])
def test_own_measures_agree_with_the_toolkit(evaluated, analysis, tracker):
    own = own_measures(evaluated.workspace, tracker)
    for name, measures in own.items():
        expected = astuple(analysis.sequences[name][tracker])
        assert (measures.quality, measures.accuracy, measures.robustness) == pytest.approx(expected, abs=1e-6)
    total = mean_measures(own.values())
    expected = astuple(analysis.trackers[tracker])
    assert (total.quality, total.accuracy, total.robustness) == pytest.approx(expected, abs=1e-6)

    document = json.loads((evaluated.workspace.folder / "analysis" / "sam2rl.json").read_text())
    results = document["results"]["baseline"]
    names = [entry["name"] for entry in results["parameters"]["analyses"]]
    auxiliary = results["results"][names.index("Auxiliary")][list(document["trackers"]).index(tracker)]
    assert (total.nre, total.dre, total.adq) == pytest.approx(auxiliary, abs=1e-6)


@pytest.mark.slow
def test_the_mixed_results_are_a_mixture(evaluated):
    """Otherwise the agreement above would prove little."""
    total = mean_measures(own_measures(evaluated.workspace, "Mixed").values())
    assert all(value is not None and 0.05 < value < 0.95 for value in astuple(total))


@pytest.mark.slow
def test_trackers_that_work_are_not_reported(evaluated):
    assert set(evaluated.failures) == {"Dies", "Refuses"}


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (["report", "--format", "html", "--name", "page", "SAM2", "Mixed"], "reports/page/report.html"),
        (["pack", "SAM2"], "SAM2_*.zip"),
    ],
)
def test_other_commands_of_the_toolkit(evaluated, arguments, result):
    folder = evaluated.workspace.folder
    command = [sys.executable, "-m", "vot", arguments[0], "--workspace", str(folder), *arguments[1:]]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    assert [file for file in folder.glob(result) if file.stat().st_size > 1000]


# ---------------------------------------------------------------- bad input


@pytest.mark.slow
def test_an_unknown_tracker_is_an_error_that_lists_the_known(evaluated):
    with pytest.raises(Sam2rlError, match=r"Nobody is not a tracker.*DAM4SAM.*SAM2"):
        evaluate(evaluated.workspace.folder, ["Nobody"])


def test_a_stack_with_fewer_analyses_under_other_names(evaluated):
    """Analyses are known by what they compute; what a stack leaves out is listed, and computed from the results."""
    stack: Path = evaluated.workspace.stack
    text = stack.read_text()
    experiment = yaml.safe_load(text)
    chosen = experiment["experiments"]["baseline"]["analyses"][:3]
    for one, name in zip(chosen, ["q", None, "a and r"], strict=True):
        one["name"] = name or one["name"]
    experiment["experiments"]["baseline"]["analyses"] = chosen
    try:
        stack.write_text(yaml.safe_dump(experiment))
        found = analyse(evaluated.workspace.folder, ["Perfect"])
        assert found.trackers["Perfect"] == Scores(1.0, 1.0, 1.0)
        assert found.sequences["single"]["Perfect"] == Scores(None, None, None)
        assert found.lacking == ["quality by sequence", "accuracy by sequence", "robustness by sequence"]
        report = complete(evaluated.workspace.folder, Report(found, [], frozenset()))
        assert report.analysis.sequences["single"]["Perfect"] == Scores(1.0, 1.0, 1.0)
        assert any("Computed by sam2rl" in note and "quality" in note for note in report.analysis.notes)
        stack.write_text(text.partition("    analyses:")[0])
        report = complete(
            evaluated.workspace.folder, Report(analyse(evaluated.workspace.folder, ["Perfect"]), [], frozenset())
        )
        assert report.analysis.trackers["Perfect"] == Scores(1.0, 1.0, 1.0)
        assert "asks for no measures" in report.analysis.notes[0]
    finally:
        stack.write_text(text)


def test_an_interrupted_evaluation_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = create(tmp_path / "w")
    mask = np.eye(8, dtype=bool)
    workspace.add("one", (AnnotatedFrame(np.zeros((8, 8, 3), dtype=np.uint8), {1: mask}, None) for _ in range(4)))
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))  # instead of the toolkit
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT))  # as Ctrl-C does
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    started = time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            evaluate(workspace.folder, ["SAM2", "DAM4SAM"], jobs=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 20
