"""The same network with less work: what batched mode computes in the place of two of SAM 2's modules.

Nothing is approximated, but sums are taken in another order, so last bits differ from the stock modules'. Exact mode
uses those. `docs/speed.md` says what each of these is worth.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from sam2.modeling.memory_encoder import CXBlock, MemoryEncoder
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_utils import LayerNorm2d
from torch import Tensor, nn

from sam2rl_tracker.engine.packed import product

_SCORES = 1 << 22
"""Attention scores computed at once: about what a processor's cache holds."""

_LARGE = 1 << 27
"""Multiplications of a row's scores from which on its keys are worth packing."""

_SCORES_ALONE = 1 << 20
"""Attention scores computed at once, of a row with packed keys."""

_FEWEST = 64
"""Queries computed at once, at least: with fewer, the keys would be read too often."""

CHANNELS = 64
"""Channels from which on maps are kept place by place (channels last). With fewer, that gains nothing."""


class LeanAttention:
    """Attention to a bank, with its values as they are stored instead of as they are projected.

    Attention's weights sum to 1, and so the projection of the values and that of the output are one linear map on
    what was attended to: `out(sum(w v(m))) = (out v)(sum(w m)) + constant`. A stored memory is a quarter as wide as its
    projection, so the values are never projected, and the sum is a quarter of the work.

    Args:
        attention: Of a layer of memory attention, with a single head.
    """

    def __init__(self, attention: RoPEAttention):
        out, values = attention.out_proj, attention.v_proj
        weight = out.weight.float() @ values.weight.float()  # [C, D]
        bias = F.linear(values.bias.float(), out.weight.float(), out.bias.float())
        self._project = product(weight.to(out.weight.dtype), bias.to(out.weight.dtype))

    @staticmethod
    def suits(attention: RoPEAttention, device: torch.device) -> bool:
        """Whether it is faster: on a GPU, fused kernels are, which want values as wide as keys."""
        return device.type == "cpu" and attention.num_heads == 1

    def __call__(self, q: Tensor, k: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attend, and project the output.

        Args:
            q: [1 or rows, tokens, c].
            k: [rows, n, c].
            values: [rows, n, D], as stored.
            mask: bool [rows, n], True = attend; None = attend to all.

        Returns:
            [rows, tokens, C].
        """
        return self._project(attend(q, k, values, mask))


def attend(q: Tensor, k: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of one head, by products of matrices; arguments as above, with values of any width."""
    rows, n, width = k.shape
    q = (q * width**-0.5).expand(rows, -1, -1)
    bias = None if mask is None else torch.where(mask, 0.0, -torch.inf).to(q.dtype)
    if q[0].numel() * n >= _LARGE:
        return torch.stack(
            [_attend_alone(*row) for row in zip(q, k, values, [None] * rows if bias is None else bias, strict=True)]
        )
    parts = []
    for part in q.split(max(_FEWEST, _SCORES // (rows * n)), dim=1):
        keys = k.transpose(1, 2)
        scores = torch.bmm(part, keys) if bias is None else torch.baddbmm(bias[:, None], part, keys)
        parts.append(torch.bmm(scores.softmax(dim=-1).to(values.dtype), values))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _attend_alone(q: Tensor, k: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """A row's attention, q [tokens, c], k [n, c], values [n, D], bias [n] -> [tokens, D]: keys as packed weights."""
    score, add_up = product(k, bias), product(values.t().contiguous(), None)
    parts = q.split(max(_FEWEST, _SCORES_ALONE // len(k)))
    return torch.cat([add_up(score(part).softmax(dim=-1).to(values.dtype)) for part in parts])


class LeanMemoryEncoder:
    """SAM 2's memory encoder on maps that are stored place by place.

    Normalisation over channels is then one operation instead of eight, and convolutions of one place are products of
    matrices.
    """

    def __init__(self, module: MemoryEncoder):
        self._module = module
        self._downsample = _pair_up(module.mask_downsampler.encoder)
        self._pointwise: dict[nn.Module, Callable[[Tensor], Tensor]] = {
            layer: product(layer.weight[:, :, 0, 0].contiguous(), layer.bias)
            for layer in module.modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        }

    def __call__(self, maps: Tensor, masks: Tensor) -> Tensor:
        """Encode masks.

        Args:
            maps: [rows or 1, C, h, w] top features of the images.
            masks: [rows, 1, S, S], scaled as the encoder expects them.

        Returns:
            [rows, h*w, D].
        """
        module = self._module
        x = masks
        for layer in self._downsample:
            if isinstance(layer, nn.Conv2d):  # from here on there are many channels, and perhaps bfloat16
                x = x.to(layer.weight.dtype).contiguous(memory_format=torch.channels_last)
            x = normalise(layer, x) if isinstance(layer, LayerNorm2d) else self._apply(layer, x)
        x = x.permute(0, 2, 3, 1) + self._at_places(module.pix_feat_proj, maps.permute(0, 2, 3, 1))  # [rows, h, w, C]
        x = self._at_places(module.fuser.proj, x)
        for block in module.fuser.layers:
            x = _fuse(block, x)
        return self._at_places(module.out_proj, x).flatten(1, 2)

    def _apply(self, layer: nn.Module, x: Tensor) -> Tensor:
        """A layer on [rows, channels, h, w]; one that looks at single places as a product of matrices."""
        if layer in self._pointwise:
            return self._at_places(layer, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return layer(x)

    def _at_places(self, layer: nn.Module, places: Tensor) -> Tensor:
        """A convolution of single places, or nothing at all, on [rows, h, w, channels]."""
        return places if isinstance(layer, nn.Identity) else self._pointwise[layer](places)


class NormalisedConvolution(nn.Module):
    """A convolution to few channels and the normalisation over these, which then need not lie side by side.

    The mean over the channels is taken off the weights, not off the result, whose mean is then zero.

    Args:
        layer: The convolution.
        norm: What follows it.
    """

    def __init__(self, layer: nn.Conv2d, norm: LayerNorm2d):
        super().__init__()
        self._layer, self._norm = layer, norm
        weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        self._weight = weight - weight.mean(dim=0)
        self._bias = None if bias is None else bias - bias.mean()

    def forward(self, x: Tensor) -> Tensor:
        """[rows, channels before, h, w] -> [rows, channels, h, w]"""
        layer, norm = self._layer, self._norm
        x = F.conv2d(x, self._weight, self._bias, layer.stride, layer.padding)
        scale = x.square().mean(dim=1, keepdim=True).add_(norm.eps).rsqrt_()
        return torch.addcmul(norm.bias[:, None, None], x.mul_(scale), norm.weight[:, None, None])


def _pair_up(layers: nn.Sequential) -> list[nn.Module]:
    """The same layers; convolutions to few channels are one with the normalisation that follows them."""
    paired: list[nn.Module] = []
    for layer in layers:
        before = paired[-1] if paired else None
        if isinstance(layer, LayerNorm2d) and isinstance(before, nn.Conv2d) and before.out_channels < CHANNELS:
            paired[-1] = NormalisedConvolution(before, layer)
        else:
            paired.append(layer)
    return paired


def _fuse(block: CXBlock, x: Tensor) -> Tensor:
    """`CXBlock.forward` on [rows, h, w, C]."""
    y = block.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y = F.layer_norm(y, y.shape[-1:], block.norm.weight, block.norm.bias, block.norm.eps)
    y = block.pwconv2(block.act(block.pwconv1(y)))
    return x + y if block.gamma is None else torch.addcmul(x, y, block.gamma)


def normalise(norm: LayerNorm2d, x: Tensor) -> Tensor:
    """`LayerNorm2d.forward` as one operation, as the channels of a place lie side by side."""
    places = x.permute(0, 2, 3, 1)
    return F.layer_norm(places, places.shape[-1:], norm.weight, norm.bias, norm.eps).permute(0, 3, 1, 2)
