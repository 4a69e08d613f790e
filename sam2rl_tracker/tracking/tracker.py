"""Track objects through one video, frame by frame, each with its own memory policy.

A frame's way: encode the image once; ask every object's policy what to attend to; predict all objects in one batch;
let each policy choose its mask and say how to remember it; encode the memories; hand the records to the policies.
`tracking.steps` has the steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.agents.store import find_agent
from sam2rl_tracker.engine import (
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
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.policies import Encoding, Policy, Start, make_policy
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE
from sam2rl_tracker.tracking import checks, steps
from sam2rl_tracker.tracking.hindsight import Hindsight, Revised
from sam2rl_tracker.tracking.trace import TraceLine, trace_line

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
        model: A name, Hugging Face id or folder (see `load_model`), or a loaded model, which trackers may share.
        policy: `NAME[:key=value,...]` or `module:Class[...]` (see `make_policy`), or a callable giving a fresh policy.
        device: cpu, cuda, cuda:N or mps; None takes the best there is. A loaded model is on its device already.
        dtype: "float32", or "bfloat16" to run the network under autocast.
        exact: Predict one object at a time, on one CPU thread; in float32 every mask is then stock SAM 2's. Otherwise
            objects share a batch and all threads are used, which is faster and moves last bits.
        non_overlap: Give a pixel that several objects claim to the one with the highest logit. Only what is returned
            changes: memories hold the masks as predicted.
        num_frames: Length of the video, if known. Only videos shorter than 16 frames depend on it, in the last bits.
        agents: For a policy that is run by trained agents and was not given any: their folder, or one file; None takes
            the environment's SAM2RL_AGENTS.

    Images are RGB uint8 [height, width, 3], all of one size; masks bool [objects, height, width] at that size, in the
    order of `ids`.

    Example:
        >>> from sam2rl_tracker.synthetic import generate_scene
        >>> scene = generate_scene(seed=0, frames=3)
        >>> tracker = Tracker(policy="dam4sam", device="cpu")
        >>> masks = tracker.initialize(scene.images[0], scene.labels[:1] == 1)
        >>> for image in scene.images[1:]:
        ...     masks = tracker.track(image)
        >>> masks.shape, masks.dtype, tracker.ids
        ((1, 128, 128), dtype('bool'), [1])
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
        agents: StrPath | None = None,
    ):
        if dtype not in DTYPES:
            raise Sam2rlError(f"Dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}.")
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
        self._agents = agents
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

    # ------------------------------------------------------------------------------------------ objects come and go

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
            ids: One number per object; by default 1, 2, 3, ...
            boxes: Instead of masks, float [objects, 4]: x, y, width, height in pixels.

        Returns:
            The masks of this frame: Those given, or those found in the boxes.

        Raises:
            Sam2rlError: An image or mask of the wrong shape, an empty mask, a box outside the image, repeated ids.
        """
        checks.check_image(image)
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
        with self._threads():
            if masks is not None and boxes is None:
                return self._add_masks(features, masks, ids)
            if boxes is not None and masks is None:
                return self._add_boxes(features, boxes, ids)
        raise Sam2rlError("Give either masks or boxes for the objects to track.")

    def _add_masks(self, features: Features, masks: np.ndarray, ids: Sequence[int] | None) -> np.ndarray:
        shown = checks.check_masks(masks, ids, features.video_size)
        ids = checks.check_ids(ids, len(shown), self.ids)
        self._begin(features, self._engine.prompt_masks(features, shown), shown, np.ones(len(shown)), ids)
        return shown

    def _add_boxes(self, features: Features, boxes: np.ndarray, ids: Sequence[int] | None) -> np.ndarray:
        boxes = checks.check_boxes(boxes, features.video_size)
        ids = checks.check_ids(ids, len(boxes), self.ids)
        chosen, ious = self._engine.prompt_boxes(features, boxes)
        shown = steps.to_masks(self._engine, chosen.logits, features)
        checks.check_found(boxes, shown)
        self._begin(features, chosen, shown, ious.cpu().numpy(), ids)
        return shown

    def _begin(
        self, features: Features, chosen: Chosen, masks: np.ndarray, ious: np.ndarray, ids: Sequence[int]
    ) -> None:
        """Remember new objects and give each a policy.

        Args:
            masks: bool [objects, height, width].
            ious: [objects] predicted IoU of the masks; 1 for masks that were given.
        """
        measured = zip(ious.tolist(), chosen.object_scores.tolist(), masks.sum(axis=(1, 2)).tolist(), strict=True)
        facts = [steps.Facts(0, iou, score, area) for iou, score, area in measured]
        records = steps.remember(self._engine, features, chosen, [Encoding.BINARY] * len(facts), facts)
        for number, record, mask, logits in zip(ids, records, masks, chosen.logits, strict=True):
            policy = self._make_policy()
            agent = self._find_agent(policy, mask)
            if policy.needs_features:
                policy.look(0, features)
            policy.begin(Start(record, self._num_frames, self._image, mask, self.model, agent, logits))
            self._objects.append(_Object(number, policy, self._frame, record))

    def _find_agent(self, policy: Policy, mask: np.ndarray) -> Agent | None:
        """The agent of a new object, if its policy is run by one. What the policy itself names comes first."""
        if policy.agent_source is None:
            return None
        agents = policy.agent_source or self._agents or os.environ.get(AGENTS_VARIABLE, "")
        return find_agent(agents, self._image, mask, self.model, self._num_frames)

    def remove(self, id: int) -> None:
        """Stop tracking an object.

        Raises:
            Sam2rlError: There is no such object.
        """
        if id not in self.ids:
            raise Sam2rlError(f"There is no object {id} to remove: the objects are {self.ids}.")
        self._objects = [one for one in self._objects if one.id != id]

    # --------------------------------------------------------------------------------------------- the next frame

    def track(self, image: np.ndarray) -> np.ndarray:
        """Track all objects into the next image; their masks, all False where an object is absent.

        Raises:
            Sam2rlError: Called before `initialize`, or the image's size is not the first one's.
        """
        previous = self._require_features()
        checks.check_image(image)
        checks.check_size(image, previous.video_size, self._frame + 1)
        with self._threads():
            self._features, self._image = self._engine.encode_image(image), image
            self._frame += 1
            return self._track(self._features) if self._objects else self._track_nothing(image)

    def _track(self, features: Features) -> np.ndarray:
        engine = self._engine
        turns = [steps.Turn(one.policy, self._frame - one.start) for one in self._objects]

        asked = steps.ask(turns, features)
        needs_boxes = any(turn.policy.needs_boxes for turn in turns)
        needs_features = any(turn.policy.needs_features for turn in turns)
        candidates = engine.predict(features, asked.selections, keep_maps=needs_features)
        measured = steps.measure(turns, asked, candidates) if needs_features else ()
        predictions = steps.to_host(engine, candidates, features, needs_boxes, measured)

        picked = steps.pick(turns, asked, predictions)
        drawn = steps.draw(engine, candidates, picked, features)
        outcomes = steps.outcomes_of(predictions, picked, drawn)

        encodings = steps.observe(turns, picked, outcomes)
        facts = steps.facts_of(turns, picked, outcomes)
        records = steps.remember(engine, features, drawn.chosen, encodings, facts)
        self._store(turns, asked, picked, records)
        if self._past is not None:
            lines = self._lines_of_choices(asked, picked, records)
            self._past.add(turns, picked.spans, drawn.masks, drawn.logits, lines)

        return steps.separate(drawn, picked.outputs) if self._non_overlap else drawn.masks[picked.outputs]

    def _track_nothing(self, image: np.ndarray) -> np.ndarray:
        nothing = np.zeros((0, *image.shape[:2]), dtype=bool)
        if self._past is not None:
            self._past.add([], [], nothing, None, [])
        return nothing

    def _store(
        self, turns: Sequence[steps.Turn], asked: steps.Asked, picked: steps.Picked, records: Sequence[FrameRecord]
    ) -> None:
        """Hand the records to the policies, and note what each object's output attended to and left behind."""
        for one, turn, span in zip(self._objects, turns, picked.spans, strict=True):
            turn.policy.store(turn.t, records[span])
            one.record, one.selection = records[span.start], asked.selections[picked.rows[span.start]]

    # -------------------------------------------------------------------------------------------------- the trace

    def trace(self) -> list[dict[str, Any]]:
        """What the most recent frame attended to and left behind, one entry per object (a line of a JSONL trace).

        Fields: frame (of the video, from 0), object (its id), memories [[frame, temporal slot], ...], pointers
        [[frame, distance], ...], predicted_iou, object_score (a logit), area (pixels, before `non_overlap`), stored
        (whether the policy can still select the frame's memory).
        """
        return [line.to_json() for line in self.trace_lines()]

    def trace_lines(self) -> list[TraceLine]:
        """The trace of the most recent frame as records."""
        return [self._line(one, one.record, one.selection) for one in self._objects]

    def revise(self) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
        """Every frame again, as the policies see it in the light of the later ones.

        Returns:
            For each call of `track` since `initialize`, the masks that it should have returned and the trace that
            belongs to them.

        Raises:
            Sam2rlError: The policy does not revise (see `revises`): what `track` returned stands.
        """
        return ((revised.masks, [line.to_json() for line in revised.trace]) for revised in self.revised_frames())

    def revised_frames(self) -> Iterator[Revised]:
        """What `revise` gives, as records."""
        if self._past is None:
            raise Sam2rlError("The policy does not look back: the masks that track(image) returned are its last word.")
        return self._past.frames()

    def _lines_of_choices(
        self, asked: steps.Asked, picked: steps.Picked, records: Sequence[FrameRecord]
    ) -> list[TraceLine]:
        """The trace of every choice, the first of which is an object's output."""
        return [
            self._line(one, record, asked.selections[row])
            for one, span in zip(self._objects, picked.spans, strict=True)
            for record, row in zip(records[span], picked.rows[span], strict=True)
        ]

    def _line(self, one: _Object, record: FrameRecord, selection: MemorySelection | None) -> TraceLine:
        stored = record.memory is not None and record in one.policy.reachable()
        return trace_line(self._frame, one.id, one.start, record, selection, stored)

    # ---------------------------------------------------------------------------------------------------- helpers

    def _require_features(self) -> Features:
        if self._features is None:
            raise Sam2rlError("Nothing is tracked yet: call initialize(image, masks) first.")
        return self._features

    def _threads(self) -> AbstractContextManager[None]:
        return one_thread() if self._exact else nullcontext()
