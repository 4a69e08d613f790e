"""SAM 2's mask decoder with less work on a CPU: some of its modules are replaced, its code is not.

Nothing is approximated. Maps are kept place by place (channels last), where normalisation over channels is one
operation, and enlarging is a product of matrices. `docs/speed.md` says what that is worth.
"""

from __future__ import annotations

import torch
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_utils import LayerNorm2d
from torch import Tensor, nn

from sam2rl_tracker.engine.lean import normalise
from sam2rl_tracker.engine.packed import product


def lighten(decoder: MaskDecoder) -> None:
    """Replace what can be had for less, in a decoder that nobody else runs."""
    for block in decoder.transformer.layers:
        block.cross_attn_image_to_token = AttentionToFew(block.cross_attn_image_to_token)
    for index, layer in enumerate(decoder.output_upscaling):
        if isinstance(layer, nn.ConvTranspose2d) and layer.kernel_size == layer.stride == (2, 2):
            decoder.output_upscaling[index] = Enlarge(layer)
        elif isinstance(layer, LayerNorm2d):
            decoder.output_upscaling[index] = NormaliseChannels(layer)


class AttentionToFew(nn.Module):
    """Attention of many places to a few tokens, as the decoder's image attends to its tokens.

    PyTorch's kernels work through the keys of one query after another. With fewer keys than a processor adds at once,
    it is several times as fast to work through the queries of one key.

    Args:
        attention: Whose result it gives.
    """

    def __init__(self, attention: Attention):
        super().__init__()
        self._attention = attention

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [rows, n, C], k and v [rows, m, C] -> [rows, n, C]"""
        attention = self._attention
        heads = [
            projected.unflatten(2, (attention.num_heads, -1)).permute(0, 2, 3, 1)  # [rows, heads, c, n or m]
            for projected in (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v))
        ]
        queries, keys, values = heads
        scores = torch.matmul(keys.transpose(2, 3) * keys.shape[2] ** -0.5, queries)  # [rows, heads, m, n]
        attended = torch.matmul(values, scores.softmax(dim=2))  # [rows, heads, c, n]
        return attention.out_proj(attended.flatten(1, 2).transpose(1, 2))


class Enlarge(nn.Module):
    """A transposed convolution that turns each place into 2 x 2 of its own, as a product of matrices.

    Args:
        layer: Whose result it gives, with kernel and stride 2.
    """

    def __init__(self, layer: nn.ConvTranspose2d):
        super().__init__()
        weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [2 * 2 * out, in]
        self._product = product(weight.contiguous(), None if layer.bias is None else layer.bias.repeat(4))

    def forward(self, maps: Tensor) -> Tensor:
        """[rows, in, h, w] -> [rows, out, 2h, 2w], stored place by place."""
        places = self._product(maps.permute(0, 2, 3, 1)).unflatten(3, (2, 2, -1))  # [rows, h, w, 2, 2, out]
        return places.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class NormaliseChannels(nn.Module):
    """`LayerNorm2d` in one operation, on maps that are stored place by place."""

    def __init__(self, layer: LayerNorm2d):
        super().__init__()
        self._layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        """[rows, channels, h, w] -> the same"""
        return normalise(self._layer, maps.float()).to(maps.dtype)  # few channels are slow in bfloat16
