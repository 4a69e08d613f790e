"""The page on writing a policy does what it says: its own blocks are run, in their order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reference import load_video

from sam2rl_tracker import Tracker

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-policy.md"


def blocks() -> list[tuple[str, str]]:
    """(language, text) of every block until the table is there."""
    page = PAGE.read_text().partition("## As a package")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_it_is_as_short_as_it_says() -> None:
    lines = [line for _, text in blocks() for line in text.splitlines() if line and not line.startswith("#")]
    assert f"in {len(lines)} lines" in PAGE.read_text()
    assert len(lines) < 40


@pytest.mark.slow
def test_from_nothing_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for language, text in blocks():
        if language == "sh":
            for command in text.replace("--frames 60", "--frames 6").splitlines():
                done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
                assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        else:  # a file's contents, under its name
            name, _, content = text.partition("\n")
            with (tmp_path / name.removeprefix("# ")).open("a") as file:
                file.write(f"\n{content}")
    assert "KeepBest" in done.stdout  # the report
    report = subprocess.run(["sam2rl", "report", "W", "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert set(json.loads(report.stdout)["trackers"]) == {"SAM2", "KeepBest"}


def test_the_rule_is_the_one_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It remembers the newest frame and the surest ones."""
    (source,) = [text for language, text in blocks() if language == "python"]
    (tmp_path / "keep_best.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    video = load_video()
    tracker = Tracker("nano", "keep_best:KeepBest:count=2", device="cpu")
    tracker.initialize(video.images[0], video.truth[:1])
    ious: dict[int, float] = {}
    for t in range(1, 20):
        tracker.track(video.images[t])
        (line,) = tracker.trace()
        older = range(1, t - 1)
        surest = sorted(older, key=lambda frame: -ious[frame])[:2]
        newest = [t - 1] if t > 1 else []
        assert [frame for frame, _ in line["memories"]] == [0, *sorted(surest), *newest]
        ious[t] = line["predicted_iou"]
