"""`plot_banks` for traces as dictionaries, for docs/draw_policies.py until that passes `trace_clip`'s lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.report import bank_plot
from sam2rl_tracker.tracking.trace import TraceLine


def plot_banks(traces: Mapping[str, Sequence[Mapping[str, Any]]], path: StrPath, title: str) -> Path:
    """As `bank_plot.plot_banks`, of lines as `Tracker.trace` gives them."""
    records = {name: [TraceLine(**line) for line in lines] for name, lines in traces.items()}
    return bank_plot.plot_banks(records, path, title)
