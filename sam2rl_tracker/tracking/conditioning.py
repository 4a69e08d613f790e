"""Conditioning frames: what a user corrected takes part in every later prediction, whatever the policy remembers.

SAM 2 attends to conditioning frames beside its recent memory. A policy knows one of them, the prompted frame. The
tracker adds the corrected ones to each of the policy's selections, so that no rule needs to know of corrections. After
`_prepare_memory_conditioned_features` of `sam2.modeling.sam2_base.SAM2Base`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sam2rl_tracker.engine import CONDITIONING_SLOT, FrameRecord, MemorySelection
from sam2rl_tracker.policies import Policy

MAX_CONDITIONING = 4
"""Conditioning frames that one prediction attends to at most, the prompted one included. The newest count."""


@dataclass(frozen=True, eq=False)
class _Entry:
    """One of the memories, or of the pointers, of a selection.

    Attributes:
        place: A memory's temporal slot; a pointer's distance in frames.
        scale: The factor on its keys.
        mask: Which places of a memory count; None = all.
    """

    record: FrameRecord
    place: int
    scale: float = 1.0
    mask: Tensor | None = None


class Conditioning:
    """The conditioning frames of one object.

    Args:
        prompted: What the object's prompted frame left behind.
    """

    def __init__(self, prompted: FrameRecord):
        self._prompted = prompted
        self._corrected: dict[int, FrameRecord] = {}  # by frame, oldest first

    def __contains__(self, record: FrameRecord) -> bool:
        return record is self._prompted or self._corrected.get(record.frame) is record

    def add(self, record: FrameRecord) -> None:
        """Make the most recent frame, which was corrected, a conditioning frame; once more, if it is one."""
        self._corrected[record.frame] = record

    def forget(self, policy: Policy) -> None:
        """Let go of the corrected frames that no longer count, unless the policy can still name them."""
        if len(self._corrected) <= MAX_CONDITIONING:
            return
        kept = {*list(self._corrected)[-MAX_CONDITIONING:], *(record.frame for record in policy.reachable())}
        self._corrected = {frame: record for frame, record in self._corrected.items() if frame in kept}

    def apply(self, selection: MemorySelection, t: int) -> MemorySelection:
        """What frame t attends to under a policy's selection. Before the first correction that is the selection.

        The conditioning frames come first. Where the policy names one of them too, that is taken out, and the others
        keep their slots. A corrected frame that no longer counts stands wherever the policy names that frame.
        """
        if not self._corrected:
            return selection
        memories = self._memories(_entries(selection.memories, selection.memory_scales, selection.memory_masks), t)
        pointers = self._pointers(_entries(selection.pointers, selection.pointer_scales), t, selection.pointer_span)
        return replace(
            selection,
            memories=tuple((entry.record, entry.place) for entry in memories),
            pointers=tuple((entry.record, entry.place) for entry in pointers),
            memory_scales=None if selection.memory_scales is None else tuple(entry.scale for entry in memories),
            pointer_scales=None if selection.pointer_scales is None else tuple(entry.scale for entry in pointers),
            memory_masks=None if selection.memory_masks is None else tuple(entry.mask for entry in memories),
        )

    def _memories(self, named: Sequence[_Entry], t: int) -> list[_Entry]:
        first, conditioning, others = self._sort(named, lambda record: CONDITIONING_SLOT)
        # As in SAM 2, a prompted frame that no longer counts is one of the last six frames for as long as it is.
        slot = t - 1
        if first and slot < CONDITIONING_SLOT and all(entry.place != slot for entry in others):
            others = [replace(first, place=slot), *others]
        return conditioning + others

    def _pointers(self, named: Sequence[_Entry], t: int, span: int) -> list[_Entry]:
        if not named:  # the policy has no use for pointers
            return []
        first, conditioning, others = self._sort(named, lambda record: t - record.frame)
        return conditioning + others + ([first] if first and t < span else [])

    def _sort(
        self, named: Sequence[_Entry], place: Callable[[FrameRecord], int]
    ) -> tuple[_Entry | None, list[_Entry], list[_Entry]]:
        """The prompted frame where it no longer counts; the conditioning frames; and what else the policy names.

        Args:
            place: Of a corrected frame.
        """
        first = next((entry for entry in named if entry.record is self._prompted), None)
        corrected = list(self._corrected.values())[-MAX_CONDITIONING:]
        scale = first.scale if first else 1.0
        conditioning = [_Entry(record, place(record), scale) for record in corrected]
        taken = {0, *(record.frame for record in corrected)}
        others = [self._as_corrected(entry) for entry in named if entry.record.frame not in taken]
        if len(corrected) == MAX_CONDITIONING:
            return first, conditioning[::-1], others  # the nearest first: SAM 2's order where it has to choose
        return None, [first, *conditioning] if first else conditioning, others

    def _as_corrected(self, entry: _Entry) -> _Entry:
        record = self._corrected.get(entry.record.frame)
        return entry if record is None else replace(entry, record=record, mask=None)


def _entries(
    pairs: Sequence[tuple[FrameRecord, int]],
    scales: Sequence[float] | None,
    masks: Sequence[Tensor | None] | None = None,
) -> list[_Entry]:
    scales, masks = scales or [1.0] * len(pairs), masks or [None] * len(pairs)
    return [_Entry(*pair, scale, mask) for pair, scale, mask in zip(pairs, scales, masks, strict=True)]
