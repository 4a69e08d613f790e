"""SAMURAI's rule: choose masks by motion, remember the frames that look reliable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sam2rl_tracker.engine.types import MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Choice, Correction, PointerWindow, Policy, Prediction, Start
from sam2rl_tracker.policies.kalman import BoxFilter, box_iou
from sam2rl_tracker.policies.recency import ranked


@dataclass
class Samurai(Policy):
    """Kalman-filtered mask choice and motion-aware memory selection.

    Source: Yang et al., "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with Motion-Aware
    Memory" (arXiv:2411.11922), sections 4.1 and 4.2, and its published code's defaults.

    Attributes:
        appear_score: Object score (a logit) above which the object is in the picture; SAM 2 takes 0. Higher values
            call it absent more often.
        kalman_weight: Weight of the overlap with the predicted box, against the predicted IoU, 0 to 1. Higher values
            trust the motion more.
        stable_frames: Frames of reliable masks before the motion takes part in the choice. Higher values wait longer.
        stable_iou: Predicted IoU below which the motion model starts anew. Higher values give it up more readily.
        memory_iou: Predicted IoU above which a frame is remembered. Higher values remember fewer frames.
        memory_object_score: Object score (a logit) above which a frame is remembered. Higher values remember fewer
            frames.
        memory_motion: Overlap with the predicted box above which a frame is remembered, where motion took part in the
            choice. Higher values remember fewer frames.
    """

    appear_score: float = -1.0
    kalman_weight: float = 0.15
    stable_frames: int = 15
    stable_iou: float = 0.3
    memory_iou: float = 0.5
    memory_object_score: float = 0.0
    memory_motion: float = 0.0

    about: ClassVar[About] = About(
        title="SAMURAI",
        basis=Basis.CODE,
        paper="Yang et al., arXiv:2411.11922",
        attends="The prompted frame, frame t-1 and the newest remembered ones, seven in all; pointers as in SAM 2.",
        remembers="Frames with predicted IoU, object score and, where they have one, motion score above thresholds.",
        chooses="The candidate of the highest predicted IoU, or after enough reliable frames of the highest weighted "
        "mean of predicted IoU and overlap with the box that a Kalman filter expects.",
        visible="Its object score is above appear_score, -1 by default.",
        corrected="The frame joins the prompted one as a conditioning frame. The motion filter begins anew at the "
        "corrected box. Where the object was lost, the remembered frames are forgotten.",
    )
    needs_boxes: ClassVar[bool] = True
    math_attention: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.stable_frames < 1 or not 0 <= self.kalman_weight <= 1:
            raise ValueError("stable_frames must be at least 1, and kalman_weight from 0 to 1.")

    def begin(self, start: Start) -> None:
        self._filter: BoxFilter | None = None
        self._stable = 0
        self._motion: float | None = None  # score of the current frame: `choose` measures it, `store` judges by it
        self._good: list[FrameRecord] = []  # newest first
        self._previous: FrameRecord | None = None
        super().begin(start)

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        (prediction,) = predictions
        boxes = self._boxes(prediction)
        best = self._best(prediction.ious, boxes)
        self._follow(prediction.ious[best], boxes[best])
        return [Choice(best, prediction.object_score > self.appear_score)]

    def _boxes(self, prediction: Prediction) -> np.ndarray:
        """Those of the candidates, [K, 4]; empty ones where the object is absent."""
        assert prediction.boxes is not None
        return prediction.boxes * (prediction.object_score > self.appear_score)

    def _best(self, ious: np.ndarray, boxes: np.ndarray) -> int:
        """The best candidate: by its predicted IoU and, after enough stable frames, by its motion."""
        self._motion = None
        expected = None if self._filter is None else self._filter.predict()
        if expected is None or self._stable < self.stable_frames:
            return int(ious.argmax())
        overlaps = np.array([box_iou(expected, box) for box in boxes])
        best = int((self.kalman_weight * overlaps + (1 - self.kalman_weight) * ious).argmax())
        self._motion = float(overlaps[best])
        return best

    def _follow(self, iou: float, box: np.ndarray) -> None:
        """Correct the motion by the chosen candidate, or start it anew."""
        if self._filter is None:
            self._filter, self._stable = BoxFilter(box), 1
        elif iou < self.stable_iou or (iou == self.stable_iou and self._stable < self.stable_frames):
            self._filter, self._stable = None, 0
        else:
            self._filter.update(box)
            self._stable += 1

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            self._pointers = PointerWindow(record, self.pointer_span)
            return
        self._pointers.add(record)
        self._previous = record
        # Frame 1 enters the memory only as the frame before the current one: the published walk ends at frame 2.
        if t >= 2 and self._is_good(record):
            self._good = [record, *self._good][: MEMORY_SLOTS - 1]

    def correct(self, t: int, correction: Correction) -> None:
        # What the motion was before is unknown: it led to a mask that was wrong.
        shown = correction.record.area > 0
        self._filter, self._stable = (BoxFilter(correction.box), 1) if shown else (None, 0)
        self._good = [record for record in self._good if record.frame != t]  # it is a conditioning frame now
        if correction.was_lost:
            self._good = []

    def _is_good(self, record: FrameRecord) -> bool:
        return (
            record.predicted_iou > self.memory_iou
            and record.object_score > self.memory_object_score
            and (self._motion is None or self._motion > self.memory_motion)
        )

    def select(self, t: int) -> list[MemorySelection]:
        recent = self._good
        if self._previous is not None and self._previous not in recent:
            recent = [self._previous, *recent][: MEMORY_SLOTS - 1]
        return [MemorySelection(ranked([self._prompted], recent), self._pointers.pairs(t), self.pointer_span)]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._good, *self._pointers.recent}
