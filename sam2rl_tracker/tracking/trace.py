"""The trace: what every frame attended to and left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sam2rl_tracker.engine import FrameRecord, MemorySelection
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Said


@dataclass(frozen=True)
class TraceLine:
    """What one frame attended to and left behind for one object.

    Attributes:
        frame: Of the video, counted from 0.
        object: Its id.
        memories: [frame of the video, temporal slot] of each memory that the prediction attended to.
        pointers: [frame of the video, distance in frames] of each object pointer that it attended to.
        predicted_iou: Of the output mask.
        object_score: A logit; above 0 SAM 2 takes the object to be in the picture.
        area: Pixels of the output mask, before `non_overlap`.
        stored: Whether a later frame can still attend to the frame's memory.
        prompt: What a user said on this frame: "init" where the object was given, "correction" where its mask was
            corrected (the line then tells of the corrected mask), None elsewhere.
        said: Of a rule that judges by itself, the fields of `policies.Said`: what it decided, and how sure it was. None
            for others, and on the frame on which the object was given.
    """

    frame: int
    object: int
    memories: list[list[int]]
    pointers: list[list[int]]
    predicted_iou: float
    object_score: float
    area: int
    stored: bool
    prompt: str | None = None
    said: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The line as a dictionary, with the attributes as fields in their order; `said` only where something was."""
        return {name: value for name, value in vars(self).items() if name != "said" or value is not None}


def trace_line(
    frame: int,
    object_id: int,
    start: int,
    record: FrameRecord,
    selection: MemorySelection | None,
    stored: bool,
    corrected: bool = False,
    said: Said | None = None,
) -> TraceLine:
    """Describe one frame of one object.

    Args:
        frame: Of the video.
        start: Frame of the video on which the object was given; records count from there.
        record: What the frame left behind.
        selection: What it attended to; None on the frame on which the object was given.
        stored: Whether a later frame can still attend to the frame's memory.
        corrected: Whether a user corrected the mask.
        said: What the rule said of the frame.
    """
    return TraceLine(
        frame=frame,
        object=object_id,
        memories=[[start + r.frame, slot] for r, slot in selection.memories] if selection else [],
        pointers=[[start + r.frame, distance] for r, distance in selection.pointers] if selection else [],
        predicted_iou=round(record.predicted_iou, 6),
        object_score=round(record.object_score, 6),
        area=record.area,
        stored=stored,
        prompt="init" if selection is None else "correction" if corrected else None,
        said=dict(vars(said)) if said and selection else None,
    )


def read_trace(path: Path) -> list[TraceLine]:
    """Read a JSONL trace, also one that was written before traces told of prompts.

    Raises:
        Sam2rlError: The file cannot be read, or a line is none of a trace.
    """
    known = {field.name for field in fields(TraceLine)}
    lines = []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Sam2rlError(f"{path} cannot be read ({error}): give a trace of `sam2rl track`.") from error
    for number, text in enumerate(texts, start=1):
        try:
            entry = json.loads(text)
            lines.append(TraceLine(**{name: value for name, value in entry.items() if name in known}))
        except (ValueError, TypeError, AttributeError) as error:
            raise Sam2rlError(f"Line {number} of {path} is none of a trace: give one of `sam2rl track`.") from error
    return lines
