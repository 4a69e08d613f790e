"""Tracking objects through a video, each with a memory policy of its own."""

from sam2rl_tracker.tracking.tracker import Tracker

__all__ = ["Tracker"]
