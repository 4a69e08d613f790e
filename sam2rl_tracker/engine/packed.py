"""Products with weights by oneDNN, on processors where PyTorch would take MKL.

PyTorch gives float32 products of matrices to MKL, which on processors other than Intel's leaves half of the machine
unused. oneDNN does not, once the weights lie as it wants them. `docs/speed.md` has what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock
from sam2.modeling.sam2_utils import MLP
from torch import Tensor, nn

from sam2rl_tracker.engine.devices import is_x86

_SMALL = 1 << 20
"""Multiplications of a product below which oneDNN's call costs more than it gains."""

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def can_pack(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Whether this PyTorch has oneDNN's products for the device, in float32 or bfloat16."""
    ready = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not (is_x86(device) and ready):
        return False
    return dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


_SCHEMA = "(Tensor x, Tensor weight, Tensor? bias, str activation) -> Tensor"


@torch.library.custom_op("sam2rl::product", mutates_args=(), device_types="cpu", schema=_SCHEMA)
def _product(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    """oneDNN's product as compiled code calls it, which knows no packed weights. It is about as fast without."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none")


@_product.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


class PackedLinear(nn.Module):
    """What `nn.Linear` computes, and perhaps what follows it, with the last bits of another order of sums.

    Args:
        weight: [out, in], of the dtype that inputs have; a copy is laid out anew when it is first wanted.
        bias: [out], or None.
        activation: What follows: "none", "relu" or "gelu". One pass over the result then does both.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str = "none"):
        super().__init__()
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.activation = activation
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""
        if x.numel() * len(self.weight) < _SMALL or x.dtype != self.weight.dtype or torch.is_autocast_enabled("cpu"):
            return _ACTIVATIONS[self.activation](F.linear(x, self.weight, self.bias))
        if torch.compiler.is_compiling():
            return torch.ops.sam2rl.product(x, self.weight, self.bias, self.activation)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, self.activation, [], "none")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # PyTorch can copy no packed weights


def product(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """`F.linear` with this weight and bias, packed where that can be."""
    packs = can_pack(weight.device, weight.dtype)
    return PackedLinear(weight, bias) if packs else lambda x: F.linear(x, weight, bias)


def pack_linears(module: Any, but: nn.Module | None = None) -> None:
    """Put a `PackedLinear` in the place of every `nn.Linear` in a module that nobody else runs, except in one part."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            module._modules[name] = PackedLinear(child.weight, child.bias)
        elif child is not but:
            pack_linears(child, but)
    if isinstance(module, MLP):
        last = len(module.layers) - 1
        _fuse(module, "act", [layer for index, layer in enumerate(module.layers) if index < last])
    elif isinstance(module, CXBlock):
        _fuse(module, "act", [module.pwconv1])
    elif isinstance(module, MemoryAttentionLayer):
        _fuse(module, "activation", [module.linear1])


def _fuse(module: Any, attribute: str, layers: Iterable[PackedLinear]) -> None:
    """Let the layers do a module's activation, which follows them wherever it is, as far as they can."""
    activation = getattr(module, attribute)
    if activation is F.relu or isinstance(activation, nn.ReLU):
        name = "relu"
    elif activation is F.gelu or (isinstance(activation, nn.GELU) and activation.approximate == "none"):
        name = "gelu"
    else:
        return
    for layer in layers:
        layer.activation = name
    setattr(module, attribute, nn.Identity())
