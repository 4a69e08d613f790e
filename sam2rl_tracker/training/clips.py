"""Where the documentation of 0.1.0 had `load_clip`, which is in `vot.clips` now."""

from sam2rl_tracker.vot.clips import load_clip

__all__ = ["load_clip"]
