"""Rules of one hypothesis on scripted predictions, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sam2rl_tracker.engine import FrameRecord, MemorySelection
from sam2rl_tracker.policies import Correction, Encoding, Outcome, Policy, Prediction, Start

SIZE = 32  # pixels of a side, of the video and of the model's input


def block(x: int) -> np.ndarray:
    """A mask: a square of 4 x 4 pixels, whose left upper one is at (x, 4)."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[4:8, x : x + 4] = True
    return mask


@dataclass(frozen=True)
class Frame:
    """What SAM 2 says about a frame: of three candidates the first is the best, at 4, the third is empty.

    Attributes:
        ious: Predicted IoU of each candidate.
        score: Object score.
        other: Where the second candidate is.
    """

    ious: Sequence[float] = (0.9, 0.1, 0.1)
    score: float = 5.0
    other: int = 4

    def prediction(self) -> Prediction:
        masks = np.stack([block(4), block(self.other), np.zeros((SIZE, SIZE), dtype=bool)])
        boxes = np.array([[4, 4, 8, 8]] * 3, dtype=np.float32)
        areas = masks.sum(axis=(1, 2)).astype(np.float32)
        ious = np.array(self.ious, dtype=np.float32)
        return Prediction(ious, areas, self.score, boxes, lambda: masks, areas=areas, input_masks=lambda: masks)


def record(frame: int, iou: float = 1.0, score: float = 10.0, area: int = 1) -> FrameRecord:
    return FrameRecord(frame, torch.zeros(1), torch.zeros(1), iou, score, area)


def begin(policy: Policy) -> None:
    policy.begin(Start(record(0), None, np.zeros(0), np.zeros(0), None))  # type: ignore[arg-type]


def play(policy: Policy, t: int, frame: Frame) -> tuple[MemorySelection, Encoding]:
    """One frame: what it attends to, and how it is remembered."""
    (selection,) = policy.select(t)
    named = {r for r, _ in (*selection.memories, *selection.pointers)}
    assert named <= set(policy.reachable())
    prediction = frame.prediction()
    (choice,) = policy.choose(t, [prediction])
    mask = block(4) & choice.visible
    (encoding,) = policy.observe(t, [Outcome(prediction, choice, mask, int(mask.sum()), torch.zeros(1))])
    iou = float(prediction.ious[choice.candidate])
    policy.store(t, [record(t, iou, frame.score, int(mask.sum()))])
    return selection, encoding


def correct(policy: Policy, t: int, mask: np.ndarray) -> None:
    """A user's mask for frame t, the last that was played."""
    logits = torch.from_numpy(mask).float() * 20 - 10
    box = np.array([4, 4, 8, 8], dtype=np.float32)
    policy.correct(t, Correction(record(t, area=int(mask.sum())), record(t), mask, box, logits, 0.9))


def memories(policy: Policy, t: int) -> list[tuple[int, int]]:
    """(frame, temporal slot) of what frame t attends to."""
    (selection,) = policy.select(t)
    return [(r.frame, slot) for r, slot in selection.memories]


def pointers(policy: Policy, t: int) -> list[tuple[int, int]]:
    """(frame, distance)."""
    (selection,) = policy.select(t)
    return [(r.frame, distance) for r, distance in selection.pointers]
