"""Steps of SAM 2 that tracking (`Engine`) and training (`nano.network`) compute alike.

Both must run the same network, or a network would be trained that nobody tracks with. Each function follows the method
of `sam2.modeling.sam2_base.SAM2Base` that it names, and passes gradients on where there are any.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from sam2rl_tracker.engine.model import Network


class Normalisation:
    """SAM 2's normalisation of images (ImageNet's mean and standard deviation), on one device."""

    def __init__(self, device: torch.device):
        self._mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None]
        self._std = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalise RGB images, float32 [..., 3, height, width] from 0 to 255, in place."""
        # SAM 2's loader divides in float64: for these 256 values the result is the same.
        return pixels.div_(255).sub_(self._mean).div_(self._std)


def to_tokens(maps: Tensor) -> Tensor:
    """[rows, C, h, w] -> [rows, h*w, C], place by place, row by row of the map."""
    return maps.flatten(2).transpose(1, 2)


def resize(maps: Tensor, size: int | tuple[int, int], antialias: bool = False) -> Tensor:
    """Bilinear resampling of [rows, channels, h, w] to a side, or to (height, width), in pixels."""
    target = (size, size) if isinstance(size, int) else size
    return F.interpolate(maps, size=target, mode="bilinear", align_corners=False, antialias=antialias)


def encode_distances(network: Network, distances: Tensor) -> Tensor:
    """Position encodings of pointers (in `_prepare_memory_conditioned_features`).

    Args:
        distances: Float [rows, pointers], in frames, divided by the pointer span - 1.

    Returns:
        [rows, pointers, D].
    """
    if not network.add_tpos_enc_to_obj_ptrs:
        return distances.new_zeros(*distances.shape, network.mem_dim)
    width = network.hidden_dim if network.proj_tpos_enc_in_obj_ptrs else network.mem_dim
    encoded = network.obj_ptr_tpos_proj(get_1d_sine_pe(distances.flatten(), dim=width))
    return encoded.view(*distances.shape, network.mem_dim)


def blank_pointers(network: Network, pointers: Tensor, visible: Tensor, scores: Tensor) -> Tensor:
    """Replace the pointers of absent objects by the learned "no object" pointer (in `_forward_sam_heads`).

    Args:
        pointers: [rows, C].
        visible: Bool [rows], where the object is in the picture.
        scores: [rows] object score logits. A network with `soft_no_obj_ptr` mixes by them instead.

    Returns:
        [rows, C].
    """
    if not network.pred_obj_scores:
        return pointers
    shown = (scores.sigmoid() if network.soft_no_obj_ptr else visible.to(pointers.dtype))[:, None]
    if network.fixed_no_obj_ptr:
        pointers = shown * pointers
    return pointers + (1 - shown) * network.no_obj_ptr


def encode_memory(
    network: Network,
    maps: Tensor,
    masks: Tensor,
    visible: Tensor,
    encoder: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Encode masks into memories (`_encode_new_memory`).

    Args:
        maps: [rows or 1, C, h, w] top features of the images.
        masks: [rows, 1, S, S] probabilities, or 0 and 1.
        visible: Bool [rows]; where not, the learned "no object" embedding is added.
        encoder: What encodes maps and scaled masks into [rows, h*w, D]; None = the network's own.

    Returns:
        [rows, h*w, D].
    """
    if network.sigmoid_scale_for_mem_enc != 1.0:
        masks = masks * network.sigmoid_scale_for_mem_enc
    if network.sigmoid_bias_for_mem_enc != 0.0:
        masks = masks + network.sigmoid_bias_for_mem_enc
    if encoder is None:
        memory = to_tokens(network.memory_encoder(maps, masks, skip_mask_sigmoid=True)["vision_features"])
    else:
        memory = encoder(maps, masks)
    if network.no_obj_embed_spatial is not None:
        absent = (~visible).to(memory.dtype)[:, None, None]
        memory = memory + absent * network.no_obj_embed_spatial[:, None]
    return memory
