"""SAM2Long's rule: follow several hypotheses of the object's path, each with a memory of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
import torch

from sam2rl_tracker.engine.types import MAX_POINTERS, MEMORY_SLOTS, FrameRecord, MemorySelection
from sam2rl_tracker.policies.about import About, Basis
from sam2rl_tracker.policies.base import Choice, Correction, Policy, Prediction, Start
from sam2rl_tracker.policies.recency import by_place, ranked

CAUSAL, FINAL = "causal", "final"

_MAX_KEPT = MAX_POINTERS - 1  # good frames after which the walk back through the video stops
_PROMPTED_SCORE = 10.0  # the object score that the prompted frame counts with
_KEY_FACTORS = (0.95, 1.05)  # of the memory with the lowest object score, and of that with the highest


@dataclass(frozen=True, eq=False)
class _Pathway:
    """One hypothesis. Identical ones are one and the same object: compared by identity."""

    score: float = 0.0  # sum over the frames of log(predicted IoU)
    newest: FrameRecord | None = None  # frame t-1
    good: tuple[FrameRecord, ...] = ()  # frames to remember, newest first
    past: _Past | None = None  # None also where nobody will ask

    @property
    def frames(self) -> tuple[FrameRecord, ...]:
        """What it remembers beside the prompted frame, newest first: frame t-1 always, then the good ones."""
        if self.newest is None or self.newest in self.good:
            return self.good
        return (self.newest, *self.good)


@dataclass(frozen=True, eq=False, slots=True)
class _Past:
    """Which of a frame's choices a pathway took, and how it got there. Pathways share what they have in common."""

    choice: int
    before: _Past | None


@dataclass(frozen=True, eq=False)
class _Branching:
    """How the pathways go on from a frame.

    Attributes:
        parents: Of each of the frame's choices, the pathway that it continues.
        scores: Of each choice, what the continued pathway is worth.
        survivors: Which of the choices each of the next pathways is.
    """

    parents: list[_Pathway]
    scores: list[float]
    survivors: list[int]


@dataclass
class Sam2Long(Policy):
    """A tree of memories: several pathways, of whose candidate masks the best live on; keys are weighted by certainty.

    Source: Ding et al., "SAM2Long: Enhancing SAM 2 for Long Video Segmentation with a Training-Free Memory Tree"
    (arXiv:2410.16268), section 3, and its published code's defaults.

    Attributes:
        pathways: Hypotheses that live on after every frame. Higher values explore more, and take more time.
        memory_iou: Predicted IoU above which a frame is remembered, if its object score is above 0. Higher values
            remember fewer frames.
        uncertainty: A frame is certain when some pathway's object score (a logit) is farther from 0 than this; then
            the best candidates live on. On an uncertain frame those that do must differ in predicted IoU. Higher values
            make more frames uncertain.
        output: causal = on every frame the mask of the pathway that is the best so far; final = the masks of the
            pathway that is the best at the end, as the published code gives them, which takes looking back over the
            whole video; 0, 1, 2, ... = those of the pathway of that final rank, to look into.
    """

    pathways: int = 3
    memory_iou: float = 0.1
    uncertainty: float = 2.0
    output: str = CAUSAL

    about: ClassVar[About] = About(
        title="SAM2Long",
        basis=Basis.CODE,
        compared="with output=final; causal is ours",
        paper="Ding et al., arXiv:2410.16268",
        attends="In each pathway: the prompted frame, frame t-1 and the newest remembered ones, seven in all. "
        "Pointers of the first and of up to fifteen others. Keys count 0.95 to 1.05, by the rank of the object score.",
        remembers="In each pathway the frames with a predicted IoU above memory_iou that show the object.",
        chooses="That of the pathway with the highest sum of log(predicted IoU). Of the candidates of all pathways the "
        "three best live on; on uncertain frames they must differ.",
        corrected="The frame joins the prompted one as a conditioning frame. The pathway of the output goes on "
        "alone. Where the object was lost, it forgets the frames that it remembered.",
    )

    def __post_init__(self) -> None:
        if self.pathways < 1:
            raise ValueError("pathways must be at least 1.")
        ranks = [str(rank) for rank in range(self.pathways)]
        if self.output not in (CAUSAL, FINAL, *ranks):
            raise ValueError(f"output must be one of {', '.join((CAUSAL, FINAL, *ranks))}, but is {self.output!r}.")

    @property
    def revises(self) -> bool:
        return self.output != CAUSAL

    def begin(self, start: Start) -> None:
        self._pathways = [_Pathway()] * self.pathways  # best first, but for those that fill up an uncertain frame
        self._branching: _Branching | None = None  # on the current frame: `choose` decides, `store` carries out
        super().begin(start)

    def select(self, t: int) -> list[MemorySelection]:
        return [self._selection(pathway, t) for pathway in self._distinct()]

    def _distinct(self) -> list[_Pathway]:
        """The different ones among the pathways: a row of the prediction each."""
        return list(dict.fromkeys(self._pathways))

    def _selection(self, pathway: _Pathway, t: int) -> MemorySelection:
        frames = pathway.frames
        memories = ranked([self._prompted], frames[: MEMORY_SLOTS - 1])
        pointers = by_place(self._prompted, frames[:-1], t)  # the oldest frame of the list has none
        if len(memories) == 1:
            return MemorySelection(memories, pointers, self.pointer_span)
        return MemorySelection(
            memories,
            pointers,
            self.pointer_span,
            memory_scales=self._key_factors([record for record, _ in memories]),
            pointer_scales=self._key_factors([record for record, _ in pointers]),
        )

    def _key_factors(self, records: Sequence[FrameRecord]) -> tuple[float, ...]:
        """A factor for each record, the higher the surer SAM 2 was to see the object there."""
        scores = [_PROMPTED_SCORE if record is self._prompted else record.object_score for record in records]
        ranks = np.argsort(np.argsort(scores, kind="stable"))
        factors = _factors(len(records))
        return tuple(factors[rank] for rank in ranks)

    def choose(self, t: int, predictions: Sequence[Prediction]) -> list[Choice]:
        distinct = self._distinct()
        rows = [distinct.index(pathway) for pathway in self._pathways]
        ious = np.stack([predictions[row].ious for row in rows])  # [pathways, K]
        scores = np.array([predictions[row].object_score for row in rows])
        if t == 1:  # all pathways are one, and it is not scored yet
            totals = np.zeros_like(ious)
            alive = [(pathway, int(ious[pathway].argmax())) for pathway in range(self.pathways)]
        else:
            totals = np.array([[pathway.score] for pathway in self._pathways]) + np.log(ious.clip(min=0) + 1e-5)
            alive = survivors(totals, ious, scores, self.uncertainty)
        # Pathways that are one have one choice: copies of it would only be computed again.
        picks = {(rows[pathway], candidate): (pathway, candidate) for pathway, candidate in alive}
        self._branching = _Branching(
            parents=[self._pathways[pathway] for pathway, _ in picks.values()],
            scores=[float(totals[pick]) for pick in picks.values()],
            survivors=[list(picks).index((rows[pathway], candidate)) for pathway, candidate in alive],
        )
        return [Choice(candidate, predictions[row].object_score > 0, row) for row, candidate in picks]

    def store(self, t: int, records: Sequence[FrameRecord]) -> None:
        if t == 0:
            (self._prompted,) = records
            return
        branching = self._branching
        assert branching is not None
        children = []
        parents = zip(branching.parents, branching.scores, records, strict=True)
        for choice, (parent, score, record) in enumerate(parents):
            is_good = record.predicted_iou > self.memory_iou and record.object_score > 0
            good = (record, *parent.good)[:_MAX_KEPT] if is_good else parent.good
            past = _Past(choice, parent.past) if self.revises else None
            children.append(_Pathway(score, record, good, past))
        self._pathways = [children[choice] for choice in branching.survivors]
        self._branching = None  # it holds records that nobody can reach any more

    def correct(self, t: int, correction: Correction) -> None:
        # The user saw the output, which is the first pathway's, and corrected that one: the others end here.
        seen = self._pathways[0]
        # The corrected frame is a conditioning frame now.
        good = () if correction.was_lost else tuple(record for record in seen.good if record.frame != t)
        self._pathways = [replace(seen, newest=correction.record, good=good)] * self.pathways

    def reachable(self) -> Collection[FrameRecord]:
        return {self._prompted}.union(*(pathway.frames for pathway in self._pathways))

    def revise(self) -> list[int]:
        ranked_pathways = sorted(self._pathways, key=lambda pathway: -pathway.score)
        past = ranked_pathways[0 if self.output == FINAL else int(self.output)].past
        choices = []
        while past is not None:
            choices.append(past.choice)
            past = past.before
        return choices[::-1]


def survivors(
    totals: np.ndarray, ious: np.ndarray, object_scores: np.ndarray, uncertainty: float
) -> list[tuple[int, int]]:
    """Which candidates live on, as many as there are pathways: (pathway, candidate), the best first.

    Args:
        totals: [pathways, K] score of each candidate.
        ious: [pathways, K] its predicted IoU.
        object_scores: [pathways]
        uncertainty: When no object score is farther from 0, those that live on must differ in predicted IoU, to two
            decimals, and in whether the object is seen at all.
    """
    count, candidates = totals.shape
    order = [divmod(int(place), candidates) for place in np.argsort(-totals, axis=None, kind="stable")]
    if np.abs(object_scores).max() > uncertainty:
        return order[:count]
    signed = np.round(np.where(object_scores[:, None] > 0, ious, -ious), 2)
    distinct: dict[float, tuple[int, int]] = {}
    for pick in order:
        distinct.setdefault(float(signed[pick]), pick)
    alive = list(distinct.values())[:count]
    represented = {pathway for pathway, _ in alive}
    absent = [pathway for pathway in range(count) if pathway not in represented]
    return alive + [(pathway, int(totals[pathway].argmax())) for pathway in absent[: count - len(alive)]]


@cache
def _factors(count: int) -> tuple[float, ...]:
    """Factors on the keys, ascending, in float32. The published code has a lone one (frame 2's pointer) in bfloat16."""
    factors = torch.linspace(*_KEY_FACTORS, count)
    return tuple((factors.bfloat16() if count == 1 else factors).tolist())
