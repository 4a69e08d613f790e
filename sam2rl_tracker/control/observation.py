"""What the agent sees of a frame: numbers about each candidate, each stored memory, and the past; no truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.agents.action import CAPACITY
from sam2rl_tracker.control.looks import Looks, look_at
from sam2rl_tracker.control.state import Seen, State, see
from sam2rl_tracker.engine import Candidates, Features
from sam2rl_tracker.engine.types import Rows

VERSION = 1
"""Of the observation: an agent of another version cannot read this one."""

_TINY = 1e-5

CANDIDATE = (
    "iou",
    "iou_lead",
    "peak",
    "certainty",
    "area",
    "area_to_first",
    "area_to_last",
    "area_to_mean",
    "dx",
    "dy",
    "off_course",
    "moved",
    "width",
    "height",
    "edge",
    "last_overlap",
    "most_overlap",
    "least_overlap",
    "first_inside",
    "last_inside",
    "mean_inside",
    "bank_inside",
    "bank_inside_mean",
    "contrast",
    "first_pointer",
    "last_pointer",
    "bank_pointer",
    "bank_pointer_mean",
)
FRAME = (
    "object_score",
    "time",
    "since_stored",
    "hidden",
    "speed",
    "first_area",
    "last_area",
    "presence",
    "quality",
    "presence_mean",
    "quality_mean",
    "stored",
    "frames",
)
MEMORY = (
    "prompted",
    "age",
    "rank",
    "iou",
    "score",
    "presence",
    "quality",
    "area",
    "likeness",
)
PAIR = ("inside", "pointer")
LOOK = ("image", "pointer", "attended")
"""The parts of a look: see `looks.LookParts`."""


@dataclass(frozen=True)
class Group:
    """One kind of information: all that carries it, so that it can be left out.

    Attributes:
        candidates: Names of `CANDIDATE`.
        looks: Names of `LOOK`: of what the candidates show, and of what the past shows.
        frame: Names of `FRAME`.
        memories: Names of `MEMORY`.
        pairs: Names of `PAIR`.
    """

    candidates: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    frame: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of all its parts, such as `memories.age`."""
        return [f"{part}.{name}" for part, names in vars(self).items() for name in names]


GROUPS = {
    "network": Group(
        candidates=("iou", "iou_lead", "peak", "certainty"), frame=("object_score",), memories=("iou", "score")
    ),
    "area": Group(
        candidates=("area", "area_to_first", "area_to_last", "area_to_mean", "width", "height"),
        frame=("first_area", "last_area"),
        memories=("area",),
    ),
    "motion": Group(candidates=("dx", "dy", "off_course", "moved", "width", "height", "edge"), frame=("speed",)),
    "overlap": Group(candidates=("last_overlap", "most_overlap", "least_overlap")),
    "features": Group(
        candidates=("first_inside", "last_inside", "mean_inside", "bank_inside", "bank_inside_mean", "contrast"),
        looks=("image", "attended"),
        memories=("likeness",),
        pairs=("inside",),
    ),
    "pointers": Group(
        candidates=("first_pointer", "last_pointer", "bank_pointer", "bank_pointer_mean"),
        looks=("pointer",),
        pairs=("pointer",),
    ),
    "looks": Group(looks=LOOK),
    "age": Group(frame=("time", "since_stored", "stored", "frames"), memories=("prompted", "age", "rank")),
    "judged": Group(
        frame=("hidden", "presence", "quality", "presence_mean", "quality_mean"), memories=("presence", "quality")
    ),
}
"""What is seen, by kind. Some share a part: a box's size is of its area and of its motion, and `looks` are the raw
features and pointers, without their cosines. `Observation.held` is in none: it says which actions there are.
"""


@dataclass(frozen=True, eq=False)
class Observation(Rows):
    """What the agent sees of one frame, in a batch of rows. K candidates; memories are the prompted one and the others.

    Attributes:
        candidates: [rows, K, len(CANDIDATE)].
        looks: [rows, K, L] what each candidate shows.
        past: [rows, 3, L] what the prompted frame, the last one and their running mean show.
        frame: [rows, len(FRAME)].
        memories: [rows, 1 + CAPACITY, len(MEMORY)].
        pairs: [rows, K, 1 + CAPACITY, len(PAIR)] cosines of candidates and memories.
        held: bool [rows, 1 + CAPACITY], which memories there are.
    """

    candidates: Tensor
    looks: Tensor
    past: Tensor
    frame: Tensor
    memories: Tensor
    pairs: Tensor
    held: Tensor


@dataclass(frozen=True, eq=False)
class View:
    """A frame as predicted: what is seen of it, and of each of its candidates.

    Attributes:
        observation: For the agent.
        seen: [rows, K, ...].
        ious: [rows, K] predicted.
        object_scores: [rows] logits.
    """

    observation: Observation
    seen: Seen
    ious: Tensor
    object_scores: Tensor

    def take(self, rows: Sequence[int]) -> View:
        """Some of the rows, in the order given."""
        return View(
            self.observation.take(rows), self.seen.take(rows), self.ious[list(rows)], self.object_scores[list(rows)]
        )

    def chosen(self, picks: Tensor) -> Seen:
        """What one candidate per row shows; int64 [rows]."""
        rows = torch.arange(len(picks), device=picks.device)
        return Seen(**{name: value[rows, picks] for name, value in vars(self.seen).items()})

    def facts(self, state: State, picks: Tensor, presence: Tensor, quality: Tensor) -> Tensor:
        """What a bank keeps of the frame: [rows, 7]; see `Bank`. Arguments as in `state.output`."""
        rows = torch.arange(len(picks), device=picks.device)
        seen = self.chosen(picks)
        return torch.stack(
            [
                state.t,
                self.ious[rows, picks],
                self.object_scores / 10,
                presence,
                quality,
                _log_ratio(seen.area, state.first_area),
                F.cosine_similarity(seen.inside, state.first_inside, dim=-1),
            ],
            dim=1,
        )


def view(features: Features, candidates: Candidates, pointers: Tensor, state: State) -> View:
    """See a frame.

    Args:
        features: Of the images: one for all rows, or one for each.
        candidates: With their `maps`.
        pointers: [rows, K, C] of all candidates, unblanked.
        state: Before the frame.
    """
    assert candidates.maps is not None
    looks = look_at(features, candidates.logits, pointers, candidates.maps)
    seen = see(looks, candidates.logits)
    pairs = _pairs(looks, state)
    held = torch.arange(1 + CAPACITY, device=pairs.device) <= state.count[:, None]
    observation = Observation(
        candidates=_candidates(candidates, looks, seen, state, pairs, held),
        looks=looks.vector,
        past=torch.stack([state.first_vector, state.last_vector, state.mean_vector], dim=1),
        frame=_frame(candidates, state),
        memories=_memories(state),
        pairs=pairs,
        held=held,
    )
    return View(observation, seen, candidates.ious, candidates.object_scores)


def _pairs(looks: Looks, state: State) -> Tensor:
    inside = torch.cat([state.first_inside[:, None], state.bank_inside], dim=1)  # [rows, 1 + CAPACITY, A]
    pointer = torch.cat([state.first_pointer[:, None], state.bank_pointer], dim=1)
    return torch.stack([_cosines(looks.inside, inside), _cosines(looks.pointer, pointer)], dim=-1)


def _cosines(some: Tensor, others: Tensor) -> Tensor:
    """[rows, n, c], [rows, m, c] -> [rows, n, m]"""
    return F.normalize(some, dim=-1) @ F.normalize(others, dim=-1).transpose(1, 2)


def _candidates(candidates: Candidates, looks: Looks, seen: Seen, state: State, pairs: Tensor, held: Tensor) -> Tensor:
    ious, logits = candidates.ious, candidates.logits
    rows, count = ious.shape
    others = ious[:, None].expand(rows, count, count).masked_fill(torch.eye(count, device=ious.device).bool(), -1)
    sure, maybe = (logits > 1).float().mean(dim=(2, 3)), (logits > -1).float().mean(dim=(2, 3))
    scale = state.last_area.clamp(min=1e-3).sqrt()[:, None]  # of the object, in shares of the picture's side
    moved = (seen.box[..., :2] - state.last_box[:, None, :2]) / scale[..., None]
    expected = state.last_box[:, :2] + state.velocity * (state.hidden + 1)[:, None]
    off = (seen.box[..., :2] - expected[:, None]).norm(dim=-1) / scale
    size = (seen.box[..., 2:] / state.last_box[:, None, 2:].clamp(min=1e-3)).clamp(1e-2, 1e2).log()
    border = torch.cat([seen.mask[..., 0, :], seen.mask[..., -1, :], seen.mask[..., 0], seen.mask[..., -1]], dim=-1)
    flat = seen.mask.flatten(2)  # [rows, K, n]
    overlaps = _soft_iou(flat[:, :, None], flat[:, None])  # [rows, K, K]
    overlaps = overlaps + torch.diag_embed(torch.full_like(ious, torch.nan))
    bank = held[:, None, 1:]
    empty = ~bank.any(dim=-1)
    in_bank = pairs[:, :, 1:].masked_fill(~bank[..., None], -1).amax(dim=2)
    mean_bank = (pairs[:, :, 1:] * bank[..., None]).sum(dim=2) / bank.sum(dim=-1).clamp(min=1)[..., None]
    in_bank = torch.where(empty[..., None], pairs[:, :, 0], in_bank)
    mean_bank = torch.where(empty[..., None], pairs[:, :, 0], mean_bank)
    values = {
        "iou": ious,
        "iou_lead": ious - others.amax(dim=2) if count > 1 else torch.zeros_like(ious),
        "peak": logits.amax(dim=(2, 3)) / 10,
        "certainty": (sure + _TINY) / (maybe + _TINY),
        "area": (seen.area + _TINY).log(),
        "area_to_first": _log_ratio(seen.area, state.first_area[:, None]),
        "area_to_last": _log_ratio(seen.area, state.last_area[:, None]),
        "area_to_mean": _log_ratio(seen.area, state.mean_area[:, None]),
        "dx": moved[..., 0].clamp(-10, 10),
        "dy": moved[..., 1].clamp(-10, 10),
        "off_course": off.log1p(),
        "moved": moved.norm(dim=-1).log1p(),
        "width": size[..., 0],
        "height": size[..., 1],
        "edge": border.mean(dim=-1),
        "last_overlap": _soft_iou(flat, state.last_mask.flatten(1)[:, None]),
        "most_overlap": overlaps.nan_to_num(-1).amax(dim=2) if count > 1 else torch.ones_like(ious),
        "least_overlap": overlaps.nan_to_num(2).amin(dim=2) if count > 1 else torch.ones_like(ious),
        "first_inside": pairs[:, :, 0, 0],
        "last_inside": _cosines(looks.inside, state.last_inside[:, None])[..., 0],
        "mean_inside": _cosines(looks.inside, state.mean_inside[:, None])[..., 0],
        "bank_inside": in_bank[..., 0],
        "bank_inside_mean": mean_bank[..., 0],
        "contrast": F.cosine_similarity(looks.inside, looks.outside, dim=-1),
        "first_pointer": pairs[:, :, 0, 1],
        "last_pointer": _cosines(looks.pointer, state.last_pointer[:, None])[..., 0],
        "bank_pointer": in_bank[..., 1],
        "bank_pointer_mean": mean_bank[..., 1],
    }
    return torch.stack([values[name] for name in CANDIDATE], dim=-1)


def _frame(candidates: Candidates, state: State) -> Tensor:
    values = {
        "object_score": candidates.object_scores / 10,
        "time": state.t.log1p(),
        "since_stored": state.since_stored.log1p(),
        "hidden": state.hidden.log1p(),
        "speed": (state.velocity.norm(dim=1) / state.last_area.clamp(min=1e-3).sqrt()).log1p(),
        "first_area": (state.first_area + _TINY).log(),
        "last_area": _log_ratio(state.last_area, state.first_area),
        "presence": state.judged[:, 0],
        "quality": state.judged[:, 1],
        "presence_mean": state.judged[:, 2],
        "quality_mean": state.judged[:, 3],
        "stored": state.count / CAPACITY,
        "frames": (state.since_stored / 5).clamp(max=3),
    }
    return torch.stack([values[name] for name in FRAME], dim=-1)


def _memories(state: State) -> Tensor:
    rows = len(state.t)
    frame, iou, score, presence, quality, area, likeness = state.bank_facts.unbind(dim=-1)  # [rows, CAPACITY]
    places = torch.arange(CAPACITY, device=frame.device)
    stored = torch.stack(
        [
            torch.zeros_like(frame),
            (state.t[:, None] - frame).clamp(min=0).log1p(),
            ((state.count[:, None] - 1 - places) / CAPACITY).clamp(min=0),
            iou,
            score,
            presence,
            quality,
            area,
            likeness,
        ],
        dim=-1,
    )
    one, zero = torch.ones(rows, device=frame.device), torch.zeros(rows, device=frame.device)
    first = torch.stack([one, state.t.log1p(), one, one, one, one, one, zero, one], dim=-1)
    return torch.cat([first[:, None], stored], dim=1)


def _soft_iou(some: Tensor, others: Tensor) -> Tensor:
    """Overlap of probabilities, over the last dimension."""
    least, most = torch.minimum(some, others).sum(dim=-1), torch.maximum(some, others).sum(dim=-1)
    return least / (most + _TINY)


def _log_ratio(some: Tensor, others: Tensor) -> Tensor:
    return ((some + _TINY) / (others + _TINY)).log().clamp(-6, 6)
