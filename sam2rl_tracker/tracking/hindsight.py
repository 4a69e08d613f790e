"""The past of a video under every hypothesis that lived on, kept small until the policies say which was right."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from sam2rl_tracker.tracking.steps import Turn
from sam2rl_tracker.tracking.trace import TraceLine


@dataclass(frozen=True, eq=False)
class Revised:
    """One frame, as the policies see it in the light of the later ones.

    Attributes:
        masks: bool [objects, height, width].
        trace: Of each object.
    """

    masks: np.ndarray
    trace: list[TraceLine]


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame with all its choices, those of one object after those of another.

    Attributes:
        turns: The objects.
        spans: The choices of each.
        shape: Of the masks: choices, height, width.
        masks: A bit a pixel, deflated.
        contested: int32 [n], the pixels on which several objects may meet and must not.
        logits: float32 [choices, n], which decide there.
        traces: A line of JSON per choice.
    """

    turns: Sequence[Turn]
    spans: Sequence[slice]
    shape: tuple[int, ...]
    masks: bytes
    contested: np.ndarray
    logits: np.ndarray
    traces: list[str]

    def unpack(self) -> np.ndarray:
        """The masks, bool [choices, height, width]."""
        bits = np.frombuffer(zlib.decompress(self.masks), dtype=np.uint8)
        return np.unpackbits(bits, count=int(np.prod(self.shape))).reshape(self.shape).astype(bool)


class Hindsight:
    """Frames as they were tracked, for policies that revise their output.

    A frame costs as much as a PNG of its masks: hypotheses that agree are one choice, and are kept once.

    Args:
        non_overlap: Whether a pixel belongs to one object at most.
    """

    def __init__(self, non_overlap: bool):
        self._non_overlap = non_overlap
        self._frames: list[_Frame] = []

    def add(
        self,
        turns: Sequence[Turn],
        spans: Sequence[slice],
        masks: np.ndarray,
        logits: Tensor | None,
        traces: Sequence[TraceLine],
    ) -> None:
        """Keep a frame.

        Args:
            turns: The objects.
            spans: The choices of each.
            masks: bool [choices, height, width].
            logits: [choices, height, width]; None where there are no objects.
            traces: Of each choice.
        """
        contested = np.zeros(0, dtype=np.int32)
        if self._non_overlap:
            claims = sum(masks[own].any(axis=0).astype(np.int32) for own in spans)
            contested = np.flatnonzero(claims > 1).astype(np.int32)
        values = np.zeros((len(masks), 0), dtype=np.float32)
        if logits is not None and len(contested):
            values = logits.flatten(1)[:, contested].cpu().numpy()
        lines = [json.dumps(line.to_json()) for line in traces]
        self._frames.append(_Frame(turns, spans, masks.shape, _pack(masks), contested, values, lines))

    def correct(self, turn: Turn, mask: np.ndarray, line: TraceLine) -> None:
        """Let a user's correction be the last word on one object of the frame that was added last.

        Args:
            turn: The object on that frame; what is told of it does not depend on its policy any more.
            mask: bool [height, width].
            line: The trace.
        """
        frame = self._frames[-1]
        (own,) = (span for each, span in zip(frame.turns, frame.spans, strict=True) if each.policy is turn.policy)
        masks, logits, traces = frame.unpack(), frame.logits.copy(), list(frame.traces)
        if self._non_overlap:  # the user's pixels are nobody else's
            masks &= ~mask
        masks[own] = mask
        logits[own] = np.where(mask.ravel()[frame.contested], np.inf, -np.inf)
        traces[own] = [json.dumps(line.to_json())] * len(traces[own])
        self._frames[-1] = replace(frame, masks=_pack(masks), logits=logits, traces=traces)

    def frames(self) -> Iterator[Revised]:
        """Every frame that was added, in order, as the policies see it now."""
        policies = {id(turn.policy): turn.policy for frame in self._frames for turn in frame.turns}
        choices = {key: policy.revise() for key, policy in policies.items()}
        for frame in self._frames:
            rows = [
                own.start + choices[id(turn.policy)][turn.t - 1]
                for turn, own in zip(frame.turns, frame.spans, strict=True)
            ]
            masks = frame.unpack()[rows]
            if len(frame.contested):
                winners = frame.logits[rows].argmax(axis=0)
                flat = masks.reshape(len(masks), -1)
                flat[:, frame.contested] &= winners == np.arange(len(rows))[:, None]
            yield Revised(masks, [TraceLine(**json.loads(frame.traces[row])) for row in rows])


def _pack(masks: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(masks).tobytes(), level=1)
