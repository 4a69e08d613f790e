"""Exact mode: an engine whose results have the bits of stock SAM 2.

Rows of a batch differ from the same rows alone in their last bits. Exact mode therefore takes one row at a time, in
float32. For stock SAM 2's bits, run it on one CPU thread (`one_thread`), as several threads split sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sam2rl_tracker.engine.engine import BLANK, Engine
from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.engine.operations import resize
from sam2rl_tracker.engine.types import Candidates, Chosen, Features, FixedShape, Masks, MemorySelection, Prompt


class ExactEngine(Engine):
    """An `Engine` that takes one row at a time, and resizes masks as stock SAM 2 does.

    Args:
        model: The loaded network.
        math_attention: Compute all attention behind the image encoder by PyTorch's plain kernel. Code that was forked
            from SAM 2's first release does so on machines without a GPU. The last bits differ.
    """

    exact = True

    def __init__(self, model: Model, math_attention: bool = False):
        super().__init__(model)
        self._math_attention = math_attention
        if math_attention:
            self.encodes_beside = False  # PyTorch restricts kernels for all threads at once

    @torch.inference_mode()
    def predict(
        self,
        features: Features,
        selections: Sequence[MemorySelection],
        shape: FixedShape | None = None,
        keep_maps: bool = False,
    ) -> Candidates:
        # With a fixed shape, rows are independent of each other already; their bits are the shape's, not stock SAM 2's.
        if len(selections) <= 1 or shape is not None:
            return super().predict(features, selections, shape, keep_maps)
        return Candidates.join([self.predict(features, [one], keep_maps=keep_maps) for one in selections])

    @torch.inference_mode()
    def choose(self, candidates: Candidates, rows: Tensor, picks: Tensor, visible: Tensor) -> Chosen:
        if len(rows) > 1:
            each = (slice(i, i + 1) for i in range(len(rows)))
            return Chosen.join([self.choose(candidates, rows[i], picks[i], visible[i]) for i in each])
        chosen = super().choose(candidates, rows, picks, visible)
        # Stock SAM 2 resizes all candidates and then picks one; resizing one alone gives other last bits.
        siblings = torch.where(visible[:, None, None, None], candidates.logits[rows], BLANK)
        input_logits = resize(siblings, self.input_size)[torch.arange(len(rows)), picks]
        return replace(chosen, input_logits=input_logits)

    @torch.inference_mode()
    def prompt_masks(self, features: Features, masks: np.ndarray) -> Chosen:
        if len(masks) <= 1:
            return super().prompt_masks(features, masks)
        return Chosen.join([self.prompt_masks(features, mask[None]) for mask in masks])

    @torch.inference_mode()
    def prompt_points(self, features: Features, prompts: Sequence[Prompt]) -> tuple[Chosen, Tensor]:
        if len(prompts) <= 1:
            return super().prompt_points(features, prompts)
        chosen, ious = zip(*(self.prompt_points(features, [prompt]) for prompt in prompts), strict=True)
        return Chosen.join(chosen), torch.cat(ious)

    @torch.inference_mode()
    def encode_memory(self, features: Features, masks: Masks, binarise: Sequence[bool]) -> Tensor:
        if len(binarise) <= 1:
            return super().encode_memory(features, masks, binarise)
        each = enumerate(binarise)
        return torch.cat([self.encode_memory(features, masks.take([i]), [binary]) for i, binary in each])

    def _attention_kernel(self) -> AbstractContextManager[None]:
        return sdpa_kernel(SDPBackend.MATH) if self._math_attention else nullcontext()
