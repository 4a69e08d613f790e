"""The losses that SAM 2 is trained with, on the mask decoder's raw outputs, but for one of them.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos" (arXiv:2408.00714), appendix: focal and dice on the
masks (of several candidates only the best one's), absolute error on the predicted IoU of all, cross entropy on the
object score. Here plain cross entropy stands for the focal loss, which keeps the logits of a short training below zero:
after 400 steps of 20 images the masks of boxes had IoU .33 with it and .42 without, those of points .01 and .23.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2rl_tracker.engine.operations import resize
from sam2rl_tracker.nano.network import Decoded

_PIXEL_WEIGHT, _DICE_WEIGHT, _IOU_WEIGHT = 5.0, 1.0, 1.0
_ABSENT_WEIGHT = 2.0  # in the object score: such frames are rare, and a tracker that misses one follows a look-alike
_UPSAMPLING = 2  # masks are compared at half the input size: finer costs more than it teaches


@dataclass(frozen=True)
class Losses:
    """Sums over rows, and how many rows they are of.

    Attributes:
        masks: Errors of the masks (cross entropy and dice), over the rows with the object in view.
        ious: Errors of the predicted IoUs, over the same rows.
        scores: Errors of the object scores, over all rows.
        shown: How many rows have the object in view.
        rows: How many rows there are.
    """

    masks: Tensor
    ious: Tensor
    scores: Tensor
    shown: Tensor
    rows: int

    def total(self, score_weight: float) -> Tensor:
        """What is minimised: means over the rows that count, weighted."""
        shown = self.shown.clamp(min=1)
        return self.masks / shown + _IOU_WEIGHT * self.ious / shown + score_weight * self.scores / self.rows


def pixel_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean cross entropy over the pixels: [..., h, w] -> [...]."""
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(-2, -1))


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - dice coefficient, smoothed by one pixel: [..., h, w] -> [...]."""
    chance = logits.sigmoid()
    common = (chance * truth).sum(dim=(-2, -1))
    return 1 - (2 * common + 1) / (chance.sum(dim=(-2, -1)) + truth.sum(dim=(-2, -1)) + 1)


def mask_ious(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of the pixels > 0 with the truth: [..., h, w] -> [...]; two empty masks count 1."""
    predicted, true = logits > 0, truth > 0.5
    common = (predicted & true).sum(dim=(-2, -1)).float()
    union = (predicted | true).sum(dim=(-2, -1)).float()
    return torch.where(union > 0, common / union.clamp(min=1), 1.0)


def decoder_losses(decoded: Decoded, truth: Tensor, unambiguous: bool = False) -> Losses:
    """All losses of one decoder call.

    Args:
        truth: Bool [rows, S, S].
        unambiguous: The prompt says exactly what is meant (a box), so that token 0 is trained too.
    """
    size = decoded.logits.shape[-1] * _UPSAMPLING
    logits = resize(decoded.logits, size)
    wanted = F.adaptive_avg_pool2d(truth[:, None].float(), size).expand_as(logits)
    shown = truth.flatten(1).any(dim=1)
    errors = _PIXEL_WEIGHT * pixel_loss(logits, wanted) + _DICE_WEIGHT * dice_loss(logits, wanted)  # [rows, 4]
    masks = errors[:, 1:].min(dim=1).values
    wrong = (decoded.ious - mask_ious(logits, wanted)).abs()
    ious = wrong[:, 1:].mean(dim=1)
    if unambiguous:
        masks, ious = masks + errors[:, 0], ious + wrong[:, 0]
    scores = F.binary_cross_entropy_with_logits(
        decoded.scores, shown.float(), weight=torch.where(shown, 1.0, _ABSENT_WEIGHT), reduction="sum"
    )
    count = shown.sum()
    return Losses((masks * shown).sum(), (ious * shown).sum(), scores, count, len(shown))
