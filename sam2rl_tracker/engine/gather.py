"""Gathering: selections of memories become the tokens that memory attention reads.

After `_prepare_memory_conditioned_features` of `sam2.modeling.sam2_base.SAM2Base`, for rows that may differ in length.
A row's tokens are the places of its first memory, those of the second, and so on; then the parts of its pointers. Rows
that are shorter than the longest repeat their last entry, which a mask leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from sam2rl_tracker.engine.attention import BankTokens
from sam2rl_tracker.engine.model import Network
from sam2rl_tracker.engine.operations import encode_distances
from sam2rl_tracker.engine.types import CONDITIONING_SLOT, MEMORY_SLOTS, FixedShape, FrameRecord, MemorySelection

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class _Layout:
    """How many tokens a row has."""

    memories: int
    places: int  # h*w, tokens of a memory
    pointers: int
    parts: int  # C / D, tokens of a pointer: it is cut into tokens as wide as a memory's

    def per_token(self, table: Tensor) -> Tensor:
        """A value per memory, then per pointer, [rows, memories + pointers] -> a value per token, [rows, n]."""
        spatial = table[:, : self.memories].repeat_interleave(self.places, dim=1)
        return torch.cat([spatial, table[:, self.memories :].repeat_interleave(self.parts, dim=1)], dim=1)


def gather(
    network: Network, memory_positions: Tensor, selections: Sequence[MemorySelection], shape: FixedShape | None = None
) -> BankTokens:
    """Gather a row of tokens for each selection.

    Args:
        memory_positions: [slots, h*w, D] encodings of a memory in each temporal slot; tokens are made on its device,
            and in its dtype.
        shape: How many memories and pointers to pad each row to; None = as many as the longest row has.

    Raises:
        ValueError: A selection without memories or with more than `shape` holds, a temporal slot that does not exist,
            or a memory that was not encoded.
    """
    if not network.use_obj_ptrs_in_encoder:
        selections = [replace(selection, pointers=(), pointer_scales=None) for selection in selections]
    layout = _Layout(
        memories=max(len(s.memories) for s in selections) if shape is None else shape.memories,
        places=memory_positions.shape[1],
        pointers=max(len(s.pointers) for s in selections) if shape is None else shape.pointers,
        parts=network.hidden_dim // network.mem_dim,
    )
    _check(selections, layout)
    slots = torch.tensor([[slot for _, slot in _padded(s.memories, layout.memories)] for s in selections])
    values = _gather_memories(selections, layout, memory_positions.dtype)
    positions = memory_positions[slots.to(memory_positions.device)].flatten(1, 2)
    if layout.pointers > 0:
        pointers, distances = _gather_pointers(selections, layout, memory_positions.device)
        encoded = encode_distances(network, distances).repeat_interleave(layout.parts, dim=1)
        values = torch.cat([values, pointers.reshape(len(selections), -1, network.mem_dim).to(values.dtype)], dim=1)
        positions = torch.cat([positions, encoded.to(positions.dtype)], dim=1)
    return BankTokens(
        values=values,
        positions=positions,
        rotated=layout.memories * layout.places,
        mask=_mask(selections, layout, shape is not None, memory_positions.device),
        key_scale=_key_scale(selections, layout, memory_positions.device),
    )


def _check(selections: Sequence[MemorySelection], layout: _Layout) -> None:
    most, span = layout.memories, layout.pointers
    if not all(s.memories and len(s.memories) <= most and len(s.pointers) <= span for s in selections):
        raise ValueError(f"A selection must hold 1 to {most} memories and at most {span} pointers.")
    if not all(0 <= slot < MEMORY_SLOTS for s in selections for _, slot in s.memories):
        raise ValueError(f"Temporal slots are 0 to {CONDITIONING_SLOT}: one for conditioning frames, six for others.")


def _gather_memories(selections: Sequence[MemorySelection], layout: _Layout, dtype: torch.dtype) -> Tensor:
    """[rows, memories * places, D]; bfloat16 is what memories are stored in."""
    each = [_memory(record) for s in selections for record, _ in _padded(s.memories, layout.memories)]
    return torch.cat(each).unflatten(0, (len(selections), -1)).to(dtype)


def _gather_pointers(
    selections: Sequence[MemorySelection], layout: _Layout, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pointers [rows, pointers, C], and their distances in time in units of the pointer span - 1 [rows, pointers]."""
    # A row without pointers needs something to stand there, which the mask leaves out.
    rows = [_padded(s.pointers or [(s.memories[0][0], 0)], layout.pointers) for s in selections]
    spans = [max(s.pointer_span - 1, 1) for s in selections]
    distances = [[distance / span for _, distance in row] for row, span in zip(rows, spans, strict=True)]
    pointers = torch.stack([torch.stack([record.pointer for record, _ in row]) for row in rows])
    return pointers, torch.tensor(distances, dtype=torch.float32, device=device)


def _mask(selections: Sequence[MemorySelection], layout: _Layout, padded: bool, device: torch.device) -> Tensor | None:
    """Which tokens count, bool [rows, n]; None = all of them, which lets attention take a faster kernel.

    Args:
        padded: Make a mask even where all tokens count: with and without one, attention gives other last bits.
    """
    mask = None
    full = all(len(s.memories) == layout.memories and len(s.pointers) == layout.pointers for s in selections)
    if padded or not full:
        table = [
            _filled([1.0] * len(s.memories), layout.memories, 0.0)
            + _filled([1.0] * len(s.pointers), layout.pointers, 0.0)
            for s in selections
        ]
        mask = layout.per_token(torch.tensor(table, device=device)).bool()
    if any(s.memory_masks is not None for s in selections):
        counted = _counted_places(selections, layout, device)
        mask = counted if mask is None else mask & counted
    return mask


def _counted_places(selections: Sequence[MemorySelection], layout: _Layout, device: torch.device) -> Tensor:
    """Which tokens count by the selections' own masks of their memories: bool [rows, n]."""
    place = torch.ones(layout.places, dtype=torch.bool, device=device)
    pointers = torch.ones(layout.pointers * layout.parts, dtype=torch.bool, device=device)
    rows = []
    for selection in selections:
        masks = _padded(selection.memory_masks or [None] * len(selection.memories), layout.memories)
        rows.append(torch.cat([*(place if mask is None else mask for mask in masks), pointers]))
    return torch.stack(rows)


def _key_scale(selections: Sequence[MemorySelection], layout: _Layout, device: torch.device) -> Tensor | None:
    """The selections' factors on the keys, [rows, n, 1]; None = none has any."""
    if all(s.memory_scales is None and s.pointer_scales is None for s in selections):
        return None
    table = [
        _filled(s.memory_scales or [1.0] * len(s.memories), layout.memories, 1.0)
        + _filled(s.pointer_scales or [1.0] * len(s.pointers), layout.pointers, 1.0)
        for s in selections
    ]
    return layout.per_token(torch.tensor(table, dtype=torch.float32, device=device))[..., None]


def _memory(record: FrameRecord) -> Tensor:
    if record.memory is None:
        raise ValueError(f"Frame {record.frame} was not encoded as a memory: its record can only serve as a pointer.")
    return record.memory


def _padded(entries: Sequence[_Entry], length: int) -> list[_Entry]:
    """Entries, the last repeated up to a length."""
    return [*entries, *[entries[-1]] * (length - len(entries))]


def _filled(values: Sequence[float], length: int, filling: float) -> list[float]:
    return [*values, *[filling] * (length - len(values))]
