"""SAMITE's rule: SAMURAI's, with memories chosen by likeness, and a second opinion prompted by what they show."""

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
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Choice, Correction, Prediction, Start
from sam2rl_tracker.policies.recency import ranked
from sam2rl_tracker.policies.samurai import Samurai

_STRIDE = 16  # pixels of the model's input to a place of its features
_FOUND = 0.5  # likeness from which a place counts as the object


@dataclass(frozen=True, eq=False)
class _Sight:
    """The object on one frame, as one mask shows it, or as many do. C = model width, n = h*w places.

    Attributes:
        map: [C, n] the image's features. Objects that were seen on the same image share it.
        inside: bool [..., n], the places of the mask.
        prototypes: [..., 2, C] mean features of the places inside, and of those outside.
    """

    map: Tensor
    inside: Tensor
    prototypes: Tensor

    def at(self, *index: int) -> _Sight:
        """That of one of many masks."""
        return _Sight(self.map, self.inside[index].clone(), self.prototypes[index].clone())


@dataclass(frozen=True, eq=False)
class _Remembered:
    """A frame that can be attended to.

    Attributes:
        record: What the engine has of it.
        sight: What this rule has of it.
        likeness: [1 + others] of its object to that of the prompted frame and to those that were remembered when it was
            stored, newest first; -1 to 1.
    """

    record: FrameRecord
    sight: _Sight
    likeness: np.ndarray


@dataclass
class Samite(Samurai):
    """SAMURAI, which attends to the memories most like the object, and asks the decoder a second time, with a prompt.

    Source: Xu et al., "SAMITE: Position Prompted SAM2 with Calibrated Memory for Visual Object Tracking"
    (arXiv:2507.21732), in the port of the SAM3 Tracking Zoo (HamadYA/SAM3_Tracking_Zoo at d37e4a9).

    The prompt is a mask: the places of the image that look like the object in the memories, and are near to where the
    newest of them shows it. Both predictions attend to the same memories. The prompted one wins where its mask,
    carried back to the memories by its features, covers their masks well, and at least as well as the other's does.

    Quirks of the published code, kept: frame 1 is never remembered. While motion takes part in the choice, the filter
    follows the box of the first prediction's candidate of that number, whichever prediction won.

    Attributes:
        candidates: Reliable frames that are kept, of which six are attended to. Higher values reach further back, and
            hold an image's features for each.
        alpha: Weight of a frame's likeness to the newest reliable one, against that to the prompted one, 0 to 1. Higher
            values follow the object's change.
        beta: Overlap with the memories' masks from which the prompted prediction may win. Higher values take it less
            often; above 1 never.
    """

    memory_motion: float = field(default=-1.0, metadata=INTERNAL)  # every one: SAMITE does not judge by it
    candidates: int = 30
    alpha: float = 0.3
    beta: float = 0.7

    about: ClassVar[About] = About(
        title="SAMITE",
        basis=Basis.CODE,
        compared="the SAM3 Tracking Zoo's port, with its default parameters",
        paper="Xu et al., arXiv:2507.21732",
        attends="The prompted frame and six remembered ones: the newest, and those whose object is most like its and "
        "the prompted frame's; pointers as in SAM 2.",
        remembers="The last 30 frames with predicted IoU and object score above thresholds, with their features.",
        chooses="SAMURAI's candidate, or that of a second prediction, prompted by a mask made from the memories, where "
        "it agrees with the memories at least as well.",
        visible="Its object score is above appear_score, -1 by default.",
        corrected="The frame joins the prompted one as a conditioning frame, and is remembered for the prompt. The "
        "motion filter begins anew at the corrected box. Where the object was lost, the other remembered frames are "
        "forgotten.",
    )
    needs_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates < 1 or not 0 <= self.alpha <= 1:
            raise ValueError("candidates must be at least 1, and alpha from 0 to 1.")

    def look(self, t: int, features: Features) -> None:
        self._side = features.map.shape[-1]
        self._map = features.map[0].flatten(1)
        self._query = self._map + 0.1 * features.positions[0].T  # what memory attention sees of the image

    def begin(self, start: Start) -> None:
        assert start.logits is not None
        self._grid = _sine_encoding(len(self._map), self._side, self._map.device)
        self._first = self._see(start.logits[None, None]).at(0, 0)
        self._remembered: list[_Remembered] = []  # newest first
        super().begin(start)

    # ------------------------------------------------------------------------------------------- what to attend to

    def select(self, t: int) -> list[MemorySelection]:
        chosen = self._most_alike()
        self._attended = [self._first, *(one.sight for one in reversed(chosen))]  # oldest first
        memories = ranked([self._prompted], [one.record for one in chosen])
        plain = MemorySelection(memories, self._pointers.pairs(t), self.pointer_span)
        return [plain, replace(plain, prompt=Prompt(mask=self._foreseen()))]

    def _most_alike(self) -> list[_Remembered]:
        """The newest remembered frame, and of the others those that are most like the object; newest first."""
        if len(self._remembered) < MEMORY_SLOTS:
            return self._remembered
        newest, *others = self._remembered
        to_first = np.array([one.likeness[0] for one in others])
        likeness = self.alpha * newest.likeness[1 : 1 + len(others)] + (1 - self.alpha) * to_first
        best = np.argsort(-likeness, kind="stable")[: MEMORY_SLOTS - 2]
        return [newest, *(others[index] for index in sorted(best))]

    def _foreseen(self) -> Tensor:
        """Where the memories lead one to expect the object: logits [4h, 4w]."""
        prototypes = torch.stack([sight.prototypes for sight in self._attended])  # [memories, 2, C]
        cosines = F.normalize(prototypes, dim=-1) @ F.normalize(self._query, dim=0)  # [memories, 2, n]
        near = _nearness(self._grid, self._attended[-1].inside)
        expected = _likeness(cosines, near).mean(dim=0).view(1, 1, self._side, self._side)
        size = self._side * _STRIDE
        return resize(resize(expected, size) * 20 - 10, size // 4, antialias=True)[0, 0]

    # ---------------------------------------------------------------------------------------------- what to choose

    def measure(self, t: int, candidates: Candidates) -> Tensor:
        """Of each candidate its overlap with the memories, and its likeness to the prompted and to remembered frames.

        Returns:
            [2, K * (2 + remembered)].
        """
        visible = candidates.object_scores > self.appear_score
        logits = torch.where(visible[:, None, None, None], candidates.logits, BLANK)
        self._seen = self._see(logits)
        assert candidates.maps is not None
        overlap = self._overlap(self._seen.inside, candidates.maps.flatten(2))
        return torch.cat([overlap[..., None], self._likenesses(self._seen)], dim=-1).flatten(1)

    def _overlap(self, inside: Tensor, conditioned: Tensor) -> Tensor:
        """IoU of the memories' masks, all together, with where each candidate's prototypes find the object on them.

        Args:
            inside: bool [2, K, n], the places of the candidates.
            conditioned: [2, C, n] the image's features after memory attention.

        Returns:
            [2, K].
        """
        prototypes = F.normalize(_prototypes(conditioned, inside), dim=-1)  # [2, K, 2, C]
        maps = F.normalize(torch.stack([sight.map for sight in self._attended]).float(), dim=1)  # [memories, C, n]
        shown = torch.stack([sight.inside for sight in self._attended])  # [memories, n]
        cosines = torch.einsum("rkpc,mcn->rkmpn", prototypes, maps)
        near = _nearness(self._grid, inside)[:, :, None]  # [2, K, 1, n]
        found = _likeness(cosines, near) >= _FOUND  # [2, K, memories, n]
        return (found & shown).sum(dim=(2, 3)) / (found | shown).sum(dim=(2, 3)).clamp(min=1)

    def _likenesses(self, sight: _Sight) -> Tensor:
        """Of each mask's object to the prompted frame's and to the remembered ones, [..., 1 + remembered]."""
        known = torch.stack([one.prototypes[0] for one in [self._first, *(one.sight for one in self._remembered)]])
        return F.normalize(sight.prototypes[..., 0, :], dim=-1) @ F.normalize(known, dim=-1).T

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        plain, prompted = predictions
        picks = self._best(plain.ious, self._boxes(plain)), int(prompted.ious.argmax())
        measured = [_table(prediction)[pick] for prediction, pick in zip(predictions, picks, strict=True)]
        row = int(measured[1][0] >= max(measured[0][0], self.beta))
        winner, best = predictions[row], picks[row]
        boxed = winner if self._stable < self.stable_frames else plain
        self._follow(winner.ious[best], self._boxes(boxed)[best])
        self._chosen = self._seen.at(row, best), measured[row][1:]  # until `store` knows if it is remembered
        return [Choice(best, winner.object_score > self.appear_score, row)]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        super().store(t, records)
        (record,) = records
        if record in self._good:
            self._remember(record, *self._chosen)

    def _remember(self, record: FrameRecord, sight: _Sight, likeness: np.ndarray) -> None:
        self._remembered = [_Remembered(record, sight, likeness), *self._remembered][: self.candidates]

    def correct(self, t: int, correction: Correction) -> None:
        super().correct(t, correction)
        kept = [] if correction.was_lost else self._remembered
        self._remembered = [one for one in kept if one.record.frame != t]
        if correction.record.area > 0:  # what the user showed is remembered, and prompts the next frames
            sight = self._see(correction.logits[None, None]).at(0, 0)
            self._remember(correction.record, sight, self._likenesses(sight).cpu().numpy())

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted, *(one.record for one in self._remembered), *self._pointers.recent}

    # ------------------------------------------------------------------------------------------------ places of masks

    def _see(self, logits: Tensor) -> _Sight:
        """The object on this frame by each of some masks, [rows, K, 4h, 4w]."""
        inside = self._inside(logits)
        return _Sight(self._map, inside, _prototypes(self._map, inside))

    def _inside(self, logits: Tensor) -> Tensor:
        """[rows, K, height, width] -> bool [rows, K, n], the places of each mask."""
        return (resize(logits, self._side) >= 0).flatten(2)


# All of this stays on the device: nothing waits for it.


def _table(prediction: Prediction) -> np.ndarray:
    """What `measure` said of each candidate: [K, 2 + remembered]."""
    assert prediction.measured is not None
    return prediction.measured.reshape(len(prediction.ious), -1)


def _prototypes(maps: Tensor, inside: Tensor) -> Tensor:
    """Mean features inside masks and outside, [rows, K, 2, C].

    Args:
        maps: [rows, C, n], or [C, n] for all rows.
        inside: bool [rows, K, n].
    """
    sides = torch.stack([inside, ~inside], dim=2).flatten(1, 2).float()  # [rows, K * 2, n]
    means = sides @ maps.transpose(-1, -2).float() / (sides.sum(dim=-1, keepdim=True) + 0.0005)
    return means.unflatten(1, (-1, 2))


def _likeness(cosines: Tensor, near: Tensor) -> Tensor:
    """How much more each place looks like what is inside than like what is outside, weighted; at most 1.

    Args:
        cosines: [..., 2, n] of the places' features with a mask's two prototypes.
        near: [..., n], the weights.

    Returns:
        [..., n]; all 0 where nothing does.
    """
    excess = (cosines[..., 0, :] - cosines[..., 1, :]).clamp(min=0) / 2 * near
    return excess / (excess.amax(dim=-1, keepdim=True) + 1e-7)


def _nearness(grid: Tensor, inside: Tensor) -> Tensor:
    """How near each place is to those of masks, 0 to 1: of [C, n] encodings and bool [..., n], [..., n]."""
    middle = F.normalize(inside.float() @ grid.T, dim=-1)
    cosine = middle @ F.normalize(grid, dim=0)
    low, high = cosine.amin(dim=-1, keepdim=True), cosine.amax(dim=-1, keepdim=True)
    return (cosine - low) / (high - low + 1e-7)


def _sine_encoding(channels: int, side: int, device: torch.device) -> Tensor:
    """Of the places of a map, [C, n]: half of the channels are sines and cosines of the row, half of the column."""
    half = channels // 2
    rates = 10000 ** (-torch.arange(0, half, 2, device=device) / half)
    angles = rates[:, None] * torch.arange(side, device=device)
    line = torch.stack([angles.sin(), angles.cos()], dim=1).flatten(0, 1)  # [half, side]
    rows, columns = line[:, :, None].expand(-1, -1, side), line[:, None, :].expand(-1, side, -1)
    return torch.cat([rows, columns]).flatten(1)
