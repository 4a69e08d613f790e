"""The variables that a tracker gets which another program starts."""

from __future__ import annotations

from sam2rl_tracker.runs.variables import tracker_environment


def test_what_is_not_given_stays_as_the_environment_has_it() -> None:
    assert tracker_environment() == {}
    assert tracker_environment("nano", device="", compile=False, threads=1) == {
        "SAM2RL_MODEL": "nano",
        "SAM2RL_COMPILE": "0",
        "OMP_NUM_THREADS": "1",
    }
