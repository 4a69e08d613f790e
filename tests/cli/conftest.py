"""The command line in an empty folder, and a workspace in which trackers differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run, commands
from compared import compared  # noqa: F401  # a fixture
from reference import Video, load_video


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `sam2rl ARGUMENTS` in an empty folder: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return commands(monkeypatch, capsys)


@pytest.fixture(scope="module")
def video() -> Video:
    return load_video()
