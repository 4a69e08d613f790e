"""Drawing and wording what was measured: tables, plots, overlays and HTML."""

from sam2rl_tracker.report.table import render, to_json

__all__ = ["render", "to_json"]
