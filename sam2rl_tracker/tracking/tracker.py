"""Track objects through one video, frame by frame, each with its own memory policy.

A frame's way: encode the image once; ask every object's policy what to attend to; predict all objects in one batch;
let each policy choose its mask and say how to remember it; encode the memories; hand the records to the policies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2rl_tracker.engine import (
    Candidates,
    Chosen,
    Engine,
    ExactEngine,
    Features,
    FrameRecord,
    MemorySelection,
    Model,
    load_model,
    one_thread,
)
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import Encoding, Outcome, Policy, Prediction, Start, make_policy
from sam2rl_tracker.tracking.hindsight import Hindsight

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(eq=False)
class _Object:
    """One tracked object: its policy and what the last frame said about it."""

    id: int
    policy: Policy
    start: int  # the video's frame on which the object was given; its policy counts from there
    record: FrameRecord  # of the last frame: the output's
    selection: MemorySelection | None = None  # what the last frame's output attended to; None on the prompted frame


class Tracker:
    """SAM 2 over a stream of images, any number of objects, with a memory that stays flat however long the video is.

    Args:
        model: a name, Hugging Face id or folder (see `load_model`), or a loaded model, which trackers may share.
        policy: `NAME[:key=value,...]` or `module:Class[...]` (see `make_policy`), or a callable giving a fresh policy.
        device: cpu, cuda, cuda:N or mps; None takes the best there is. A loaded model is on its device already.
        dtype: "float32", or "bfloat16" to run the network under autocast.
        exact: predict one object at a time, on one CPU thread; in float32 every mask is then stock SAM 2's. Otherwise
            objects share a batch and all threads are used, which is faster and moves last bits.
        non_overlap: give a pixel that several objects claim to the one with the highest logit. Only what is returned
            changes: memories hold the masks as predicted.
        num_frames: length of the video, if known. Only videos shorter than 16 frames depend on it, in the last bits.

    Images are RGB uint8 [height, width, 3], all of one size; masks bool [objects, height, width] at that size, in the
    order of `ids`.

    Example:
        >>> tracker = Tracker(policy="dam4sam")  # doctest: +SKIP
        >>> tracker.initialize(first_image, masks)  # doctest: +SKIP
        >>> for image in images:  # doctest: +SKIP
        ...     masks = tracker.track(image)
    """

    def __init__(
        self,
        model: str | Model = "nano",
        policy: str | Callable[[], Policy] = "recency",
        device: str | None = None,
        *,
        dtype: str = "float32",
        exact: bool = False,
        non_overlap: bool = False,
        num_frames: int | None = None,
    ):
        if dtype not in DTYPES:
            raise Sam2rlError(f"dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}")
        self._make_policy = make_policy(policy) if isinstance(policy, str) else policy
        self.model = model if isinstance(model, Model) else load_model(model, device)
        rule = self._make_policy()
        self._exact = exact or rule.exact
        self._engine = (
            ExactEngine(self.model, DTYPES[dtype], rule.math_attention)
            if self._exact
            else Engine(self.model, DTYPES[dtype])
        )
        self._non_overlap = non_overlap
        self._num_frames = num_frames
        self._objects: list[_Object] = []
        self._past = Hindsight(non_overlap) if rule.revises else None
        self._features: Features | None = None  # of the most recent image
        self._image = np.zeros((0, 0, 3), dtype=np.uint8)
        self._frame = 0

    @property
    def ids(self) -> list[int]:
        """Ids of the objects, in the order of the masks."""
        return [one.id for one in self._objects]

    @property
    def frame(self) -> int:
        """The most recent frame, counted from 0."""
        return self._frame

    @property
    def revises(self) -> bool:
        """Whether the policy may give other masks once it has seen the whole video: `revise` hands them out."""
        return self._past is not None

    def initialize(
        self,
        image: np.ndarray,
        masks: np.ndarray | None = None,
        ids: Sequence[int] | None = None,
        boxes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Start on a new video; whatever was tracked before is forgotten.

        Args:
            masks: bool [objects, height, width], or None to begin without objects and `add` them later.
            ids: one number per object; by default 1, 2, 3, ...
            boxes: instead of masks, float [objects, 4]: x, y, width, height in pixels.

        Returns:
            The masks of this frame: those given, or those found in the boxes.

        Raises:
            Sam2rlError: an image or mask of the wrong shape, an empty mask, a box outside the image, repeated ids.
        """
        self._check_image(image)
        self._objects = []
        self._past = None if self._past is None else Hindsight(self._non_overlap)
        self._frame = 0
        with self._threads():
            self._features, self._image = self._engine.encode_image(image), image
        if masks is None and boxes is None:
            return np.zeros((0, *image.shape[:2]), dtype=bool)
        return self.add(masks, ids, boxes)

    def add(
        self,
        masks: np.ndarray | None = None,
        ids: Sequence[int] | None = None,
        boxes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Add objects on the most recent frame; arguments and errors as in `initialize`.

        Returns:
            The new objects' masks on this frame.
        """
        features = self._require_features()
        if (masks is None) == (boxes is None):
            raise Sam2rlError("give either masks or boxes for the objects to track")
        with self._threads():
            return self._add(features, masks, ids, boxes)

    def _add(
        self,
        features: Features,
        masks: np.ndarray | None,
        ids: Sequence[int] | None,
        boxes: np.ndarray | None,
    ) -> np.ndarray:
        if masks is not None:
            shown = self._check_masks(masks, ids, features.video_size)
            ids = self._check_ids(ids, len(shown))
            chosen, ious = self._engine.prompt_masks(features, shown), np.ones(len(shown))
        else:
            checked = self._check_boxes(boxes, features.video_size)
            ids = self._check_ids(ids, len(checked))
            chosen, ious_found = self._engine.prompt_boxes(features, checked)
            shown = self._to_masks(chosen.logits, features)
            ious = ious_found.cpu().numpy()
            for box, mask in zip(checked, shown, strict=True):
                if not mask.any():
                    raise Sam2rlError(f"no object was found in the box {_numbers(box)}: draw it closer, or give a mask")
        areas = shown.sum(axis=(1, 2))
        encodings = [Encoding.BINARY] * len(shown)
        scores = chosen.object_scores.tolist()
        records = self._remember(features, chosen, encodings, [0] * len(shown), ious.tolist(), scores, areas.tolist())
        for number, record, mask in zip(ids, records, shown, strict=True):
            policy = self._make_policy()
            policy.begin(Start(record, self._num_frames, self._image, mask, self.model))
            self._objects.append(_Object(number, policy, self._frame, record))
        return shown

    def remove(self, id: int) -> None:
        """Stop tracking an object.

        Raises:
            Sam2rlError: there is no such object.
        """
        if id not in self.ids:
            raise Sam2rlError(f"there is no object {id} to remove: the objects are {self.ids}")
        self._objects = [one for one in self._objects if one.id != id]

    def track(self, image: np.ndarray) -> np.ndarray:
        """Track all objects into the next image; their masks, all False where an object is absent.

        Raises:
            Sam2rlError: called before `initialize`, or the image's size is not the first one's.
        """
        previous = self._require_features()
        self._check_image(image, previous.video_size)
        with self._threads():
            return self._track(image)

    def _track(self, image: np.ndarray) -> np.ndarray:
        self._features, self._image = self._engine.encode_image(image), image
        features = self._features
        self._frame += 1
        if not self._objects:
            nothing = np.zeros((0, *features.video_size), dtype=bool)
            if self._past is not None:
                self._past.add([], nothing, torch.from_numpy(nothing), [])
            return nothing

        # A row is one hypothesis of one object: `asked` and `kept` say which rows belong to which object.
        objects = [(one.policy, self._frame - one.start) for one in self._objects]
        selected = [policy.select(t) for policy, t in objects]
        selections = [selection for own in selected for selection in own]
        candidates = self._engine.predict(features, selections)
        predictions = self._to_host(candidates, features)

        asked = _spans(selected)
        choices = [policy.choose(t, predictions[span]) for (policy, t), span in zip(objects, asked, strict=True)]
        kept = _spans(choices)
        flat = [choice for own in choices for choice in own]
        rows = [span.start + choice.hypothesis for span, own in zip(asked, choices, strict=True) for choice in own]
        picks, visible = [choice.candidate for choice in flat], [choice.visible for choice in flat]
        to_device = partial(torch.tensor, device=self.model.device)
        chosen = self._engine.choose(candidates, to_device(rows), to_device(picks), to_device(visible))
        logits = self._engine.video_logits(chosen.logits, features.video_size)
        masks = (logits > 0).cpu().numpy()  # [choices, height, width]
        outcomes = [
            Outcome(predictions[row], choice, mask, int(np.count_nonzero(mask)), low)
            for row, choice, mask, low in zip(rows, flat, masks, chosen.logits, strict=True)
        ]

        encodings: list[Encoding] = []
        for (policy, t), span in zip(objects, kept, strict=True):
            encodings += policy.observe(t, outcomes[span])
        frames = [t for (_, t), own in zip(objects, choices, strict=True) for _ in own]
        ious = [float(o.prediction.ious[o.choice.candidate]) for o in outcomes]
        scores = [o.prediction.object_score for o in outcomes]
        records = self._remember(features, chosen, encodings, frames, ious, scores, [o.area for o in outcomes])

        for one, (policy, t), span in zip(self._objects, objects, kept, strict=True):
            policy.store(t, records[span])
            one.record, one.selection = records[span.start], selections[rows[span.start]]
        if self._past is not None:
            lines = [
                self._trace(one, record, selections[row])
                for one, span in zip(self._objects, kept, strict=True)
                for record, row in zip(records[span], rows[span], strict=True)
            ]
            self._past.add([(*pair, span) for pair, span in zip(objects, kept, strict=True)], masks, logits, lines)
        outputs = [span.start for span in kept]  # an object's first choice
        return self._separate(masks[outputs], logits, outputs)

    def trace(self) -> list[dict[str, Any]]:
        """What the most recent frame attended to and left behind, one entry per object (a line of a JSONL trace).

        Fields: frame (of the video, from 0), object (its id), memories [[frame, temporal slot], ...], pointers
        [[frame, distance], ...], predicted_iou, object_score (a logit), area (pixels, before `non_overlap`), stored
        (whether the policy can still select the frame's memory).
        """
        return [self._trace(one, one.record, one.selection) for one in self._objects]

    def revise(self) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
        """Every frame again, as the policies see it in the light of the later ones.

        Returns:
            For each call of `track` since `initialize`, the masks that it should have returned and the trace that
            belongs to them.

        Raises:
            Sam2rlError: the policy does not revise (see `revises`): what `track` returned stands.
        """
        if self._past is None:
            raise Sam2rlError("the policy does not look back: the masks that track(image) returned are its last word")
        return self._past.frames()

    def _trace(self, one: _Object, record: FrameRecord, selection: MemorySelection | None) -> dict[str, Any]:
        return {
            "frame": self._frame,
            "object": one.id,
            "memories": [[one.start + r.frame, slot] for r, slot in selection.memories] if selection else [],
            "pointers": [[one.start + r.frame, distance] for r, distance in selection.pointers] if selection else [],
            "predicted_iou": round(record.predicted_iou, 6),
            "object_score": round(record.object_score, 6),
            "area": record.area,
            "stored": record.memory is not None and record in one.policy.reachable(),
        }

    # ---------------------------------------------------------------------------------------- a frame's parts

    def _to_host(self, candidates: Candidates, features: Features) -> list[Prediction]:
        """Everything that policies decide by, in one transfer."""
        rows, count = candidates.ious.shape
        parts = [candidates.ious, candidates.logits.amax(dim=(2, 3)), candidates.object_scores[:, None]]
        boxes = any(one.policy.needs_boxes for one in self._objects)
        if boxes:
            parts.append(self._engine.boxes(candidates.logits).flatten(1).float())
        table = torch.cat(parts, dim=1).cpu().numpy()  # [rows, K + K + 1 (+ 4K)]

        def fetch(row: int) -> Callable[[], np.ndarray]:
            return lambda: self._to_masks(candidates.logits[row], features)

        return [
            Prediction(
                ious=table[row, :count],
                peaks=table[row, count : 2 * count],
                object_score=float(table[row, 2 * count]),
                boxes=table[row, 2 * count + 1 :].reshape(count, 4) if boxes else None,
                candidate_masks=fetch(row),
            )
            for row in range(rows)
        ]

    def _remember(
        self,
        features: Features,
        chosen: Chosen,
        encodings: Sequence[Encoding],
        frames: Sequence[int],
        ious: Sequence[float],
        scores: Sequence[float],
        areas: Sequence[int],
    ) -> list[FrameRecord]:
        """Encode the memories that are asked for, in one batch, and make the records."""
        encoded = [row for row, encoding in enumerate(encodings) if encoding is not Encoding.NONE]
        memories: dict[int, Tensor] = {}
        if encoded:
            kept = chosen if len(encoded) == len(encodings) else chosen.take(encoded)
            batch = self._engine.encode_memory(features, kept, [encodings[row] is Encoding.BINARY for row in encoded])
            # Cloned: a row of the batch would keep the whole batch alive for as long as its record is.
            memories = {row: batch[i].clone() for i, row in enumerate(encoded)}
        return [
            FrameRecord(
                frames[row], memories.get(row), chosen.pointers[row].clone(), ious[row], scores[row], areas[row]
            )
            for row in range(len(encodings))
        ]

    def _separate(self, masks: np.ndarray, logits: Tensor, outputs: list[int]) -> np.ndarray:
        """Give pixels that several outputs claim to the one with the highest logit, if that was asked for."""
        if not self._non_overlap or np.count_nonzero(masks, axis=0).max(initial=0) <= 1:
            return masks
        winners = logits[outputs].argmax(dim=0).cpu().numpy()
        return masks & (winners == np.arange(len(masks))[:, None, None])

    def _to_masks(self, logits: Tensor, features: Features) -> np.ndarray:
        """[n, 4h, 4w] on the device -> bool [n, height, width] on the host."""
        return (self._engine.video_logits(logits, features.video_size) > 0).cpu().numpy()

    # ----------------------------------------------------------------------------------------------- checks

    def _threads(self) -> AbstractContextManager[None]:
        return one_thread() if self._exact else nullcontext()

    def _require_features(self) -> Features:
        if self._features is None:
            raise Sam2rlError("nothing is tracked yet: call initialize(image, masks) first")
        return self._features

    def _check_image(self, image: np.ndarray, size: tuple[int, int] | None = None) -> None:
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise Sam2rlError(f"an image must be an RGB array, uint8 [height, width, 3], but is {_shape(image)}")
        if size is not None and image.shape[:2] != size:
            raise Sam2rlError(
                f"image {self._frame + 1} is {image.shape[1]}x{image.shape[0]} pixels, the first was "
                f"{size[1]}x{size[0]}: a video has one size"
            )

    def _check_masks(self, masks: np.ndarray, ids: Sequence[int] | None, size: tuple[int, int]) -> np.ndarray:
        masks = np.asarray(masks)
        if len(masks) == 0:
            raise Sam2rlError("no masks were given: call initialize(image) to begin without objects")
        if masks.ndim != 3 or masks.shape[1:] != size:
            raise Sam2rlError(
                f"masks must be [objects, {size[0]}, {size[1]}] as the image is {size[1]}x{size[0]} pixels, "
                f"but are {list(masks.shape)}"
            )
        for index, mask in enumerate(masks):
            if not mask.any():
                name = ids[index] if ids is not None and index < len(ids) else index + 1
                raise Sam2rlError(f"the mask of object {name} is empty: it must show the object on its first frame")
        return masks != 0

    def _check_boxes(self, boxes: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
        checked = np.asarray(boxes, dtype=np.float32)
        if checked.ndim != 2 or checked.shape[1] != 4:
            raise Sam2rlError(f"boxes must be [objects, 4] as x, y, width, height, but are {list(checked.shape)}")
        for box in checked:
            x, y, width, height = box
            inside = np.isfinite(box).all() and x < size[1] and y < size[0] and x + width > 0 and y + height > 0
            if not inside or width <= 0 or height <= 0:
                raise Sam2rlError(
                    f"the box {_numbers(box)} (x, y, width, height) has no area inside the image of "
                    f"{size[1]}x{size[0]} pixels"
                )
        return checked

    def _check_ids(self, ids: Sequence[int] | None, count: int) -> list[int]:
        if ids is None:
            first = max(self.ids, default=0) + 1
            return list(range(first, first + count))
        ids = [int(number) for number in ids]
        if len(ids) != count:
            raise Sam2rlError(f"{len(ids)} ids were given for {count} objects")
        if any(number < 1 for number in ids):
            raise Sam2rlError(f"ids count from 1, 0 is the background: {ids} were given")
        taken = [number for number in ids if number in self.ids or ids.count(number) > 1]
        if taken:
            raise Sam2rlError(f"object {taken[0]} is given twice: every object needs its own id")
        return ids


def _spans(groups: Sequence[Sequence[object]]) -> list[slice]:
    """Where each group lies once they are strung together."""
    ends = list(accumulate(len(group) for group in groups))
    return [slice(end - len(group), end) for group, end in zip(groups, ends, strict=True)]


def _numbers(box: np.ndarray) -> str:
    return ",".join(f"{value:g}" for value in box)


def _shape(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
