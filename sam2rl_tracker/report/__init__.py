"""Tables, plots, overlays and HTML."""

from sam2rl_tracker.media.overlay import overlay
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.report.table import Report, collect, render, to_json

__all__ = ["Report", "VideoWriter", "collect", "overlay", "render", "to_json"]
