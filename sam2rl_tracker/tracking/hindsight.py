"""The past of a video under every hypothesis that lived on, kept small until the policies say which was right."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sam2rl_tracker.policies import Policy

TraceLine = dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame: `choices` counts those of all objects."""

    objects: list[tuple[Policy, int, slice]]  # an object's policy, its own number of the frame, its choices
    shape: tuple[int, ...]  # choices, height, width
    masks: bytes  # a bit a pixel, deflated
    contested: np.ndarray  # int32 [n], pixels on which several objects may meet, where they must not
    logits: np.ndarray  # float32 [choices, n], what decides there
    traces: list[str]  # a line of JSON per choice


class Hindsight:
    """Frames as they were tracked, for policies that revise their output.

    A frame costs as much as a PNG of its masks: hypotheses that agree are one choice, and are kept once.
    """

    def __init__(self, non_overlap: bool):
        self._non_overlap = non_overlap
        self._frames: list[_Frame] = []

    def add(
        self,
        objects: list[tuple[Policy, int, slice]],
        masks: np.ndarray,  # bool [choices, height, width]
        logits: Tensor,  # [choices, height, width]
        traces: Sequence[TraceLine],
    ) -> None:
        contested = np.zeros(0, dtype=np.int32)
        if self._non_overlap:
            claims = sum(masks[own].any(axis=0).astype(np.int32) for _, _, own in objects)
            contested = np.flatnonzero(claims > 1).astype(np.int32)
        values = np.zeros((len(masks), 0), dtype=np.float32)
        if len(contested):
            values = logits.flatten(1)[:, contested].cpu().numpy()
        packed = zlib.compress(np.packbits(masks).tobytes(), level=1)
        lines = [json.dumps(line) for line in traces]
        self._frames.append(_Frame(objects, masks.shape, packed, contested, values, lines))

    def frames(self) -> Iterator[tuple[np.ndarray, list[TraceLine]]]:
        """Masks bool [objects, height, width] and trace of every frame that was added, as policies see them now."""
        policies = {id(policy): policy for frame in self._frames for policy, _, _ in frame.objects}
        choices = {key: policy.revise() for key, policy in policies.items()}
        for frame in self._frames:
            rows = [own.start + choices[id(policy)][t - 1] for policy, t, own in frame.objects]
            bits = np.frombuffer(zlib.decompress(frame.masks), dtype=np.uint8)
            masks = np.unpackbits(bits, count=int(np.prod(frame.shape))).reshape(frame.shape).astype(bool)[rows]
            if len(frame.contested):
                winners = frame.logits[rows].argmax(axis=0)
                flat = masks.reshape(len(masks), -1)
                flat[:, frame.contested] &= winners == np.arange(len(rows))[:, None]
            yield masks, [json.loads(frame.traces[row]) for row in rows]
