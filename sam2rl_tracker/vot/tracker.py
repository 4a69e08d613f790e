"""The tracker that the VOT toolkit starts: answers its requests over TraX, for each object in the form it is given in.

A mask is answered by masks, a rectangle by the rectangle around the mask, four corners by the smallest rectangle at any
angle: measures compare the answers with a truth of the same form.

It speaks bare TraX, so that the toolkit starts it once per sequence; the toolkit's own wrapper would be started twice.
The environment configures it, as the toolkit hands no arguments to a tracker: see `runs.variables`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import trax

from sam2rl_tracker.errors import NoAgent, NothingFound, Sam2rlError
from sam2rl_tracker.media.images import Image, Mask, read_image
from sam2rl_tracker.runs.startup import loading
from sam2rl_tracker.runs.variables import (
    AGENTS_VARIABLE,
    COMPILE_VARIABLE,
    DEVICE_VARIABLE,
    DTYPE_VARIABLE,
    MODEL_VARIABLE,
)
from sam2rl_tracker.vot.regions import Box, bounding_box, encode, polygon, rectangle

if TYPE_CHECKING:
    from sam2rl_tracker.tracking.trace import TraceLine
    from sam2rl_tracker.tracking.tracker import Tracker

Reply = tuple[Any, dict[str, Any]]  # a trax region and the properties that the toolkit stores beside it

MAX_RUNS = 65535
"""The toolkit stores the number of a mask's runs in 16 bits and crashes on more."""


def serve(policy: str) -> None:
    """Answer the toolkit until it quits.

    Ends the process with status 2 and one sentence on stderr when the user can mend the cause; the toolkit keeps both
    streams in a log.
    """
    # The handshake comes first: the toolkit keeps the log of a tracker that fails after it, and of no other.
    # TraX turns regions of a kind that is not named here into filled masks before the tracker sees them.
    server = trax.Server(
        [trax.Region.MASK, trax.Region.POLYGON, trax.Region.RECTANGLE],
        [trax.Image.PATH],
        tracker_name="sam2rl",
        tracker_description=policy,
        multiobject=True,
    )
    try:
        answer_requests(server, policy)
    except Sam2rlError as error:
        print(f"sam2rl: {error}", file=sys.stderr, flush=True)
        server.quit(str(error).replace("\n", " "))
        raise SystemExit(2) from error
    server.quit()


def answer_requests(server: trax.Server, policy: str) -> None:
    """Load the model once and follow the toolkit through its sequences."""
    with loading():
        from sam2rl_tracker.agents.store import agents_folder
        from sam2rl_tracker.engine import Arithmetic, load_model
        from sam2rl_tracker.policies import make_policy
        from sam2rl_tracker.runs.provenance import Provenance
        from sam2rl_tracker.tracking.tracker import Tracker

        fresh_policy = make_policy(policy)
        if fresh_policy().revises:
            raise Sam2rlError(
                f"Policy {policy!r} looks back over the whole video, but the toolkit takes every frame's masks at "
                "once: give one that does not (`sam2rl track` runs this one)."
            )
        dtype = os.environ.get(DTYPE_VARIABLE) or "float32"
        arithmetic = Arithmetic(dtype, os.environ.get(COMPILE_VARIABLE, "0") not in ("", "0"))
        model = os.environ.get(MODEL_VARIABLE) or "nano"
        network = load_model(model, os.environ.get(DEVICE_VARIABLE) or None)
    session: Session | None = None
    while True:
        request = server.wait()
        if request.type == trax.TraxStatus.QUIT:
            return
        path = request.image["color"].path()
        if request.type == trax.TraxStatus.INITIALIZE:
            # One process may be given several videos, or one object of a video after the other.
            workspace = workspace_of(Path(path))
            agents = os.environ.get(AGENTS_VARIABLE) or (workspace and agents_folder(workspace))
            tracker = Tracker(network, fresh_policy, agents=agents, **asdict(arithmetic))
            session = Session(tracker, Provenance.of(network, tracker.arithmetic).result_line())
        assert session is not None, "TraX begins with an initialization."
        regions = [region for region, _ in request.objects or []]
        server.status(session.step(read_image(path), regions, Path(path)))


def workspace_of(image: Path) -> Path | None:
    """The workspace that an image lies in; None outside of any.

    The toolkit starts trackers in a temporary folder: only the image's path leads to the workspace.
    """
    return next((folder for folder in image.absolute().parents if (folder / "config.yaml").is_file()), None)


class Session:
    """The objects of one video in the order the toolkit gave them, which is how it tells them apart.

    An object given with an empty mask cannot be tracked, nor can one without an agent where the policy needs one. It
    keeps its place and is reported absent on every frame. But an object that is scored must have its agent.

    Args:
        tracker: nothing else may use it; what it tracked before is forgotten.
        made_with: stored with the results.
    """

    def __init__(self, tracker: Tracker, made_with: str = "") -> None:
        self._tracker = tracker
        self._made_with = made_with
        self._started = False
        self._forms: list[str] = []  # of the objects that the toolkit gave so far, which are numbered from 1

    def step(self, image: Image, new: Sequence[Any], file: Path | None = None) -> list[Reply]:
        """Track into the next frame and add the objects given on it.

        Args:
            image: uint8 [h, w, 3].
            new: Trax regions.
            file: The image's, which leads to the truth that says whether an object is scored.

        Returns:
            A reply for every object given so far.

        Raises:
            NoAgent: The policy needs an agent for each object, and there is none for one that is scored.
        """
        masks: dict[int, Mask] = {}
        if self._started:
            ids = self._tracker.ids
            masks = dict(zip(ids, self._tracker.track(image), strict=True))
        else:
            self._tracker.initialize(image)
            self._started = True
        for region in new:
            self._forms.append(form_of(region))
            number = len(self._forms)
            mask = self._add(region, number, image.shape[:2], file)
            if mask is not None:
                masks[number] = mask
        traces = {line.object: line for line in self._tracker.trace_lines()}
        kinds = {k: agent.kind for k, agent in self._tracker.agents_in_use.items()}
        return [
            reply(masks.get(k), traces.get(k), self._made_with, form, kinds.get(k, ""))
            for k, form in enumerate(self._forms, start=1)
        ]

    def _add(self, region: Any, number: int, size: tuple[int, int], file: Path | None) -> Mask | None:
        """Give one object to the tracker; its mask on this frame, None when there is nothing to track."""
        mask = to_mask(region, size)
        if not mask.any():
            return None
        try:
            return self._prompt(region, mask, number)
        except NoAgent:
            from sam2rl_tracker.vot.scored import given_without_score

            left_out = None if file is None else given_without_score(file, mask)
            if left_out is None:
                raise
            print(f"sam2rl: {left_out} It has no agent: it is reported absent.", file=sys.stderr, flush=True)
            return None

    def _prompt(self, region: Any, mask: Mask, number: int) -> Mask:
        """Show one object to the tracker, as the box that it was given in or else as a mask; its mask on this frame."""
        box = box_of(region)
        if box is not None:
            try:
                return self._tracker.add(ids=[number], boxes=np.array([box], dtype=np.float32))[0]
            except NothingFound:
                pass  # the toolkit knows that there is an object: what the box encloses is the best guess that is left
        return self._tracker.add(mask[None], ids=[number])[0]


def form_of(region: Any) -> str:
    """The form in which an object is answered, by that in which it is given: a mask, unless it is a kind of box."""
    return region.type if box_of(region) is not None else trax.Region.MASK


def box_of(region: Any) -> Box | None:
    """The box to prompt SAM 2 with; None for a mask, and for an outline of more than a box's four corners."""
    if region.type == trax.Region.RECTANGLE:
        x, y, width, height = region.bounds()
        return x, y, width, height
    if region.type == trax.Region.POLYGON and region.size() == 4:
        xs, ys = zip(*(region.get(i) for i in range(4)), strict=True)
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return None


def to_mask(region: Any, size: tuple[int, int]) -> Mask:
    """A region of the toolkit as a mask of the whole image; rectangles and polygons are filled.

    Args:
        region: Trax mask (a crop with an offset), rectangle, polygon, or special region, which is empty.
        size: (height, width) of the image.

    Returns:
        bool [h, w].
    """
    if region.type == trax.Region.MASK:
        cropped = encode(region.array() != 0)
        x, y = region.offset()
        return replace(cropped, x=cropped.x + x, y=cropped.y + y).full(size)
    if region.type == trax.Region.RECTANGLE:
        x, y, box_width, box_height = region.bounds()
        if box_width > 0 and box_height > 0:
            return rectangle(x, y, max(box_width, 1), max(box_height, 1)).full(size)
    elif region.type == trax.Region.POLYGON:
        return polygon([number for i in range(region.size()) for number in region.get(i)]).full(size)
    return np.zeros(size, dtype=bool)


def reply(
    mask: Mask | None, trace: TraceLine | None, made_with: str = "", form: str = trax.Region.MASK, agent: str = ""
) -> Reply:
    """What the toolkit is told about one object on one frame.

    Args:
        mask: bool [h, w]; None or empty = absent.
        trace: The object's line of the trace; None when it is not tracked.
        form: Of the region: mask, rectangle or polygon, which is a rectangle at any angle.
        agent: What the object's trained agent is, if it has one: see `Agent.kind`.

    Returns:
        A trax region around the object, and properties: predicted IoU, object score, the frames whose memories the
        prediction attended to, in ascending order and separated by blanks, what it was made with, and the agent.
    """
    properties: dict[str, Any] = {}
    if trace is not None:
        properties = {"predicted_iou": trace.predicted_iou, "object_score": trace.object_score}
        frames = sorted(frame for frame, _ in trace.memories)
        properties["memory_size"] = len(frames)
        if frames:
            properties["memory_frames"] = " ".join(map(str, frames))
        if made_with:
            properties["made_with"] = made_with
        if agent:
            properties["agent"] = agent
    region = None if mask is None else storable(mask)
    box = None if region is None else bounding_box(region)
    if region is None or box is None:
        return trax.Rectangle.create(0, 0, 0, 0), properties
    x, y, width, height = box
    if form == trax.Region.RECTANGLE:
        return trax.Rectangle.create(x, y, width, height), properties
    if form == trax.Region.POLYGON:
        return trax.Polygon.create(tilted_box(region)), properties
    crop = np.ascontiguousarray(region[y : y + height, x : x + width], dtype=np.uint8)
    return trax.Mask.create(crop, x=x, y=y), properties


def tilted_box(mask: Mask) -> list[tuple[float, float]]:
    """The corners of the smallest rectangle at any angle around the set pixels of bool [h, w], at least one."""
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows], axis=1).astype(np.float32)  # [pixels, 2], as x, y
    return [(float(x), float(y)) for x, y in cv2.boxPoints(cv2.minAreaRect(points))]


def storable(mask: Mask) -> Mask:
    """Coarsen a mask, bool [h, w], of more runs than the toolkit can store; any other is returned as it is.

    Only noise over a large image has so many runs. The toolkit splits runs beyond 65025 pixels, hence the reserve.
    """
    step = 1
    coarse = mask
    while np.count_nonzero(np.diff(coarse.ravel())) + 2 * (mask.size // 65025) + 3 > MAX_RUNS:
        step *= 2
        coarse = np.repeat(mask[:, ::step], step, axis=1)[:, : mask.shape[1]]
    return coarse
