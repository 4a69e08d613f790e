"""A line of the trace: numbers of frames, and the fields that users read."""

from __future__ import annotations

import json

import torch

from sam2rl_tracker.engine import FrameRecord, MemorySelection
from sam2rl_tracker.tracking.trace import TraceLine, trace_line


def record(frame: int) -> FrameRecord:
    return FrameRecord(frame, None, torch.zeros(1), 0.123456789, -2.5, area=7)


def test_frames_are_those_of_the_video() -> None:
    """The object was given on frame 10; its records count from there."""
    selection = MemorySelection(((record(0), 6), (record(2), 0)), ((record(0), 3), (record(2), 1)))
    line = trace_line(13, 4, 10, record(3), selection, stored=False)
    assert line.to_json() == {
        "frame": 13,
        "object": 4,
        "memories": [[10, 6], [12, 0]],
        "pointers": [[10, 3], [12, 1]],
        "predicted_iou": 0.123457,
        "object_score": -2.5,
        "area": 7,
        "stored": False,
        "prompt": None,
    }
    assert TraceLine(**json.loads(json.dumps(line.to_json()))) == line


def test_the_prompted_frame_attended_to_nothing() -> None:
    line = trace_line(0, 1, 0, record(0), None, stored=True)
    assert line.memories == line.pointers == []
    assert line.prompt == "init"


def test_a_corrected_frame_says_so() -> None:
    selection = MemorySelection(((record(0), 6),), ())
    assert trace_line(1, 1, 0, record(1), selection, stored=True, corrected=True).prompt == "correction"
