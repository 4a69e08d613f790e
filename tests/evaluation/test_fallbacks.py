"""Agents that fell back to SAM 2's own rule are counted as that."""

from __future__ import annotations

import pytest

from sam2rl_tracker.evaluation.fallbacks import AgentsUsed, Fallbacks, beyond_memory


def test_the_gain_with_and_without_them() -> None:
    found = Fallbacks.of([0.04, 0.0, 0.02], [[False], [True], [False]])
    assert (found.agents, found.fell_back) == (3, 1)
    assert (found.gain, found.gain_without) == pytest.approx((0.02, 0.03))
    assert found.sentence() == (
        "1 of 3 agents fell back to SAM 2's own rule. The gain over SAM 2 is +2.0 points, and +3.0 without them."
    )
    none = Fallbacks.of([0.04], [[False]])
    assert none.sentence() == "0 of 1 agents fell back to SAM 2's own rule. The gain over SAM 2 is +4.0 points."
    every = Fallbacks.of([0.0], [[True, True]])
    assert (every.agents, every.fell_back, every.gain_without) == (2, 2, None)
    assert "it is theirs alone" in every.sentence()


def test_agents_as_results_tell_of_them() -> None:
    used = AgentsUsed({"one": ["memory"], "two": ["memory fallback", "memory"], "three": ["memory fallback"]})
    assert used.control == "memory"
    found = used.fallbacks({"one": 0.3, "two": 0.1, "three": 0.0})
    assert found is not None
    assert (found.agents, found.fell_back) == (4, 2)
    assert found.gain_without == pytest.approx(0.2)  # a sequence with one agent that did not fall back counts
    assert used.fallbacks({}) is None
    mixed = AgentsUsed({"one": ["both"], "two": ["memory fallback"]})
    assert beyond_memory({"SAM2RL": mixed, "SAM2RL@1": used}) == {"SAM2RL": "both and memory"}
