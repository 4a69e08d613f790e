"""Videos to learn from, encoded once: an object's features, truth and prompted frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.control.looks import look_at
from sam2rl_tracker.control.state import Seen, only, see
from sam2rl_tracker.engine import Engine, Features, FrameRecord
from sam2rl_tracker.evaluation.clips import Clip


@dataclass(frozen=True, eq=False)
class Video:
    """One object of one video, encoded.

    Attributes:
        features: Of its T images.
        truth: bool [T, S, S] on the model's device, at its input size.
        known: bool [T], False where nobody knows the truth.
        ignored: bool [T, S, S], pixels that do not count; None = all count.
        prompted: What the prompted frame left behind.
        first: What it shows.
    """

    features: Sequence[Features]
    truth: Tensor
    known: np.ndarray
    ignored: Tensor | None
    prompted: FrameRecord
    first: Seen

    def __len__(self) -> int:
        return len(self.features)

    def at(self, t: int) -> int:
        """The frame that is shown at t: beyond the end, the last one."""
        return min(t, len(self) - 1)

    def is_known(self, t: int) -> bool:
        """Whether the truth is known at t; beyond the end it is not."""
        return t < len(self) and bool(self.known[t])


@torch.inference_mode()
def encode(engine: Engine, clips: Sequence[Clip]) -> list[Video]:
    """Encode objects of one video: its images once.

    Args:
        clips: Of the same images.
    """
    features = [engine.encode_image(image) for image in clips[0].images]
    videos = []
    for clip in clips:
        chosen = engine.prompt_masks(features[0], clip.masks[:1])
        memory = engine.encode_memory(features[0], chosen, [True])[0]
        score = float(chosen.object_scores[0])
        record = FrameRecord(0, memory, chosen.pointers[0], 1.0, score, int(clip.masks[0].sum()))
        logits = chosen.logits[:, None]
        looks = look_at(features[0], logits, chosen.pointers[:, None], features[0].map)
        videos.append(
            Video(
                features=features,
                truth=_at_input_size(engine, clip.masks),
                known=clip.known,
                ignored=None if clip.ignored is None else _at_input_size(engine, clip.ignored),
                prompted=record,
                first=only(see(looks, logits)),
            )
        )
    return videos


def _at_input_size(engine: Engine, masks: np.ndarray) -> Tensor:
    found = torch.from_numpy(masks).to(engine.device)
    side = engine.input_size
    if found.shape[1:] == (side, side):
        return found
    return torch.cat([F.interpolate(one[None, None].float(), (side, side), mode="area")[0] > 0.5 for one in found])
