"""What there is to ask without a command: the version, lists, and the usage."""

from __future__ import annotations

from commands import Run


def test_version_policies_and_usage(run: Run) -> None:
    assert run("--version")[1].startswith("sam2rl ")
    listed = run("track", "--list-policies")[1]
    assert "dam4sam:iou_threshold=0.8" in listed
    assert run("track")[0] == 2
