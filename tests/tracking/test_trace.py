"""A line of the trace: numbers of frames, and the fields that users read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam2rl_tracker.engine import FrameRecord, MemorySelection
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.tracking.trace import TraceLine, read_trace, trace_line


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


def test_a_trace_is_read_also_one_of_before_prompts(tmp_path: Path) -> None:
    line = trace_line(13, 4, 10, record(3), None, stored=False, corrected=True)
    old = {name: value for name, value in line.to_json().items() if name != "prompt"}
    file = tmp_path / "t.jsonl"
    file.write_text(f"{json.dumps(line.to_json())}\n{json.dumps(old)}\n{json.dumps({**old, 'of_tomorrow': 1})}\n")
    assert read_trace(file) == [line, *[replace(line, prompt=None)] * 2]
    for text in ("3\n", "{}\n", "{\n"):
        file.write_text(text)
        with pytest.raises(Sam2rlError, match=r"Line 1 of .*t\.jsonl is none of a trace"):
            read_trace(file)
    with pytest.raises(Sam2rlError, match="nowhere cannot be read"):
        read_trace(tmp_path / "nowhere")
