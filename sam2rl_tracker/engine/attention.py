"""SAM 2's memory attention over an explicit bank.

The same operations, in the same order and on the same weights as `sam2.modeling.memory_attention`, with three
additions that the stock module has no door for: rows of different length in one batch (an attention mask), a factor
on the keys (SAM2Long's modulation), and a first self-attention that is computed once per image, since it sees no
memory. Batched mode attends with less work where that is faster: see `lean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor

from sam2rl_tracker.engine.lean import LeanAttention


@dataclass(frozen=True, eq=False)
class BankTokens:
    """What a batch of rows attends to: n tokens per row, of which memories come first and pointers last.

    Attributes:
        values: [rows, n, D].
        positions: [rows, n, D] position encodings, which the keys get and the values do not.
        rotated: How many of the n tokens are places of memories: rotary encoding leaves pointers out.
        mask: bool [rows, n], True = attend; None = attend to all.
        key_scale: [rows, n, 1], a factor on the keys; None = none.
    """

    values: Tensor
    positions: Tensor
    rotated: int
    mask: Tensor | None
    key_scale: Tensor | None


class BankAttention:
    """Memory attention of one model. `tokens` = h*w of the image; C = model width, D = memory width.

    Args:
        module: SAM 2's.
        exact: Only SAM 2's own operations.
    """

    def __init__(self, module: MemoryAttention, exact: bool = False):
        self._module = module
        self._rotations: dict[tuple[int, int], Tensor] = {}
        self._lean: dict[MemoryAttentionLayer, LeanAttention] = {}  # those of the layers that can do with less work
        for layer in module.layers:
            attention = layer.cross_attn_image
            if not exact and LeanAttention.suits(attention, attention.q_proj.weight.device):
                self._lean[layer] = LeanAttention(attention)

    def self_attend(self, image: Tensor, image_pos: Tensor) -> Tensor:
        """First self-attention of the first layer: [1, tokens, C] -> [1, tokens, C]. No memory enters it."""
        if self._module.pos_enc_at_input:
            image = image + 0.1 * image_pos
        return self._module.layers[0]._forward_sa(image, image_pos)

    def attend(self, query: Tensor, image_pos: Tensor, bank: BankTokens) -> Tensor:
        """Fuse an image with what each row remembers.

        Args:
            query: [1, tokens, C] from `self_attend`.
            image_pos: [1, tokens, C].

        Returns:
            [rows, tokens, C].
        """
        keys = bank.values + bank.positions
        if bank.key_scale is not None:
            keys = keys * bank.key_scale.to(keys.dtype)
        output = query
        for index, layer in enumerate(self._module.layers):
            if index > 0:
                output = layer._forward_sa(output, image_pos)
            output = output + self._cross_attend(layer, output, image_pos, keys, bank)
            hidden = layer.activation(layer.linear1(layer.norm3(output)))
            output = output + layer.linear2(hidden)
        return self._module.norm(output)

    def _cross_attend(
        self, layer: MemoryAttentionLayer, output: Tensor, image_pos: Tensor, keys: Tensor, bank: BankTokens
    ) -> Tensor:
        attention: RoPEAttention = layer.cross_attn_image
        query = layer.norm2(output)
        if layer.pos_enc_at_cross_attn_queries:
            query = query + image_pos
        if not layer.pos_enc_at_cross_attn_keys:
            keys = bank.values
        q = attention._separate_heads(attention.q_proj(query), attention.num_heads)  # [1 or rows, heads, tokens, c]
        k = attention._separate_heads(attention.k_proj(keys), attention.num_heads)  # [rows, heads, n, c]
        tokens, rotated = q.shape[-2], bank.rotated
        rotate(q, self._rotation(attention, tokens, 1))
        rotate(k[:, :, :rotated], self._rotation(attention, tokens, rotated // tokens))
        if layer in self._lean:
            return self._lean[layer](q[:, 0], k[:, 0], bank.values, bank.mask)
        v = attention._separate_heads(attention.v_proj(bank.values), attention.num_heads)
        q = q.expand(k.shape[0], -1, -1, -1)
        mask = None if bank.mask is None else bank.mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return attention.out_proj(attention._recombine_heads(attended))

    def _rotation(self, attention: RoPEAttention, tokens: int, copies: int) -> Tensor:
        """Complex rotary factors [copies*tokens, c/2] of as many image grids."""
        rotation = self._rotations.get((tokens, copies))
        if rotation is None:
            side = round(tokens**0.5)
            grid = attention.compute_cis(end_x=side, end_y=side).to(attention.q_proj.weight.device)
            self._rotations[tokens, copies] = rotation = grid.repeat(copies, 1)
        return rotation


def rotate(x: Tensor, rotation: Tensor) -> None:
    """Rotary encoding of [rows, heads, n, c], in place, by complex factors [n, c/2]."""
    pairs = x.unflatten(-1, (-1, 2))
    full = pairs.float()
    torch.view_as_complex(full).mul_(rotation)
    if full is not pairs:
        pairs.copy_(full)
