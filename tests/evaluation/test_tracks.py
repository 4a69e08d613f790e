"""Where one tracker falls behind another, and overlaps of several objects or trackers."""

import numpy as np

from sam2rl_tracker.evaluation.tracks import mean_overlaps, overlap_spread, worst_span


def test_the_worst_span(made):
    one = made.results.objects[0]
    assert worst_span(one, "SAM2RL", "SAM2") is None
    assert worst_span(one, "SAM2", "SAM2RL") == (6, 19)


def test_unknown_frames_stay_unknown():
    first, second = np.array([0.5, np.nan, np.nan]), np.array([1.0, 0.25, np.nan])
    np.testing.assert_array_equal(mean_overlaps([first, second]), [0.75, 0.25, np.nan])
    np.testing.assert_array_equal(overlap_spread([first, second]), [0.5, np.nan, np.nan])
