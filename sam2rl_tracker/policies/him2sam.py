"""HiM2SAM's rule: SAMURAI's choice by motion, and a memory of long-term and of spread-out short-term frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import pi, sqrt
from typing import ClassVar

import cv2
import numpy as np

from sam2rl_tracker.engine.types import CONDITIONING_SLOT, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.parameters import INTERNAL
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Correction, Encoding, Outcome, Prediction, Start
from sam2rl_tracker.policies.distractors import Areas, other_parts
from sam2rl_tracker.policies.samurai import Samurai

_LONG_RULES = ("hsdf", "hdf")


@dataclass
class HiM2Sam(Samurai):
    """HiM2SAM without point tracking: SAMURAI's mask choice, long-term frames, and short-term frames with gaps.

    Source: Chen et al., "HiM2SAM: Enhancing SAM2 with Hierarchical Motion Estimation and Memory Optimization towards
    Long-term Tracking" (arXiv:2507.07603); the published code (LouisFinner/HiM2SAM at 9e7d3fc) with the configuration
    of its large model on LaSOT.

    The published rule also asks a point tracker (CoTracker 3, whose weights are not ours to ship) to choose again among
    the three candidates where the choice is doubtful. Here it is never asked, as where it finds no points to follow.

    Quirks of the published code, kept: among the short-term frames the oldest has the temporal slot of the newest, and
    so on. Pointers are those before the newest short-term frame, not before the current one. Motion scores are lost
    before memories are chosen, so `memory_motion` of SAMURAI has no counterpart, though the paper names it. The newest
    frame has no place of its own in the memory.

    Attributes:
        long_size: Long-term frames that a prediction attends to. Higher values leave less room for short-term ones.
        long_gap: Frames from one long-term frame to the next, at least. Higher values make them rarer.
        short_gap: Frames that are skipped between two short-term ones, at least. Higher values reach farther back.
        long_iou: Predicted IoU above which a frame may be long-term. Higher values admit fewer frames.
        long_motion: Overlap with the predicted box above which a frame may be long-term, where motion took part in the
            choice. Higher values admit fewer frames.
        long_ratio: Highest over second highest predicted IoU above which a frame may be long-term. Higher values admit
            fewer frames.
        long_distance: Diameters of the object that another candidate's largest other part must reach away from the
            mask. Higher values admit fewer frames.
        long_area_low: Least area of a long-term frame, over the recent median area. Higher values admit fewer frames.
        long_area_high: Greatest area of a long-term frame, over the recent median area. Higher values admit more
            frames.
        long_rule: hsdf = as above; hdf = no frame is ever long-term, which is what the published configurations of the
            small models and for LaSOT-ext come to: the rule that they name does not exist.
    """

    memory_motion: float = field(default=-1.0, metadata=INTERNAL)  # below every motion score
    long_size: int = 1
    long_gap: int = 5
    short_gap: int = 2
    long_iou: float = 0.8
    long_motion: float = 0.8
    long_ratio: float = 1.5
    long_distance: float = 2.0
    long_area_low: float = 0.75
    long_area_high: float = 1.25
    long_rule: str = "hsdf"

    about: ClassVar[About] = About(
        title="HiM2SAM without point tracking",
        basis=Basis.CODE,
        compared="with zeros from its point tracker",
        paper="Chen et al., arXiv:2507.07603",
        attends="The prompted frame and the newest long-term one, as conditioning frames, and five remembered frames "
        "at least three apart; pointers of the fifteen frames before the newest of those.",
        remembers="Frames with predicted IoU and object score above thresholds. One is long-term when it is surer than "
        "that by IoU, motion and the second candidate, its area steady, and another candidate covers something far "
        "away.",
        chooses=Samurai.about.chooses,
        visible=Samurai.about.visible,
        corrected="The frame joins the prompted one as a conditioning frame, and counts as a long-term frame. The "
        "motion filter begins anew at the corrected box. Where the object was lost, the remembered frames are "
        "forgotten.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.long_size < MEMORY_SLOTS or self.long_gap < 0 or self.short_gap < 0:
            raise ValueError(f"long_size must be 0 to {MEMORY_SLOTS - 1}, long_gap and short_gap at least 0.")
        if self.long_rule not in _LONG_RULES:
            raise ValueError(f"long_rule must be one of {', '.join(_LONG_RULES)}, but is {self.long_rule!r}.")

    def begin(self, start: Start) -> None:
        self._long: list[FrameRecord] = []  # newest first
        self._past: list[FrameRecord] = []  # newest first: frames whose pointers can still be asked for
        self._areas = Areas()  # of the tracked frames, at the model's input size
        self._last_long: int | None = None
        self._is_long = False  # the current frame: `observe` decides, `store` carries out
        super().begin(start)

    def select(self, t: int) -> list[MemorySelection]:
        short = self._short_term()
        newest = next(iter([*short, *self._long]), None)
        now = newest.frame if newest else t
        memories = (
            (self._prompted, CONDITIONING_SLOT),
            *zip(short, reversed(range(len(short))), strict=True),
            *((record, CONDITIONING_SLOT) for record in self._long),
        )
        pointers = [(record, now - record.frame) for record in self._past if self._has_pointer(record, now)]
        return [MemorySelection(memories, ((self._prompted, now), *pointers), self.pointer_span)]

    def _short_term(self) -> list[FrameRecord]:
        """Newest first: good frames outside the long-term memory, with gaps, as many as there is room for."""
        picked: list[FrameRecord] = []
        for record in self._good:
            if record not in self._long and (not picked or picked[-1].frame - record.frame > self.short_gap):
                picked.append(record)
        return picked[: MEMORY_SLOTS - 1 - len(self._long)]

    def _has_pointer(self, record: FrameRecord, now: int) -> bool:
        """Whether the pointers of frame `now` include the record's."""
        return 0 < now - record.frame < self.pointer_span

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        (outcome,) = outcomes
        prediction, candidate = outcome.prediction, outcome.choice.candidate
        assert prediction.areas is not None
        area = int(prediction.areas[candidate]) if outcome.choice.visible else 0
        self._areas.add(area)
        self._is_long = (
            self.long_rule == "hsdf"
            and t >= 2
            and (self._last_long is None or t - self._last_long >= self.long_gap)
            and self._is_sure(prediction.ious, candidate)
            and self.long_area_low <= self._areas.ratio() <= self.long_area_high
            and area > 0
            and _farthest_part(prediction, candidate) > self.long_distance * 2 * sqrt(area / pi)
        )
        return [Encoding.SOFT]

    def _is_sure(self, ious: np.ndarray, candidate: int) -> bool:
        """Whether the chosen candidate is good by its predicted IoU, against the others, and by its motion."""
        second, best = np.sort(ious)[-2:]
        is_moved = self._motion is None or self._motion > self.long_motion
        return bool(ious[candidate] > self.long_iou and best > self.long_ratio * second and is_moved)

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            return
        if self._is_good(record):
            # As many as a selection can reach, each of whose frames skips `short_gap`.
            most = (MEMORY_SLOTS - 1) * (self.short_gap + 1) + self.long_size
            self._good = [record, *self._good][:most]
        if self._is_long:
            self._last_long = t
            self._long = [record, *self._long][: self.long_size]
        # Pointers are asked for from the next frame, the newest short-term frame, or one that is long-term now.
        nows = [t + 1, *(one.frame for one in [*self._short_term()[:1], *self._long])]
        self._past = [r for r in [record, *self._past] if any(self._has_pointer(r, now) for now in nows)]

    def correct(self, t: int, correction: Correction) -> None:
        super().correct(t, correction)
        # It is a conditioning frame now, as a long-term frame is, and needs no place among them.
        self._long = [] if correction.was_lost else [record for record in self._long if record.frame != t]
        if correction.record.area > 0:
            self._last_long = t
        self._areas.replace(0)  # not measured at the model's input size

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *self._good, *self._long, *self._past}


def _farthest_part(prediction: Prediction, candidate: int) -> float:
    """How far another candidate's largest part outside the chosen mask reaches from it, in pixels of the model's input.

    The boundary pixel of such a part that is farthest from the mask's boundary counts; 0 where there is no such part.
    """
    assert prediction.input_masks is not None
    masks = prediction.input_masks()
    away = cv2.distanceTransform(1 - _boundary(masks[candidate]), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    parts = other_parts(masks, candidate, masks[candidate])
    return max((float(away[_boundary(part) > 0].max()) for part in parts), default=0.0)


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels next to a change: uint8 [height, width] of 0 and 1."""
    pixels, around = mask.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)
    return cv2.dilate(pixels, around) - cv2.erode(pixels, around)
