"""The baselines keep the frames that they say."""

from __future__ import annotations

import pytest
from reference import load_video, track_exactly

from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import make_policy

pytestmark = pytest.mark.usefixtures("one_thread")


def banks(model: Model, policy: str, frames: int) -> list[list[int]]:
    """The frames that each prediction attended to, from frame 1 on."""
    video = load_video()
    seen = []
    for _, tracker in track_exactly(model, video, policy):
        seen.append([frame for frame, _ in tracker.trace()[0]["memories"]])
        if len(seen) == frames:
            break
    return seen[1:]


def test_never_keeps_the_prompted_frame_alone(nano: Model) -> None:
    assert banks(nano, "never", 5) == [[0]] * 4


def test_stride_reaches_far_back(nano: Model) -> None:
    assert banks(nano, "stride:stride=3", 24)[-1] == [0, 6, 9, 12, 15, 18, 21]


@pytest.mark.slow
def test_random_follows_its_seed(nano: Model) -> None:
    first, again, other = (banks(nano, f"random:seed={seed}", 20) for seed in (1, 1, 2))
    assert first == again != other
    assert all(bank[0] == 0 and len(bank) <= 7 for bank in first)


@pytest.mark.parametrize("spec", ["stride:stride=0", "random:seed=-1"])
def test_bad_parameters(spec: str) -> None:
    with pytest.raises(Sam2rlError, match="must be at least"):
        make_policy(spec)()
