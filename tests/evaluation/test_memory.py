"""How trackers use their memories."""

import pytest

from sam2rl_tracker.evaluation.memory import memory_use, used_frames


@pytest.mark.slow
def test_memories(made):
    assert used_frames([(), (0,), (0, 1), (0, 1)], 0).tolist() == [True, True, False, False]
    recent, agent = (memory_use(made.results.objects, name) for name in ("SAM2", "SAM2RL"))
    assert recent.unused == 0
    assert agent.unused == pytest.approx(19 / 22)  # of frames 1 to 22 it remembers 4, 8 and 12
    assert recent.longest == 3
    assert agent.longest == 19
    assert recent.milliseconds == pytest.approx(20)
