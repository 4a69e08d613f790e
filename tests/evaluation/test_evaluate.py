"""Running a policy on a clip."""

from __future__ import annotations

import numpy as np
from reference import load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import trace_clip


def test_a_trace_has_a_line_for_each_frame() -> None:
    video = load_video()
    clip = Clip(video.images[:4], video.truth[:4], np.ones(4, dtype=bool))
    lines = trace_clip(Tracker(device="cpu", num_frames=4), clip)
    assert [line.frame for line in lines] == [0, 1, 2, 3]
    assert [[frame for frame, _ in line.memories] for line in lines] == [[], [0], [0, 1], [0, 1, 2]]
