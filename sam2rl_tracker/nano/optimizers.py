"""The optimisers of nano, and the average of its weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.nano.recipe import Recipe


def make_optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden layers, AdamW for the rest.

    With AdamW alone, boxes were answered by filling them for long: after 600 steps of 20 images their mask loss was
    2.34, and with Muon (Jordan et al., 2024) 1.14.

    Raises:
        Sam2rlError: This PyTorch has no Muon.
    """
    if not hasattr(torch.optim, "Muon"):
        raise Sam2rlError(
            f"Training nano takes the optimizer Muon, which PyTorch has from 2.9 on and {torch.__version__} has not: "
            "`pip install --upgrade torch`."
        )
    named = dict(network.named_parameters())
    matrices = {
        name: p
        for name, p in named.items()
        if p.ndim == 2 and min(p.shape) >= 16 and "embed" not in name and "token" not in name
    }
    others = [p for name, p in named.items() if name not in matrices]
    decay = recipe.weight_decay
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [
        # As large a change of a matrix as AdamW would make, so that one schedule and one decay serve both. Two, since
        # each is stepped by a thread.
        *(
            torch.optim.Muon(half, lr=recipe.matrix_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            for half in (list(matrices.values())[::2], list(matrices.values())[1::2])
        ),
        torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98)),
    ]


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """A moving average of a network's weights, which begins with the weights as they are.

    Early on it follows the weights faster than its decay says: the first ones are not worth remembering.

    Args:
        decay: Share of the average that a step keeps, later on.
    """

    def update(average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        """Of tensors of one type; `count` is how many weights there have been, the first ones included."""
        kept = min(decay, int(count) / (9 + int(count)))
        for old, new in zip(average, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - kept)
            else:
                old.copy_(new)

    model = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    model.n_averaged.fill_(1)  # it begins as a copy, and would otherwise begin with the first step's weights
    return model
