"""The losses of nano's training, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sam2rl_tracker.nano.losses import decoder_losses, dice_loss, mask_ious, pixel_loss
from sam2rl_tracker.nano.network import Decoded

SURE = 30.0  # a logit whose sigmoid is 1 in float32


def decoded(logits: torch.Tensor, ious: torch.Tensor, scores: torch.Tensor) -> Decoded:
    return Decoded(logits, ious, torch.zeros(len(logits), 4, 8), scores)


def test_pixel_loss_by_hand() -> None:
    truth = torch.tensor([[1.0, 0.0]])
    assert pixel_loss(torch.zeros(1, 2), truth) == pytest.approx(math.log(2))
    assert pixel_loss(torch.tensor([[SURE, -SURE]]), truth) == pytest.approx(0, abs=1e-6)
    assert pixel_loss(torch.tensor([[-5.0, -SURE]]), truth) == pytest.approx(math.log(1 + math.exp(5)) / 2)


def test_dice_loss_by_hand() -> None:
    truth = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    half = torch.tensor([[SURE, -SURE, -SURE, -SURE]])
    assert dice_loss(half, truth) == pytest.approx(1 - (2 * 1 + 1) / (1 + 2 + 1))
    assert dice_loss(truth * 2 * SURE - SURE, truth) == pytest.approx(0)


def test_mask_ious_by_hand() -> None:
    truth = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert mask_ious(torch.tensor([[1.0, -1.0, 1.0, -1.0]]), truth) == pytest.approx(1 / 3)
    assert mask_ious(-torch.ones(1, 4), torch.zeros(1, 4)) == 1


def test_only_the_best_candidate_learns_the_mask() -> None:
    truth = torch.zeros(1, 8, 8, dtype=torch.bool)
    truth[:, :, :4] = True
    half = torch.tensor([3.0, 3.0, -3.0, -3.0]).expand(4, 4)
    logits = torch.stack([torch.zeros(4, 4), half, -half, torch.zeros(4, 4)])[None].requires_grad_()
    losses = decoder_losses(decoded(logits, torch.zeros(1, 4), torch.zeros(1)), truth)
    losses.masks.backward()
    assert logits.grad is not None
    learns = logits.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert learns.tolist() == [False, True, False, False]
    both = decoder_losses(decoded(logits, torch.zeros(1, 4), torch.zeros(1)), truth, unambiguous=True)
    logits.grad = None
    both.masks.backward()
    assert (logits.grad.abs().sum(dim=(0, 2, 3)) > 0).tolist() == [True, True, False, False]


def test_predicted_ious_are_measured_against_the_masks() -> None:
    truth = torch.ones(1, 8, 8, dtype=torch.bool)
    logits = torch.stack([torch.full((4, 4), x) for x in (-1.0, 1.0, -1.0, 1.0)])[None]  # IoU 0, 1, 0, 1
    said = torch.tensor([[0.5, 0.9, 0.2, 0.6]])
    losses = decoder_losses(decoded(logits, said, torch.zeros(1)), truth)
    assert losses.ious == pytest.approx((0.1 + 0.2 + 0.4) / 3)


def test_frames_without_the_object_teach_only_that() -> None:
    truth = torch.zeros(2, 8, 8, dtype=torch.bool)
    truth[0] = True
    logits = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    scores = torch.tensor([0.0, 2.0])
    losses = decoder_losses(decoded(logits, torch.zeros(2, 4), scores), truth)
    assert (losses.shown, losses.rows) == (1, 2)
    assert losses.scores == pytest.approx(math.log(2) + 2 * math.log(1 + math.exp(2)), abs=1e-6)
    losses.total(score_weight=1.0).backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[0].abs().sum() > 0
