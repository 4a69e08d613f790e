"""SAMITE's rule: SAMURAI's, with memories chosen by likeness and the decoder prompted by what they show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.engine.engine import BLANK
from sam2rl_tracker.engine.operations import resize
from sam2rl_tracker.engine.types import MEMORY_SLOTS, Candidates, Features, FrameRecord, MemorySelection, Prompt
from sam2rl_tracker.parameters import INTERNAL
from sam2rl_tracker.policies.base import Choice, Prediction, Start
from sam2rl_tracker.policies.recency import ranked
from sam2rl_tracker.policies.samurai import Samurai

_STRIDE = 16  # pixels of the model's input to a place of the features


@dataclass(frozen=True, eq=False)
class _Sight:
    """What is known of the object on one frame. n = h*w places.

    Attributes:
        map: [C, n] the image's features; objects that share the frame share it.
        inside: bool [n], the places of the mask.
        prototypes: [2, C] mean features of the places inside the mask, and of those outside.
    """

    map: Tensor
    inside: Tensor
    prototypes: Tensor


@dataclass(frozen=True, eq=False)
class _Remembered:
    """A frame that may be attended to.

    Attributes:
        record: What the tracker has of it.
        sight: What the rule has of it.
        likeness: Of its object to the prompted frame's and to those of the frames remembered before it, newest first.
    """

    record: FrameRecord
    sight: _Sight
    likeness: np.ndarray


@dataclass
class Samite(Samurai):
    """SAMURAI, which attends to the memories most like the object and asks the decoder twice: alone, and prompted.

    Source: SAMITE ("SAM 2 for tracking ..."); 

    Attributes:
        candidates: Reliable frames that are kept to attend to, of which six are. Higher values reach further back, and
            hold as many feature maps.
        alpha: Weight of the likeness to the newest reliable frame, against that to the prompted one, 0 to 1.
        beta: Agreement with the memories from which the prompted mask is taken, 0 to 1. Higher values take it seldom.
    """

    memory_motion: float = field(default=-1.0, metadata=INTERNAL)
    candidates: int = 30
    alpha: float = 0.3
    beta: float = 0.7

    needs_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates < 1 or not 0 <= self.alpha <= 1:
            raise ValueError("candidates must be at least 1, and alpha from 0 to 1.")

    def look(self, t: int, features: Features) -> None:
        self._map = features.map[0].flatten(1)
        self._query = self._map + 0.1 * features.positions[0].T
        self._side = features.map.shape[-1]

    def begin(self, start: Start) -> None:
        self._grid = _sine_encoding(len(self._map), self._side, self._map.device)
        inside = self._given(start.mask)
        self._first = _Sight(self._map, inside, _prototypes(self._map, inside))
        self._remembered: list[_Remembered] = []  # newest first
        super().begin(start)

    def _given(self, mask: np.ndarray) -> Tensor:
        """The places of a given mask, bool [n]."""
        given = torch.from_numpy(mask).to(self._map.device).float()[None, None]
        size = self._side * _STRIDE
        if mask.shape != (size, size):
            given = (resize(given, size, antialias=True) >= 0.5).float()
        logits = resize(given * -2 * BLANK + BLANK, size // 4, antialias=True)
        return self._inside(logits)[0, 0]

    def _inside(self, logits: Tensor) -> Tensor:
        """The places of masks: logits [rows, K, height, width] -> bool [rows, K, n]."""
        return (resize(logits, self._side) >= 0).flatten(2)

    def select(self, t: int) -> list[MemorySelection]:
        chosen = self._most_alike()
        self._attended = [self._first, *(one.sight for one in reversed(chosen))]  # oldest first
        memories = ranked([self._prompted], [one.record for one in chosen])
        plain = MemorySelection(memories, self._pointers.pairs(t), self.pointer_span)
        return [plain, replace(plain, prompt=Prompt(mask=self._foreseen()))]

    def _most_alike(self) -> list[_Remembered]:
        """The newest remembered frame, and those most like it and the prompted one; newest first."""
        if len(self._remembered) < MEMORY_SLOTS:
            return self._remembered
        newest, *others = self._remembered
        to_newest, to_first = newest.likeness[1:], np.array([one.likeness[0] for one in others])
        scores = self.alpha * to_newest[: len(others)] + (1 - self.alpha) * to_first
        best = np.argsort(-scores, kind="stable")[: MEMORY_SLOTS - 2]
        return [newest, *(others[index] for index in sorted(best))]

    def _foreseen(self) -> Tensor:
        """Where the image looks like the object of the memories: logits [4h, 4w]."""
        prototypes = torch.stack([sight.prototypes for sight in self._attended])  # [memories, 2, C]
        near = _nearness(self._grid, self._attended[-1].inside)
        prior = _likeness(self._query, prototypes, near).mean(dim=0).view(1, 1, self._side, self._side)
        size = self._side * _STRIDE
        return resize(resize(prior, size) * 20 - 10, size // 4, antialias=True)[0, 0]

    def measure(self, t: int, candidates: Candidates) -> Tensor:
        """Of each candidate, [rows, K * (2 + remembered)]: how far it agrees with the memories, and its likenesses."""
        visible = candidates.object_scores > self.appear_score
        logits = torch.where(visible[:, None, None, None], candidates.logits, BLANK)
        inside = self._inside(logits)
        self._sights = [[_Sight(self._map, one, two) for one, two in zip(*each)] for each in zip(inside, _prototypes(self._map, inside))]
        known = [self._first, *(one.sight for one in self._remembered)]
        objects = torch.stack([sight.prototypes[0] for sight in known])  # [1 + remembered, C]
        ours = torch.stack([torch.stack([s.prototypes[0] for s in each]) for each in self._sights])
        likeness = F.normalize(ours, dim=-1) @ F.normalize(objects, dim=-1).T

        if self._filter is None:  # quirk
            inside = self._inside(resize(logits, self._side * _STRIDE))
        assert candidates.maps is not None
        prototypes = _prototypes(candidates.maps.flatten(2)[:, None], inside)  # [rows, K, 2, C]
        maps = torch.stack([sight.map for sight in self._attended])
        near = _nearness(self._grid, inside)
        found = _likeness(maps, prototypes[:, :, None], near[:, :, None]) >= 0.5  # [rows, K, memories, n]
        shown = torch.stack([sight.inside for sight in self._attended])
        agreement = (found & shown).sum(dim=(2, 3)) / (found | shown).sum(dim=(2, 3))
        return torch.cat([agreement[..., None], likeness], dim=-1).flatten(1)

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        plain, prompted = predictions
        picks = self._best(plain.ious, self._boxes(plain)), int(prompted.ious.argmax())
        tables = [one.measured.reshape(len(one.ious), -1) for one in predictions]
        agreement = [table[pick, 0] for table, pick in zip(tables, picks)]
        row = int(agreement[1] >= max(agreement[0], self.beta))
        best = picks[row]
        # Quirk
        source = predictions[row] if self._stable < self.stable_frames else plain
        self._follow(predictions[row].ious[best], self._boxes(source)[best])
        self._sight, self._likeness = self._sights[row][best], tables[row][best, 1:]
        return [Choice(best, predictions[row].object_score > self.appear_score, row)]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        super().store(t, records)
        if records[0] in self._good:
            new = _Remembered(records[0], self._sight, self._likeness)
            self._remembered = [new, *self._remembered][: self.candidates]

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *(one.record for one in self._remembered), *self._pointers.recent}


def _sine_encoding(channels: int, side: int, device: torch.device) -> Tensor:
    """[C, n]"""
    half = channels // 2
    rates = 10000 ** (-torch.arange(0, half, 2, device=device) / half)
    angles = torch.arange(side, device=device) * rates[:, None]  # [half / 2, side]
    line = torch.stack([angles.sin(), angles.cos()], dim=1).flatten(0, 1)  # [half, side]
    rows = line[:, :, None].expand(-1, -1, side)
    columns = line[:, None, :].expand(-1, side, -1)
    return torch.cat([rows, columns]).flatten(1)


def _prototypes(maps: Tensor, inside: Tensor) -> Tensor:
    """Mean features inside masks and outside: maps [..., C, n], inside bool [..., n] -> [..., 2, C]."""
    sides = torch.stack([inside, ~inside], dim=-2).float()
    return sides @ maps.transpose(-1, -2).float() / (sides.sum(dim=-1, keepdim=True) + 0.0005)


def _nearness(grid: Tensor, inside: Tensor) -> Tensor:
    """[..., n]"""
    middle = inside.float() @ grid.T
    cosine = F.normalize(middle, dim=-1) @ F.normalize(grid, dim=0)
    low, high = cosine.amin(dim=-1, keepdim=True), cosine.amax(dim=-1, keepdim=True)
    return (cosine - low) / (high - low + 1e-7)


def _likeness(maps: Tensor, prototypes: Tensor, near: Tensor) -> Tensor:
    """S."""
    cosines = F.normalize(prototypes, dim=-1) @ F.normalize(maps.float(), dim=-2)  # [..., 2, n]
    excess = ((cosines[..., 0, :] + 1) / 2 - (cosines[..., 1, :] + 1) / 2).clamp(min=0) * near
    return excess / (excess.amax(dim=-1, keepdim=True) + 1e-7)
