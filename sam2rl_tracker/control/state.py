"""What is known of an object's past, for a batch of rows: one row is one object in one video."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.looks import Looks
from sam2rl_tracker.engine.types import Rows

_PACE = 0.2  # weight of the newest frame in running means
_FACTS = 7


@dataclass(frozen=True, eq=False)
class Seen(Rows):
    """A mask and what it shows, one per row.

    Attributes:
        vector: [rows, L]; see `Looks`, as the next two.
        inside: [rows, A].
        pointer: [rows, C].
        mask: [rows, 4h, 4w] probabilities.
        box: [rows, 4] middle x, y, width, height, as shares of the picture.
        area: [rows] share of the picture.
    """

    vector: Tensor
    inside: Tensor
    pointer: Tensor
    mask: Tensor
    box: Tensor
    area: Tensor


@dataclass(frozen=True, eq=False)
class Bank(Rows):
    """The stored frames beside the prompted one, oldest first.

    Attributes:
        count: int64 [rows].
        inside: [rows, CAPACITY, A].
        pointer: [rows, CAPACITY, C].
        facts: [rows, CAPACITY, 7] frame, predicted IoU, object score, presence and quality as judged then, log of the
            area over the prompted one, likeness to the prompted frame.
    """

    count: Tensor
    inside: Tensor
    pointer: Tensor
    facts: Tensor

    def put(self, action: Tensor, inside: Tensor, pointer: Tensor, facts: Tensor) -> Bank:
        """The bank after an action per row, int64 [rows]: 0 discards, k puts the frame in the k-th oldest's place."""
        full = self.count == CAPACITY
        places = torch.arange(CAPACITY, device=action.device)
        moved = full[:, None] & (action > 0)[:, None] & (places >= (action - 1)[:, None])
        source = (places + moved.long()).clamp(max=CAPACITY - 1)
        target = self.count.clamp(max=CAPACITY - 1)
        here = (places == target[:, None]) & (action > 0)[:, None]

        def filled(old: Tensor, new: Tensor) -> Tensor:
            kept = old.gather(1, source[..., None].expand_as(old))
            return torch.where(here[..., None], new[:, None], kept)

        count = (self.count + (action > 0).long()).clamp(max=CAPACITY)
        return Bank(count, filled(self.inside, inside), filled(self.pointer, pointer), filled(self.facts, facts))


@dataclass(frozen=True, eq=False)
class State(Rows):
    """What is known before a frame is predicted.

    Attributes:
        t: [rows] the frame to come, counted from the prompted one.
        since_stored: [rows] frames since one was stored.
        hidden: [rows] frames since the object was last said to be there; 0 = on the last one.
        velocity: [rows, 2] of the middle, in shares of the picture per frame.
        judged: [rows, 4] presence and quality as judged on the last frame, and their running means.
        first_vector: [rows, L] of the prompted frame, as the next five.
        first_inside: [rows, A].
        first_pointer: [rows, C].
        first_box: [rows, 4].
        first_area: [rows].
        last_vector: [rows, L] of the last frame on which the object was said to be there, as the next five.
        last_inside: [rows, A].
        last_pointer: [rows, C].
        last_mask: [rows, 4h, 4w].
        last_box: [rows, 4].
        last_area: [rows].
        mean_vector: [rows, L] running mean over the frames on which the object was said to be there, as the next two.
        mean_inside: [rows, A].
        mean_area: [rows].
        count: [rows]; see `Bank`, as the next three.
        bank_inside: [rows, CAPACITY, A].
        bank_pointer: [rows, CAPACITY, C].
        bank_facts: [rows, CAPACITY, 7].
    """

    t: Tensor
    since_stored: Tensor
    hidden: Tensor
    velocity: Tensor
    judged: Tensor
    first_vector: Tensor
    first_inside: Tensor
    first_pointer: Tensor
    first_box: Tensor
    first_area: Tensor
    last_vector: Tensor
    last_inside: Tensor
    last_pointer: Tensor
    last_mask: Tensor
    last_box: Tensor
    last_area: Tensor
    mean_vector: Tensor
    mean_inside: Tensor
    mean_area: Tensor
    count: Tensor
    bank_inside: Tensor
    bank_pointer: Tensor
    bank_facts: Tensor

    @property
    def bank(self) -> Bank:
        return Bank(self.count, self.bank_inside, self.bank_pointer, self.bank_facts)


REMEMBERED = ("t", "since_stored", "count", "bank_inside", "bank_pointer", "bank_facts")
"""Fields of a state that `remember` sets, and `output` does not."""


def begin(seen: Seen) -> State:
    """The state before frame 1, of what is seen on the prompted frame."""
    rows, device = len(seen.area), seen.area.device
    zeros = torch.zeros(rows, device=device)
    wide = zeros[:, None, None]
    return State(
        t=zeros + 1,
        since_stored=zeros,
        hidden=zeros,
        velocity=zeros[:, None].repeat(1, 2),
        judged=torch.ones(rows, 4, device=device),
        first_vector=seen.vector,
        first_inside=seen.inside,
        first_pointer=seen.pointer,
        first_box=seen.box,
        first_area=seen.area,
        last_vector=seen.vector,
        last_inside=seen.inside,
        last_pointer=seen.pointer,
        last_mask=seen.mask,
        last_box=seen.box,
        last_area=seen.area,
        mean_vector=seen.vector,
        mean_inside=seen.inside,
        mean_area=seen.area,
        count=zeros.long(),
        bank_inside=wide.repeat(1, CAPACITY, seen.inside.shape[1]),
        bank_pointer=wide.repeat(1, CAPACITY, seen.pointer.shape[1]),
        bank_facts=wide.repeat(1, CAPACITY, _FACTS),
    )


def see(looks: Looks, logits: Tensor) -> Seen:
    """Of K masks per row, [rows, K, 4h, 4w], what `Seen` holds: [rows, K, ...] each."""
    mask = torch.sigmoid(logits)
    return Seen(looks.vector, looks.inside, looks.pointer, mask, boxes_of(mask), mask.mean(dim=(-2, -1)))


def only(seen: Seen) -> Seen:
    """Of one mask per row, [rows, 1, ...], what is seen per row, [rows, ...]."""
    return Seen(**{name: value[:, 0] for name, value in vars(seen).items()})


def boxes_of(mask: Tensor) -> Tensor:
    """Middle x, y and twice two standard deviations of masks, in shares of the picture: [..., h, w] -> [..., 4].

    Moments, not edges: a stray pixel moves an edge by the whole picture.
    """
    height, width = mask.shape[-2:]
    total = mask.sum(dim=(-2, -1)) + 1e-3
    ends = []
    for dim, size in ((-2, width), (-1, height)):
        line = mask.sum(dim=dim)
        places = (torch.arange(size, device=mask.device) + 0.5) / size
        middle = (line * places).sum(dim=-1) / total
        spread = ((line * (places - middle[..., None]).square()).sum(dim=-1) / total).clamp(min=1e-6).sqrt()
        ends.append((middle, 4 * spread))
    return torch.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], dim=-1)


def output(state: State, seen: Seen, visible: Tensor, presence: Tensor, quality: Tensor) -> State:
    """The state after a frame's output, before its memory is decided.

    Args:
        seen: Of the chosen candidates, one per row, unblanked.
        visible: bool [rows], whether the object is said to be there.
        presence: [rows] how sure that is, 0 to 1.
        quality: [rows] the expected IoU of the chosen mask, 0 to 1.
    """

    def where(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(visible.view(-1, *[1] * (new.ndim - 1)), new, old)

    steps = state.hidden + 1  # since the last box
    moved = (seen.box[:, :2] - state.last_box[:, :2]) / steps[:, None]
    judged = torch.stack([presence, quality], dim=1)
    running = (1 - _PACE) * state.judged[:, 2:] + _PACE * judged
    return replace(
        state,
        hidden=torch.where(visible, 0.0, steps),
        velocity=where(0.5 * state.velocity + 0.5 * moved, state.velocity),
        judged=torch.cat([judged, running], dim=1),
        last_vector=where(seen.vector, state.last_vector),
        last_inside=where(seen.inside, state.last_inside),
        last_pointer=where(seen.pointer, state.last_pointer),
        last_mask=where(seen.mask, state.last_mask),
        last_box=where(seen.box, state.last_box),
        last_area=where(seen.area, state.last_area),
        mean_vector=where((1 - _PACE) * state.mean_vector + _PACE * seen.vector, state.mean_vector),
        mean_inside=where((1 - _PACE) * state.mean_inside + _PACE * seen.inside, state.mean_inside),
        mean_area=where((1 - _PACE) * state.mean_area + _PACE * seen.area, state.mean_area),
    )


def remember(state: State, seen: Seen, action: Tensor, facts: Tensor) -> State:
    """The state before the next frame, after an action on the memory per row.

    Args:
        seen: Of the output, as in `output`.
        action: int64 [rows]; see `Bank.put`.
        facts: [rows, 7]; see `Bank`.
    """
    bank = state.bank.put(action, seen.inside, seen.pointer, facts)
    return replace(
        state,
        t=state.t + 1,
        since_stored=torch.where(action > 0, 0.0, state.since_stored + 1),
        count=bank.count,
        bank_inside=bank.inside,
        bank_pointer=bank.pointer,
        bank_facts=bank.facts,
    )
