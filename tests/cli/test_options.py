"""What there is to ask without a command: the version, lists, and the usage."""

from __future__ import annotations

import json

from commands import Run


def test_version_policies_and_usage(run: Run) -> None:
    assert run("--version")[1].startswith("sam2rl ")
    listed = run("track", "--list-policies")[1]
    assert "dam4sam:iou_threshold=0.8" in listed
    assert run("track")[0] == 2


def test_policies_are_listed_and_shown(run: Run) -> None:
    status, out, _ = run("policies")
    assert status == 0
    assert "recency, sam2" in out
    listed = json.loads(run("policies", "--json")[1])["policies"]
    assert listed["samurai"]["exactness"] == "equal to the published code"
    assert listed["sam2long"] == json.loads(run("policies", "sam2long", "--json")[1])
    shown = run("policies", "sam2")[1]
    assert "SAM2VideoPredictor" in shown
    assert "no parameters" in shown
    assert "stable_frames" in run("policies", "samurai")[1]
    status, _, err = run("policies", "nonsense")
    assert (status, "Policy 'nonsense' is unknown: give one of" in err) == (2, True)
