"""MoSAM-style rule: prompt the decoder by the object's motion, remember what is likely right, by frame and by pixel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.engine.types import MEMORY_SLOTS, FrameRecord, MemorySelection, Prompt
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Correction, Encoding, Outcome, PointerWindow, Policy, Start
from sam2rl_tracker.policies.recency import ranked

_STRIDE = 4  # pixels of the model's input to a pixel of the logits, and of those to a place of a memory
_SATURATED = 32.0  # SAM 2 clamps the logits of an earlier mask to this before it feeds them back


@dataclass(frozen=True, eq=False)
class _Verdict:
    """What of a frame is likely right.

    Attributes:
        trusted: Whether the frame as a whole is.
        confident: bool [h*w], the places of its memory that are; None = all.
    """

    trusted: bool
    confident: Tensor | None


@dataclass
class MoSam(Policy):
    """Motion-guided prompts, and a memory without the frames and the pixels that are likely wrong; MoSAM-style.

    Source: Yang et al., "MoSAM: Motion-Guided Segment Anything Model with Spatial-Temporal Memory Selection"
    (arXiv:2505.00739), its abstract.

    What the abstract states: motion-guided prompting represents the object's motion in a sparse and a dense manner and
    injects both into SAM 2 as prompts; spatial-temporal memory selection identifies, at pixel and at frame level, what
    is likely to be segmented accurately, and eliminates the rest from memory.

    There was no code to compare with, and all else is our choice. The motion is the mean shift of the mask's centre
    over the last frames. The sparse prompt is one point: SAM 2 has learned to be corrected by points on frames that it
    tracks, but to be given boxes only where an object starts, and one point leaves it its three candidates. The dense
    prompt is the last mask's logits. A frame is trusted by its scores, a pixel by how far its probability is from 1/2.
    Untrusted frames and places drop out of the spatial memories; object pointers are SAM 2's. With all four switches
    off the rule is `recency`.

    Attributes:
        sparse: Prompt by the last mask's surest pixel, moved on by the motion.
        dense: Prompt by the last mask's logits, moved on by the motion. Off, as `nano` has never seen such prompts.
        frame_selection: Remember trusted frames only.
        pixel_selection: Attend only to those places of a memory where its mask is confident.
        motion_frames: Steps from frame to frame over which the motion is averaged. Higher values smooth it more, and
            follow a turn later.
        memory_iou: Predicted IoU above which a frame is trusted. Higher values trust fewer frames; after a frame that
            is not trusted there is no prompt.
        memory_object_score: Object score (a logit) above which a frame is trusted. Higher values trust fewer frames.
        pixel_confidence: Mean of |2 p - 1| over the pixels of a memory's place above which the place counts, 0 to 1.
            Higher values leave out more places.
    """

    sparse: bool = True
    dense: bool = False
    frame_selection: bool = True
    pixel_selection: bool = True
    motion_frames: int = 3
    memory_iou: float = 0.1
    memory_object_score: float = 0.0
    pixel_confidence: float = 0.5

    about: ClassVar[About] = About(
        title="MoSAM-style",
        basis=Basis.ABSTRACT,
        compared="there was no code to compare with",
        paper="Yang et al., arXiv:2505.00739",
        attends="The prompted frame and the six newest trusted ones, at the places where their masks are confident; "
        "pointers as in SAM 2. The decoder is prompted where the motion leads.",
        remembers="Trusted frames: predicted IoU and object score are above thresholds.",
        corrected="The frame joins the prompted one as a conditioning frame. The motion is measured anew. Where "
        "the object was lost, the remembered frames are forgotten.",
    )

    def __post_init__(self) -> None:
        if self.motion_frames < 1 or not 0 <= self.pixel_confidence < 1:
            raise ValueError("motion_frames must be at least 1, and pixel_confidence at least 0 and below 1.")

    def begin(self, start: Start) -> None:
        self._recent: list[tuple[FrameRecord, Tensor | None]] = []  # newest first, with the places that count
        self._centres: list[Tensor] = []  # of the masks of the last trusted frames in a row, newest last
        self._prompt: Prompt | None = None  # for the next frame
        self._verdict = _Verdict(False, None)  # on the current frame: `observe` decides, `store` carries out
        super().begin(start)

    def observe(self, t: int, outcomes: Sequence[Outcome]) -> list[Encoding]:
        (outcome,) = outcomes
        prediction, candidate = outcome.prediction, outcome.choice.candidate
        is_seen = outcome.choice.visible and bool(prediction.peaks[candidate] > 0)
        trusted = bool(
            prediction.ious[candidate] > self.memory_iou and prediction.object_score > self.memory_object_score
        )
        confident = _confidence(outcome.logits) > self.pixel_confidence if self.pixel_selection else None
        self._verdict = _Verdict(trusted, confident)
        self._prompt = self._foresee(outcome.logits, is_seen and trusted)
        return [Encoding.SOFT]

    def _foresee(self, logits: Tensor, is_known: bool) -> Prompt | None:
        """The prompt for the next frame, once the object was seen on two frames in a row."""
        if not (self.sparse or self.dense):
            return None
        self._centres = [*self._centres[-self.motion_frames :], _centre(logits)] if is_known else []
        if len(self._centres) < 2:
            return None
        motion = (self._centres[-1] - self._centres[0]) / (len(self._centres) - 1)  # [2] x, y a frame
        mask = _moved(logits, motion).clamp(-_SATURATED, _SATURATED) if self.dense else None
        if not self.sparse:
            return Prompt(mask=mask)
        size = logits.shape[-1]
        place = logits.argmax()
        surest = torch.stack([place % size, place // size])
        point = (surest + motion).clamp(0, size - 1) * _STRIDE + (_STRIDE - 1) / 2
        return Prompt(point[None], torch.ones(1, dtype=torch.int32, device=logits.device), mask)

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        (record,) = records
        if t == 0:
            self._prompted = record
            self._pointers = PointerWindow(record, self.pointer_span)
            return
        self._pointers.add(record)
        if self._verdict.trusted or not self.frame_selection:
            self._recent = [(record, self._verdict.confident), *self._recent][: MEMORY_SLOTS - 1]

    def correct(self, t: int, correction: Correction) -> None:
        # The motion is measured anew from here; there is none yet to prompt the next frame by.
        self._centres = [_centre(correction.logits)] if correction.record.area > 0 else []
        self._prompt = None
        self._recent = [entry for entry in self._recent if entry[0].frame != t]  # it is a conditioning frame now
        if correction.was_lost:
            self._recent = []

    def select(self, t: int) -> list[MemorySelection]:
        memories = ranked([self._prompted], [record for record, _ in self._recent])
        confident = dict(self._recent)
        return [
            MemorySelection(
                memories,
                self._pointers.pairs(t),
                self.pointer_span,
                prompt=self._prompt,
                memory_masks=tuple(confident.get(r) for r, _ in memories) if self.pixel_selection else None,
            )
        ]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *(record for record, _ in self._recent), *self._pointers.recent}


# All of this stays on the device: nothing waits for it.


def _centre(logits: Tensor) -> Tensor:
    """Mean place of the pixels above 0 in [n, n] logits: [2] x, y in pixels of the logits."""
    inside = (logits > 0).float()
    places = torch.arange(len(logits), dtype=torch.float32, device=logits.device)
    return torch.stack([inside.sum(dim=0) @ places, inside.sum(dim=1) @ places]) / inside.sum().clamp(min=1)


def _moved(logits: Tensor, motion: Tensor) -> Tensor:
    """[n, n] logits moved by `motion` pixels, x and y; what comes in at an edge repeats that edge."""
    size = logits.shape[-1]
    back = torch.cat([torch.eye(2, device=logits.device), -2 / size * motion[:, None]], dim=1)  # [2, 3]
    grid = F.affine_grid(back[None], [1, 1, size, size], align_corners=False)
    return F.grid_sample(logits[None, None], grid, padding_mode="border", align_corners=False)[0, 0]


def _confidence(logits: Tensor) -> Tensor:
    """[4h, 4w] logits -> [h*w]: mean of |2 p - 1| over the pixels of each place of a memory, 0 = a guess, 1 = sure."""
    return F.avg_pool2d(torch.tanh(logits.abs() / 2)[None], _STRIDE).flatten()
