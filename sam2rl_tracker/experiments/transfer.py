"""Do an agent's decisions mean anything beyond the very pixels that it was trained on?

An agent is evaluated on its own video, changed: compressed again, a little brighter, or with every second frame left
out. Its observation holds frame numbers only, so nothing but what SAM 2 makes of the images differs.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from sam2rl_tracker.agents.files import load_agent
from sam2rl_tracker.engine import one_thread
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.media.images import Image
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.policies.sam2rl import Sam2Rl
from sam2rl_tracker.training.task import Task
from sam2rl_tracker.vot.clips import load_clip
from sam2rl_tracker.vot.workspace import open_workspace

VARIANTS = {
    "original": "as trained on",
    "jpeg": "JPEG, quality 60",
    "brighter": "2 % brighter",
    "halved": "every second frame left out",
}
"""{name: what it is}"""


@dataclass(frozen=True)
class Transfer:
    """Qualities on a variant of a video.

    Attributes:
        sam2: Of SAM 2's own rule.
        agent: Of the agent that was trained on the video.
    """

    sam2: float
    agent: float


@one_thread()
def transfer_agent(task: Task, file: Path) -> dict[str, Transfer]:
    """Evaluate an agent, and SAM 2's own rule, on every variant of the video, by its name.

    Args:
        task: What the agent was trained on.
        file: The agent's.

    Raises:
        Sam2rlError: See `load_agent` and `load_clip`.
    """
    agent = load_agent(file)
    model = task.load_model()
    clip = load_clip(open_workspace(task.workspace), task.sequence, task.object_id)
    result = {}
    for variant in VARIANTS:
        changed = change(clip, variant)
        stride = 2 if variant == "halved" else 1
        result[variant] = Transfer(
            sam2=evaluate_policy(model, changed, make_policy("recency")),
            agent=evaluate_policy(model, changed, partial(Sam2Rl, agent=agent, stride=stride)),
        )
    return result


def change(clip: Clip, variant: str) -> Clip:
    """A variant of a clip, by its name in `VARIANTS`."""
    if variant == "jpeg":
        return replace(clip, images=[_compressed(image) for image in clip.images])
    if variant == "brighter":
        ramp = np.minimum(np.round(np.arange(256) * 1.02), 255).astype(np.uint8)
        return replace(clip, images=[ramp[image] for image in clip.images])
    if variant == "halved":
        ignored = None if clip.ignored is None else clip.ignored[::2]
        return replace(clip, images=clip.images[::2], masks=clip.masks[::2], known=clip.known[::2], ignored=ignored)
    return clip


def _compressed(image: Image) -> Image:
    buffer = io.BytesIO()
    PILImage.fromarray(image).save(buffer, "JPEG", quality=60)
    with PILImage.open(buffer) as opened:
        return np.array(opened.convert("RGB"))
