"""Measures and overlaps, intervals, clips, results of trackers, and evaluating a policy on a clip."""
