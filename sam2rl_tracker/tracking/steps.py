"""The steps of one frame: what is asked, predicted, chosen, drawn and remembered, for all objects in one batch.

A row is one hypothesis of one object. Rows and choices of all objects are strung together; spans say whose are whose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sam2rl_tracker.engine import Candidates, Chosen, Engine, Features, FrameRecord, MemorySelection
from sam2rl_tracker.policies import Choice, Encoding, Outcome, Policy, Prediction
from sam2rl_tracker.tracking.conditioning import Conditioning


@dataclass(frozen=True, eq=False)
class Turn:
    """One object on one frame.

    Attributes:
        policy: The object's.
        conditioning: Its frames that a user prompted.
        t: The frame, counted from the one on which the object was given.
    """

    policy: Policy
    conditioning: Conditioning
    t: int


@dataclass(frozen=True, eq=False)
class Asked:
    """What the policies want predicted.

    Attributes:
        selections: One per row.
        spans: The rows of each object.
    """

    selections: list[MemorySelection]
    spans: list[slice]


@dataclass(frozen=True, eq=False)
class Picked:
    """What the policies chose.

    Attributes:
        choices: Of all objects.
        rows: The row that each choice came from.
        spans: The choices of each object.
    """

    choices: list[Choice]
    rows: list[int]
    spans: list[slice]

    @property
    def outputs(self) -> list[int]:
        """Each object's first choice, which is its output."""
        return [span.start for span in self.spans]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The masks of the choices.

    Attributes:
        chosen: As the engine goes on with them.
        logits: [choices, height, width] at the video's size, on the device.
        masks: bool [choices, height, width], on the host.
    """

    chosen: Chosen
    logits: Tensor
    masks: np.ndarray


@dataclass(frozen=True)
class Facts:
    """What a record says beside its tensors: see `FrameRecord`.

    Attributes:
        frame: Counted from the object's prompted frame, which is 0.
        predicted_iou: What the network thinks of its mask.
        object_score: A logit.
        area: Pixels of the output mask.
    """

    frame: int
    predicted_iou: float
    object_score: float
    area: int


def ask(turns: Sequence[Turn], features: Features) -> Asked:
    """Ask every policy what its object's prediction attends to, and add the frames that a user corrected.

    Policies that want to see the image see it first.
    """
    for turn in turns:
        if turn.policy.needs_features:
            turn.policy.look(turn.t, features)
    selected = [[turn.conditioning.apply(each, turn.t) for each in turn.policy.select(turn.t)] for turn in turns]
    return Asked([selection for own in selected for selection in own], _spans(selected))


def measure(turns: Sequence[Turn], asked: Asked, candidates: Candidates) -> list[Tensor]:
    """What each row's policy measures itself: [n] on the device, for an n of its own."""
    own = (turn.policy.measure(turn.t, candidates.take(span)) for turn, span in zip(turns, asked.spans, strict=True))
    return [row for rows in own for row in rows]


def to_host(
    engine: Engine, candidates: Candidates, features: Features, with_boxes: bool, measured: Sequence[Tensor] = ()
) -> list[Prediction]:
    """Everything that policies decide by, in one transfer: a prediction per row.

    Args:
        with_boxes: Whether some policy needs the candidates' boxes or areas.
        measured: From `measure`, where some policy needs features.
    """
    rows, count = candidates.ious.shape
    parts = [candidates.ious, candidates.logits.amax(dim=(2, 3)), candidates.object_scores[:, None]]
    if with_boxes:
        parts.append(engine.extents(candidates.logits).flatten(1).float())
    known = sum(part.shape[1] for part in parts)
    if measured:
        parts.append(pad_sequence(list(measured), batch_first=True))
    table = torch.cat(parts, dim=1).cpu().numpy()  # [rows, K + K + 1 (+ 5K) (+ what is measured)]
    extents = table[:, 2 * count + 1 : known].reshape(rows, count, -1)  # [rows, K, 5] or [rows, K, 0]

    def fetch(row: int) -> Callable[[], np.ndarray]:
        return lambda: to_masks(engine, candidates.logits[row], features)

    def fetch_at_input_size(row: int) -> Callable[[], np.ndarray]:
        return lambda: engine.input_masks(candidates.logits[row : row + 1])[0].cpu().numpy()

    return [
        Prediction(
            ious=table[row, :count],
            peaks=table[row, count : 2 * count],
            object_score=float(table[row, 2 * count]),
            boxes=extents[row, :, :4] if with_boxes else None,
            candidate_masks=fetch(row),
            areas=extents[row, :, 4] if with_boxes else None,
            input_masks=fetch_at_input_size(row),
            measured=table[row, known : known + len(measured[row])] if measured else None,
        )
        for row in range(rows)
    ]


def pick(turns: Sequence[Turn], asked: Asked, predictions: Sequence[Prediction]) -> Picked:
    """Let every policy choose which candidates live on."""
    chosen = [turn.policy.choose(turn.t, predictions[span]) for turn, span in zip(turns, asked.spans, strict=True)]
    rows = [span.start + choice.hypothesis for span, own in zip(asked.spans, chosen, strict=True) for choice in own]
    return Picked([choice for own in chosen for choice in own], rows, _spans(chosen))


def draw(engine: Engine, candidates: Candidates, picked: Picked, features: Features) -> Drawn:
    """The masks of the choices, at the video's size."""
    to_device = partial(torch.tensor, device=engine.device)
    candidate, visible = [choice.candidate for choice in picked.choices], [choice.visible for choice in picked.choices]
    chosen = engine.choose(candidates, to_device(picked.rows), to_device(candidate), to_device(visible))
    logits = engine.video_logits(chosen.logits, features.video_size)
    return Drawn(chosen, logits, (logits > 0).cpu().numpy())


def outcomes_of(predictions: Sequence[Prediction], picked: Picked, drawn: Drawn) -> list[Outcome]:
    """What became of each choice."""
    return [
        Outcome(predictions[row], choice, mask, int(np.count_nonzero(mask)), logits)
        for row, choice, mask, logits in zip(picked.rows, picked.choices, drawn.masks, drawn.chosen.logits, strict=True)
    ]


def observe(turns: Sequence[Turn], picked: Picked, outcomes: Sequence[Outcome]) -> list[Encoding]:
    """Let every policy say how its choices are remembered."""
    each = [turn.policy.observe(turn.t, outcomes[span]) for turn, span in zip(turns, picked.spans, strict=True)]
    return [encoding for own in each for encoding in own]


def facts_of(turns: Sequence[Turn], picked: Picked, outcomes: Sequence[Outcome]) -> list[Facts]:
    """What the records of the choices say."""
    frames = [turn.t for turn, span in zip(turns, picked.spans, strict=True) for _ in outcomes[span]]
    return [
        Facts(t, float(o.prediction.ious[o.choice.candidate]), o.prediction.object_score, o.area)
        for t, o in zip(frames, outcomes, strict=True)
    ]


def remember(
    engine: Engine, features: Features, chosen: Chosen, encodings: Sequence[Encoding], facts: Sequence[Facts]
) -> list[FrameRecord]:
    """Encode the memories that are asked for, in one batch, and make the records."""
    encoded = [row for row, encoding in enumerate(encodings) if encoding is not Encoding.NONE]
    memories: dict[int, Tensor] = {}
    if encoded:
        kept = chosen if len(encoded) == len(encodings) else chosen.take(encoded)
        batch = engine.encode_memory(features, kept, [encodings[row] is Encoding.BINARY for row in encoded])
        # Cloned: a row of the batch would keep the whole batch alive for as long as its record is.
        memories = {row: batch[i].clone() for i, row in enumerate(encoded)}
    return [
        FrameRecord(
            frame=fact.frame,
            memory=memories.get(row),
            pointer=chosen.pointers[row].clone(),
            predicted_iou=fact.predicted_iou,
            object_score=fact.object_score,
            area=fact.area,
        )
        for row, fact in enumerate(facts)
    ]


def separate(drawn: Drawn, outputs: list[int]) -> np.ndarray:
    """The objects' masks, bool [objects, height, width]: of several that claim a pixel, the highest logit gets it.

    Args:
        outputs: The choice that is each object's output.
    """
    masks = drawn.masks[outputs]
    rows, columns = np.nonzero(_claimed_twice(masks))
    if len(rows):
        # Only here the logits matter: the rest of them, which is nearly all, need not be compared.
        logits = drawn.logits.flatten(1)[:, torch.from_numpy(rows * masks.shape[2] + columns).to(drawn.logits.device)]
        winners = logits[outputs].argmax(dim=0).cpu().numpy()
        masks[:, rows, columns] = winners == np.arange(len(masks))[:, None]
    return masks


def _claimed_twice(masks: np.ndarray) -> np.ndarray:
    """Which pixels several masks hold: bool [n, height, width] -> bool [height, width]."""
    once, twice = np.zeros((2, *masks.shape[1:]), dtype=bool)
    for mask in masks:
        twice |= once & mask
        once |= mask
    return twice


def to_masks(engine: Engine, logits: Tensor, features: Features) -> np.ndarray:
    """[n, 4h, 4w] on the device -> bool [n, height, width] on the host."""
    return (engine.video_logits(logits, features.video_size) > 0).cpu().numpy()


def _spans(groups: Sequence[Sequence[object]]) -> list[slice]:
    """Where each group lies once they are strung together."""
    ends = list(accumulate(len(group) for group in groups))
    return [slice(end - len(group), end) for group, end in zip(groups, ends, strict=True)]
