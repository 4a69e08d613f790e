"""The page of the workspace with results written by hand, and a workspace in which trackers differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from compared import compared  # noqa: F401  # a fixture
from handwritten import Made

from sam2rl_tracker.report.page import write_page
from sam2rl_tracker.vot.scoring import complete


@pytest.fixture(scope="session")
def page(made: Made) -> Path:
    return write_page(made.workspace.folder, complete(made.workspace.folder, made.report))
