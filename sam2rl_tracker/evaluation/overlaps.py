"""Overlap of predicted and true masks, frame by frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2rl_tracker.errors import Sam2rlError

Masks = NDArray[np.bool_]  # [T, h, w]
Flags = NDArray[np.bool_]  # [T]
Overlaps = NDArray[np.float64]  # [T], nan where the truth is unknown


def frame_overlaps(
    prediction: Masks, truth: Masks, known: Flags | None = None, ignored: Masks | None = None
) -> Overlaps:
    """Overlap of prediction and truth on every frame, frame 0 included.

    Args:
        prediction: bool [T, h, w].
        truth: bool [T, h, w].
        known: bool [T], False where the truth is unknown; None = known everywhere.
        ignored: bool [T, h, w], pixels that do not count; None = all count. They do not decide whether an object is
            absent or a prediction empty.

    Returns:
        float64 [T]: IoU; 1 when the object is absent and nothing is predicted; 0 when it is absent and something is;
        nan when the truth is unknown.

    Raises:
        Sam2rlError: The shapes differ.
    """
    prediction, truth, known = checked(prediction, truth, known)
    if ignored is not None and ignored.shape != truth.shape:
        raise Sam2rlError(f"The ignored area has shape {ignored.shape}, expected that of the masks, {truth.shape}.")
    both, either = prediction & truth, prediction | truth
    empty = ~either.any(axis=(1, 2))  # [T]
    if ignored is not None:
        both, either = both & ~ignored, either & ~ignored
    intersection, union = both.sum(axis=(1, 2)), either.sum(axis=(1, 2))  # [T]
    # If everything lies in the ignored area, the union is 0 and so is the overlap, as in the toolkit.
    overlaps = np.where(empty, 1.0, intersection / np.maximum(union, 1))
    return np.where(known, overlaps, np.nan)


def checked(prediction: Masks, truth: Masks, known: Flags | None) -> tuple[Masks, Masks, Flags]:
    """The arguments of `frame_overlaps` as arrays of the same length, `known` filled in.

    Raises:
        Sam2rlError: The shapes differ.
    """
    prediction, truth = np.asarray(prediction, dtype=bool), np.asarray(truth, dtype=bool)
    if truth.ndim != 3 or prediction.shape != truth.shape:
        raise Sam2rlError(
            f"The predicted masks have shape {prediction.shape} and the true ones {truth.shape}, expected the same "
            "[frames, height, width]: check that both belong to the same video."
        )
    known = np.ones(len(truth), dtype=bool) if known is None else np.asarray(known, dtype=bool)
    if known.shape != truth.shape[:1]:
        raise Sam2rlError(f"`known` has shape {known.shape}, expected one flag for each of the {len(truth)} frames.")
    return prediction, truth, known


def batch_overlaps(masks: Tensor, truth: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Overlap of many predictions of one frame with its truth, on their device: `frame_overlaps` for training.

    Args:
        masks: bool [rows, h, w].
        truth: bool [h, w], known.
        ignored: bool [h, w], pixels that do not count; None = all count.

    Returns:
        float32 [rows]: as in `frame_overlaps`.
    """
    seen, true = (masks, truth) if ignored is None else (masks & ~ignored, truth & ~ignored)
    intersection = areas(seen & true)  # [rows]
    union = areas(seen) + areas(true) - intersection
    empty = areas(masks) + areas(truth) == 0
    return torch.where(empty, 1.0, intersection / union.clamp(min=1)).float()


def areas(masks: Tensor) -> Tensor:
    """Pixels of masks, bool [..., h, w] -> int32 [...]. PyTorch counts bytes faster than bools."""
    return masks.view(torch.uint8).sum(dim=(-2, -1), dtype=torch.int32)
