"""How fast tracking is, and what memory it takes."""

from __future__ import annotations

import pytest

from sam2rl_tracker.experiments.tracking_speed import Case, _endure
from sam2rl_tracker.runs.executors import run_apart


@pytest.mark.slow
def test_it_measures_memory_in_processes_of_its_own() -> None:
    endured = run_apart(_endure, "recency", "nano", "cpu", False, Case(1, 401), 0)
    assert endured.growth_mb is not None
    assert abs(endured.growth_mb) < 20
