"""What is collected of an evaluated workspace."""

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.collect import collect
from sam2rl_tracker.vot.workspace import create


def test_the_complete_are_measured_and_the_failed_are_named(evaluated):
    report = collect(evaluated.workspace.folder)
    assert list(report.analysis.trackers) == ["SAM2", "Perfect", "Mixed"]
    assert {failure.tracker for failure in report.failures} == {"Dies", "Refuses"}
    assert list(report.made_with) == ["SAM2"]  # scripted trackers do not tell


def test_a_workspace_without_results(evaluated, tmp_path):
    workspace = create(tmp_path / "w")
    with pytest.raises(Sam2rlError, match="names no sequences"):
        collect(workspace.folder)
    (workspace.sequences / "list.txt").write_text("single\n")
    (workspace.sequences / "single").symlink_to(evaluated.workspace.sequences / "single")
    with pytest.raises(Sam2rlError, match=r"has no results.*vot evaluate"):
        collect(workspace.folder)
