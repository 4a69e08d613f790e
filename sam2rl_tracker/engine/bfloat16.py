"""bfloat16 on a CPU, from one end of a batched step to the other.

PyTorch's autocast casts weights and activations at every operation, and some of its operations are slower in bfloat16
than in float32. Here the weights are bfloat16 once and for all, activations stay so between operations, and modules
with slow operations are replaced by others that compute the same. `docs/speed.md` says what that gives and costs.

What decides stays in float32: the heads that predict IoUs and object scores, pointers, and positions. So do the first
layers that a mask goes through, which have few channels and little to gain.
"""

from __future__ import annotations

import torch
from sam2.modeling.sam.transformer import Attention, RoPEAttention, TwoWayTransformer
from sam2.modeling.sam2_utils import LayerNorm2d
from torch import Tensor, nn

from sam2rl_tracker.engine.attention import rotate
from sam2rl_tracker.engine.lean import CHANNELS, attend
from sam2rl_tracker.engine.model import Network
from sam2rl_tracker.engine.operations import resize, to_tokens

_PRECISE = ("iou_prediction_head", "pred_obj_score_head", "conv_s0", "conv_s1")
"""Parts of the mask decoder that stay in float32: what predicts, and what projects the image's finer features."""


def make_coarse(network: Network, images: bool) -> None:
    """Make a network compute in bfloat16, in place.

    Args:
        network: A twin whose modules are its own (see `positions`). The weights that it shares stay as they are.
        images: Also its image encoder. That of a small model gains nothing.
    """
    decoder, encoder = network.sam_mask_decoder, network.memory_encoder
    precise = {name: module for name, module in decoder.named_children() if name in _PRECISE}
    convolutions = [one for one in encoder.mask_downsampler.modules() if isinstance(one, nn.Conv2d)]
    kept = {*precise.values(), *(one for one in convolutions if one.out_channels < CHANNELS)}
    for part in (network.memory_attention, decoder, encoder):
        _cast(part, kept)
    if images:
        _cast(network.image_encoder, kept)
        trunk = network.image_encoder.trunk
        positions = trunk._get_pos_embed(None).to(torch.bfloat16)  # fixed: see `positions`
        trunk._get_pos_embed = lambda grid: positions
    for name, module in precise.items():
        setattr(decoder, name, _InFloat32(module))
    for layer in network.memory_attention.layers:
        layer.self_attn = _SelfAttention(layer.self_attn)
    transformer = decoder.transformer
    for block in transformer.layers:
        block.self_attn = _PlainAttention(block.self_attn)
        block.cross_attn_token_to_image = _PlainAttention(block.cross_attn_token_to_image)
    transformer.final_attn_token_to_image = _PlainAttention(transformer.final_attn_token_to_image)
    decoder.transformer = _Transformer(transformer)


def _cast(module: nn.Module, kept: set[nn.Module]) -> None:
    """Cast a module's weights but those that are kept, and those of what normalises channels in float32."""
    if module in kept or isinstance(module, LayerNorm2d):
        return
    module._parameters = {
        name: None if weight is None else nn.Parameter(weight.to(torch.bfloat16), requires_grad=False)
        for name, weight in module._parameters.items()
    }
    for child in module.children():
        _cast(child, kept)


class Enlargement:
    """Bilinear resampling of square maps as two products of matrices, whose weights bfloat16 holds exactly.

    Args:
        before: Side of the maps.
        after: Side of the result, a power of 2 times as long.
    """

    def __init__(self, before: int, after: int):
        each = torch.eye(before)[None, None]
        self._weights = resize(each, (after, before))[0, 0].to(torch.bfloat16)  # [after, before]

    def __call__(self, maps: Tensor) -> Tensor:
        """float32 [rows, before, before] -> float32 [rows, after, after]"""
        return (self._weights @ maps.to(torch.bfloat16) @ self._weights.T).float()


class _InFloat32(nn.Module):
    """A module that gets its input in float32."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self._module = module

    def forward(self, x: Tensor) -> Tensor:
        return self._module(x.float())


class _Transformer(nn.Module):
    """SAM 2's `TwoWayTransformer`, with positions that are one row and lie place by place, as the image does."""

    def __init__(self, transformer: TwoWayTransformer):
        super().__init__()
        self._transformer = transformer
        self.layers = transformer.layers  # for `lighten`

    def forward(self, image: Tensor, image_pe: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        transformer = self._transformer
        places = to_tokens(image_pe[:1]).contiguous()
        queries, keys = points, to_tokens(image).contiguous()
        for layer in transformer.layers:
            queries, keys = layer(queries, keys, points, places)
        attended = transformer.final_attn_token_to_image(q=queries + points, k=keys + places, v=keys)
        return transformer.norm_final_attn(queries + attended), keys


class _PlainAttention(nn.Module):
    """SAM 2's attention as products of matrices: PyTorch's fused kernel is slower in bfloat16 than in float32."""

    def __init__(self, attention: Attention):
        super().__init__()
        self._attention = attention

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attention = self._attention
        projected = (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v))
        q, k, v = (attention._separate_heads(x, attention.num_heads) for x in projected)
        return attention.out_proj(attention._recombine_heads(_attend_heads(q, k, v)))


class _SelfAttention(nn.Module):
    """The same with rotary encoding, of an image to itself."""

    def __init__(self, attention: RoPEAttention):
        super().__init__()
        self._attention = attention
        self._rotation: Tensor | None = None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attention = self._attention
        projected = (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v))
        q, k, v = (attention._separate_heads(x, attention.num_heads) for x in projected)
        if self._rotation is None:
            side = round(q.shape[-2] ** 0.5)
            self._rotation = attention.compute_cis(end_x=side, end_y=side)
        for x in (q, k):
            rotate(x, self._rotation)
        return attention.out_proj(attention._recombine_heads(_attend_heads(q, k, v)))


def _attend_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[rows, heads, queries, c] and twice [rows, heads, n, c] -> [rows, heads, queries, c]."""
    attended = attend(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), None)
    return attended.unflatten(0, q.shape[:2])
