"""Running a policy on a clip: its quality, and what it attended to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sam2rl_tracker.engine import Model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.policies import Policy
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker


def evaluate_policy(model: Model, clip: Clip, policy: Callable[[], Policy]) -> float:
    """The quality of a policy on a clip, through the tracker as `vot evaluate` runs it: a stream of one object."""
    tracker = Tracker(model, policy)
    masks = [tracker.initialize(clip.images[0], clip.masks[:1])[0]]
    masks += [tracker.track(image)[0] for image in clip.images[1:]]
    overlaps = frame_overlaps(np.stack(masks), clip.masks, clip.known, clip.ignored)
    # `quality` leaves out its first frame.
    return quality(np.append(np.nan, overlaps) if clip.start_counts else overlaps)


def trace_clip(tracker: Tracker, clip: Clip) -> list[TraceLine]:
    """Track a clip's object from its first frame; the trace, a line a frame."""
    tracker.initialize(clip.images[0], clip.masks[:1])
    lines = tracker.trace_lines()
    for image in clip.images[1:]:
        tracker.track(image)
        lines += tracker.trace_lines()
    return lines
