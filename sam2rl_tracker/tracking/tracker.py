"""Track objects through one video, frame by frame, each with its own memory policy.

A frame's way: encode the image once; ask every object's policy what to attend to; predict all objects in one batch;
let each policy choose its mask and say how to remember it; encode the memories; hand the records to the policies.
`tracking.steps` has the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sam2rl_tracker.agents.agent import Agent
from sam2rl_tracker.engine import (
    PLAIN,
    Arithmetic,
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
from sam2rl_tracker.policies import Correction, Encoding, Policy, Start, make_policy
from sam2rl_tracker.tracking import checks, interactive, steps
from sam2rl_tracker.tracking.agents import Agents
from sam2rl_tracker.tracking.conditioning import Conditioning
from sam2rl_tracker.tracking.hindsight import Hindsight, Revised
from sam2rl_tracker.tracking.images import Images
from sam2rl_tracker.tracking.stopwatch import Stopwatch
from sam2rl_tracker.tracking.trace import TraceLine, trace_line


@dataclass(eq=False)
class _Object:
    """One tracked object: its policy and what the last frame said about it."""

    id: int
    policy: Policy
    start: int  # the video's frame on which the object was given; its policy counts from there
    record: FrameRecord  # of the last frame: the output's, or what a user corrected it to
    logits: Tensor  # [4h, 4w] of the last frame's mask, which a user may refine
    conditioning: Conditioning
    selection: MemorySelection | None = None  # what the last frame's output attended to; None on the prompted frame
    replaced: FrameRecord | None = None  # what the policy got for the last frame, where a user corrected it


class Tracker:
    """SAM 2 over a stream of images, any number of objects, with a memory that stays flat however long the video is.

    Args:
        model: A name, Hugging Face id or folder (see `load_model`), or a loaded model, which trackers may share.
        policy: `NAME[:key=value,...]` or `module:Class[...]` (see `make_policy`), or a callable giving a fresh policy.
        device: cpu, cuda, cuda:N or mps; None takes the best there is. A loaded model is on its device already.
        dtype: "float32", or "bfloat16": coarser, and faster where the device multiplies it natively.
        compile: Compile the network's steps first: for long videos.
        exact: Predict one object at a time, in float32 and on one CPU thread; on a CPU every mask is then stock
            SAM 2's. Otherwise objects share a batch, which is faster and moves last bits. Models of up to 256 pixels
            use one CPU thread then, too; larger ones use all. Policies whose decisions were made for exact masks are
            always tracked so: see `arithmetic`.
        non_overlap: Give a pixel that several objects claim to the one with the highest logit. Only what is returned
            changes: memories hold the masks as predicted.
        num_frames: Length of the video, if known. Only videos shorter than 16 frames depend on it, in the last bits.
        agents: For a policy that is run by trained agents and was not given any: their folder, or one file; None takes
            the environment's SAM2RL_AGENTS.

    Attributes:
        model: The loaded model.
        arithmetic: What the network really computes in.

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
        compile: bool = False,
        exact: bool = False,
        non_overlap: bool = False,
        num_frames: int | None = None,
        agents: StrPath | None = None,
    ):
        arithmetic = Arithmetic(dtype, compile)
        if exact and arithmetic != PLAIN:
            raise Sam2rlError("Exact mode computes in float32 and uncompiled: leave out exact, or dtype and compile.")
        self._make_policy = make_policy(policy) if isinstance(policy, str) else policy
        self.model = model if isinstance(model, Model) else load_model(model, device)
        rule = self._make_policy()
        self._exact = exact or rule.exact
        self.arithmetic = PLAIN if self._exact else arithmetic
        self._engine = (
            ExactEngine(self.model, rule.math_attention) if self._exact else self.arithmetic.engine(self.model)
        )
        self._non_overlap = non_overlap
        self._num_frames = num_frames
        self._agents = Agents(self.model, agents, num_frames)
        self._objects: list[_Object] = []
        self._removed: set[int] = set()  # ids
        self._past = Hindsight(non_overlap) if rule.revises else None
        self._features: Features | None = None  # of the most recent image
        self._image = np.zeros((0, 0, 3), dtype=np.uint8)
        self._frame = 0
        self._network = Stopwatch()
        self._images = Images(self._engine, self._network)

    @property
    def ids(self) -> list[int]:
        """Ids of the objects, in the order of the masks."""
        return [one.id for one in self._objects]

    @property
    def frame(self) -> int:
        """The most recent frame, counted from 0."""
        return self._frame

    @property
    def agents_in_use(self) -> dict[int, Agent]:
        """{id: the trained agent that decides} of the objects that have one."""
        return {one.id: agent for one in self._objects if (agent := one.policy.agent_in_use) is not None}

    @property
    def network_seconds(self) -> float:
        """Seconds so far that the network and what goes to and from its device took, or were waited for."""
        return self._network.seconds

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
        points: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Start on a new video; whatever was tracked before is forgotten.

        Args:
            masks: bool [objects, height, width], or None to begin without objects and `add` them later.
            ids: One number per object; by default 1, 2, 3, ...
            boxes: Instead of masks, float [objects, 4]: x, y, width, height in pixels.
            points: Instead of masks, float [k, 3] for each object: x, y in pixels, and 1 on the object or 0 off it.
                With boxes beside them, either may be missing: no points, or a row of NaN for the box.

        Returns:
            The masks of this frame: Those given, or those found by boxes and points.

        Raises:
            Sam2rlError: An image or mask of the wrong shape, an empty mask, a box or point outside the image, points
                off an object alone, repeated ids.
            NothingFound: SAM 2 sees nothing where a box or a point is.
        """
        checks.check_image(image)
        self._objects, self._removed = [], set()
        self._past = None if self._past is None else Hindsight(self._non_overlap)
        self._frame = 0
        with self.threads():
            self._encode(image)
        if masks is None and boxes is None and points is None:
            return np.zeros((0, *image.shape[:2]), dtype=bool)
        return self.add(masks, ids, boxes, points)

    def add(
        self,
        masks: np.ndarray | None = None,
        ids: Sequence[int] | None = None,
        boxes: np.ndarray | None = None,
        points: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Add objects on the most recent frame; arguments and errors as in `initialize`.

        Returns:
            The new objects' masks on this frame.
        """
        features = self._require_features()
        size = features.video_size
        if (masks is not None) == (boxes is not None or points is not None):
            raise Sam2rlError("Give either masks or boxes and points for the objects to track.")
        with self.threads(), self._network:
            if masks is not None:
                masks = checks.check_masks(masks, ids, size)
                ids = checks.check_ids(ids, len(masks), self.ids)
                shown = interactive.show_masks(self._engine, features, masks)
            else:
                clicks = interactive.read_clicks(points, boxes, ids, size)
                interactive.check_new(clicks, ids)
                ids = checks.check_ids(ids, len(clicks), self.ids)
                shown = interactive.show_clicks(self._engine, features, clicks)
            self._objects += self._begin(features, shown, ids)
        return shown.masks

    def correct(
        self,
        id: int,
        mask: np.ndarray | None = None,
        box: np.ndarray | None = None,
        points: np.ndarray | None = None,
    ) -> np.ndarray:
        """Correct an object's mask on the most recent frame, which from then on is one of its conditioning frames.

        Points and a box refine the mask that is there; a mask replaces it. On the object's first frame it begins anew.
        With `non_overlap`, the masks of other objects that `track` returned may hold pixels of the corrected one.

        Args:
            mask: bool [height, width].
            box: float [4]: x, y, width, height in pixels.
            points: float [k, 3]: x, y in pixels, and 1 on the object or 0 off it.

        Returns:
            bool [height, width], the object's mask now. It is empty where points off the object took all of it away.

        Raises:
            Sam2rlError: There is no such object, its policy takes no corrections, or what is given is wrong: a mask
                together with a box or points, an empty one or one of another size, a point outside the image, points
                off an object whose mask is empty. The object is then tracked on as it was.
            NothingFound: SAM 2 sees nothing where the box or the points on the object are.

        Examples:
            >>> from sam2rl_tracker.synthetic import generate_scene
            >>> scene = generate_scene(seed=0, frames=3)
            >>> truth = scene.labels == 1
            >>> tracker = Tracker(device="cpu")
            >>> masks = tracker.initialize(scene.images[0], truth[:1])
            >>> masks = tracker.track(scene.images[1])
            >>> masks[0] = tracker.correct(1, mask=truth[1])
            >>> masks = tracker.track(scene.images[2])
            >>> tracker.trace()[0]["memories"]  # frame 1 is a conditioning frame, as frame 0 is
            [[0, 6], [1, 6]]
        """
        features = self._require_features()
        one = self._find(id, "correct")
        if not one.policy.takes_corrections:
            raise Sam2rlError(
                f"The policy {type(one.policy).__name__} takes no corrections, as its decisions were made for "
                "this video without any: track with another, such as --policy dam4sam."
            )
        with self.threads(), self._network:
            shown = self._show_correction(features, one, mask, box, points)
            if one.selection is None:
                self._objects[self._objects.index(one)] = self._begin(features, shown, [id])[0]
            else:
                self._mend(features, one, shown)
        return shown.masks[0]

    def _show_correction(
        self,
        features: Features,
        one: _Object,
        mask: np.ndarray | None,
        box: np.ndarray | None,
        points: np.ndarray | None,
    ) -> interactive.Shown:
        size = features.video_size
        if (mask is not None) == (box is not None or points is not None):
            raise Sam2rlError(f"Give either a mask, or a box or points, to correct object {one.id}.")
        if mask is not None:
            checked = checks.check_correction(mask, one.id, size)
            return interactive.show_masks(self._engine, features, checked[None])
        (clicks,) = interactive.read_clicks(
            None if points is None else [points], None if box is None else np.asarray(box)[None], [one.id], size
        )
        if not clicks.show_something and one.record.area == 0:
            raise Sam2rlError(
                f"Object {one.id} has no mask on frame {self._frame} that points off it could take from: give a point "
                "on it, a box or a mask."
            )
        return interactive.show_correction(self._engine, features, clicks, one.logits, one.selection)

    def _mend(self, features: Features, one: _Object, shown: interactive.Shown) -> None:
        """Take a correction of the most recent frame in."""
        t = self._frame - one.start
        record = self._remember(features, shown, t)[0]
        logits = shown.chosen.logits[0]
        box = self._engine.boxes(logits[None, None])[0, 0].float().cpu().numpy()
        overlap = _overlap(shown.masks, steps.to_masks(self._engine, one.logits[None], features))
        replaced = one.replaced or one.record
        correction = Correction(record, replaced, shown.masks[0], box, logits, overlap)
        one.policy.correct(t, correction)
        one.conditioning.add(record)
        one.record, one.replaced, one.logits = record, replaced, logits
        if self._past is not None:
            turn = steps.Turn(one.policy, one.conditioning, t)
            self._past.correct(turn, shown.masks[0], self._line(one, record, one.selection))

    def _remember(self, features: Features, shown: interactive.Shown, t: int) -> list[FrameRecord]:
        """The records of prompted objects on their frame t."""
        areas = shown.masks.sum(axis=(1, 2)).tolist()
        scores = shown.chosen.object_scores.tolist()
        facts = [steps.Facts(t, *fact) for fact in zip(shown.ious, scores, areas, strict=True)]
        return steps.remember(self._engine, features, shown.chosen, [Encoding.BINARY] * len(facts), facts)

    def _begin(self, features: Features, shown: interactive.Shown, ids: Sequence[int]) -> list[_Object]:
        """Remember new objects and give each a policy."""
        objects = []
        records = self._remember(features, shown, 0)
        for number, record, mask, logits in zip(ids, records, shown.masks, shown.chosen.logits, strict=True):
            policy = self._make_policy()
            agent = self._agents.of_video(policy, self._image, mask)
            if policy.needs_features:
                policy.look(0, features)
            control = self._agents.of_any_video(policy)
            policy.begin(Start(record, self._num_frames, self._image, mask, self.model, agent, logits, control))
            objects.append(_Object(number, policy, self._frame, record, logits, Conditioning(record)))
        return objects

    def remove(self, id: int) -> None:
        """Stop tracking an object.

        Raises:
            Sam2rlError: There is no such object.
        """
        self._objects.remove(self._find(id, "remove"))
        self._removed.add(id)

    def _find(self, id: int, purpose: str) -> _Object:
        """An object by its id, which is wanted for a purpose."""
        found = next((one for one in self._objects if one.id == id), None)
        if found is None and id in self._removed:
            raise Sam2rlError(f"Object {id} was removed, so there is none to {purpose}: the objects are {self.ids}.")
        if found is None:
            raise Sam2rlError(f"There is no object {id} to {purpose}: the objects are {self.ids}.")
        return found

    # --------------------------------------------------------------------------------------------- the next frame

    def track(self, image: np.ndarray) -> np.ndarray:
        """Track all objects into the next image; their masks, all False where an object is absent.

        Raises:
            Sam2rlError: Called before `initialize`, or the image's size is not the first one's.
        """
        previous = self._require_features()
        checks.check_image(image)
        checks.check_size(image, previous.video_size, self._frame + 1)
        with self.threads():
            features = self._encode(image)
            self._frame += 1
            return self._track(features) if self._objects else self._track_nothing(image)

    def expect(self, image: np.ndarray) -> None:
        """Do what can be done for an image that `initialize` or `track` is given soon; another thread may call this.

        That is to resample it to the model's input size. The last few images that were expected are remembered, by
        identity: nobody may change them meanwhile.
        """
        checks.check_image(image)
        self._images.expect(image)

    def encode_ahead(self, image: np.ndarray) -> None:
        """Encode an image that `track` is given soon, where that saves time; another thread may call this.

        It does so for small models on a CPU, whose operations are not worth sharing, while there are objects. Masks do
        not depend on it. Both threads must have been started within `threads`.
        """
        if self._engine.encodes_beside and self._objects:
            self._images.encode_ahead(image)

    def threads(self) -> AbstractContextManager[None]:
        """Within, there are as many CPU threads for an operation as this tracker wants: one, or all."""
        return one_thread() if self._exact or self._engine.small else nullcontext()

    def _encode(self, image: np.ndarray) -> Features:
        self._features, self._image = self._images.encode(image), image
        return self._features

    def _track(self, features: Features) -> np.ndarray:
        engine = self._engine
        turns = [steps.Turn(one.policy, one.conditioning, self._frame - one.start) for one in self._objects]

        asked = steps.ask(turns, features)
        needs_boxes = any(turn.policy.needs_boxes for turn in turns)
        needs_features = any(turn.policy.needs_features for turn in turns)
        with self._network:
            candidates = engine.predict(features, asked.selections, keep_maps=needs_features)
            measured = steps.measure(turns, asked, candidates) if needs_features else ()
            predictions = steps.to_host(engine, candidates, features, needs_boxes, measured)

        picked = steps.pick(turns, asked, predictions)
        with self._network:
            drawn = steps.draw(engine, candidates, picked, features)
        outcomes = steps.outcomes_of(predictions, picked, drawn)

        encodings = steps.observe(turns, picked, outcomes)
        facts = steps.facts_of(turns, picked, outcomes)
        with self._network:
            records = steps.remember(engine, features, drawn.chosen, encodings, facts)
        self._store(turns, asked, picked, records, drawn.chosen.logits)
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
        self,
        turns: Sequence[steps.Turn],
        asked: steps.Asked,
        picked: steps.Picked,
        records: Sequence[FrameRecord],
        logits: Tensor,
    ) -> None:
        """Hand the records to the policies, and note what each object's output attended to and left behind.

        Args:
            logits: [choices, 4h, 4w].
        """
        for one, turn, span in zip(self._objects, turns, picked.spans, strict=True):
            turn.policy.store(turn.t, records[span])
            one.conditioning.forget(turn.policy)
            output = span.start
            one.record, one.logits, one.replaced = records[output], logits[output], None
            one.selection = asked.selections[picked.rows[output]]

    # -------------------------------------------------------------------------------------------------- the trace

    def trace(self) -> list[dict[str, Any]]:
        """What the most recent frame attended to and left behind, one entry per object (a line of a JSONL trace).

        Fields: frame (of the video, from 0), object (its id), memories [[frame, temporal slot], ...], pointers
        [[frame, distance], ...], predicted_iou, object_score (a logit), area (pixels, before `non_overlap`), stored
        (whether a later frame can still attend to the frame's memory), prompt ("init", "correction" or None: what was
        said of the object on this frame).
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
        stored = record.memory is not None and (record in one.policy.reachable() or record in one.conditioning)
        return trace_line(self._frame, one.id, one.start, record, selection, stored, one.replaced is not None)

    # ---------------------------------------------------------------------------------------------------- helpers

    def _require_features(self) -> Features:
        if self._features is None:
            raise Sam2rlError("Nothing is tracked yet: call initialize(image, masks) first.")
        return self._features


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two masks; 1 where both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
