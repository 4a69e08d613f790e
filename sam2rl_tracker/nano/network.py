"""SAM 2 over a clip with gradients, for training: the same modules as `Engine` runs, in plain batched form.

What training and tracking compute alike stands in `engine.operations`. Rows are objects: row = clip * objects + object.
Every row of a batch attends to the same number of memories, though to different frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2rl_tracker.engine import CONDITIONING_SLOT, MAX_POINTERS, Network
from sam2rl_tracker.engine.operations import blank_pointers, encode_distances, encode_memory, resize, to_tokens


@dataclass(frozen=True)
class Maps:
    """Image features of N frames.

    Attributes:
        top: [N, C, h, w] the backbone's top level.
        high_res: [N, C/8, 4h, 4w] and [N, C/4, 2h, 2w], projected for the mask decoder.
    """

    top: Tensor
    high_res: tuple[Tensor, ...]

    def take(self, frames: Tensor) -> Maps:
        """Those of some frames, int64 [rows]; a frame may be taken several times."""
        return Maps(self.top[frames], tuple(level[frames] for level in self.high_res))


@dataclass(frozen=True)
class Decoded:
    """Raw outputs of the mask decoder, unblanked. Mask 0 is for unambiguous prompts, 1 to 3 are the candidates.

    Attributes:
        logits: [rows, 4, 4h, 4w].
        ious: [rows, 4] predicted.
        tokens: [rows, 4, C] from which pointers are projected.
        scores: [rows] object score logits.
    """

    logits: Tensor
    ious: Tensor
    tokens: Tensor
    scores: Tensor

    def likeliest(self) -> Tensor:
        """The candidate of the highest predicted IoU, as tracking picks it: [rows], 1 to 3."""
        return self.ious[:, 1:].argmax(dim=1) + 1


@dataclass(frozen=True)
class Remembered:
    """What later frames can attend to, of one frame.

    Attributes:
        memory: [rows, h*w, D].
        pointer: [rows, C].
        times: [rows] the frame's numbers in the sources.
    """

    memory: Tensor
    pointer: Tensor
    times: Tensor


def encode_images(network: Network, images: Tensor) -> Maps:
    """Features of normalised images [N, 3, S, S]."""
    levels = network.forward_image(images)["backbone_fpn"][-network.num_feature_levels :]
    return Maps(levels[-1], tuple(levels[:-1]))


def decode(
    network: Network, conditioned: Tensor, maps: Maps, points: Tensor | None = None, labels: Tensor | None = None
) -> Decoded:
    """Masks of conditioned features [rows, C, h, w], one map a row.

    Args:
        points: [rows, n, 2] x, y at the input size; None = no prompt.
        labels: [rows, n] 1 = in the object, 2 and 3 = corners of its box, -1 = padding.
    """
    rows = len(conditioned)
    if points is None or labels is None:
        points = conditioned.new_zeros(rows, 1, 2)
        labels = -torch.ones(rows, 1, dtype=torch.int32, device=conditioned.device)
    encoder = network.sam_prompt_encoder
    sparse, dense = encoder(points=(points, labels), boxes=None, masks=None)
    logits, ious, tokens, scores = network.sam_mask_decoder.predict_masks(
        image_embeddings=conditioned,
        image_pe=encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=list(maps.high_res),
    )
    return Decoded(logits.float(), ious.float(), tokens, scores[:, 0].float())


def decode_prompts(network: Network, maps: Maps, points: Tensor, labels: Tensor) -> Decoded:
    """Masks of single images from points or boxes, as on a prompted frame."""
    return decode(network, maps.top + network.no_mem_embed[0, 0][:, None, None], maps, points, labels)


def remember_prompt(network: Network, maps: Maps, masks: Tensor, times: Tensor) -> Remembered:
    """Take given masks [rows, S, S] of 0 and 1 as those of a frame."""
    low, *_, pointer, _ = network._use_mask_as_output(maps.top, list(maps.high_res), masks[:, None])
    binary = (resize(low, masks.shape[-1]) > 0).float()
    visible = masks.flatten(1).any(dim=1)
    return Remembered(encode_memory(network, maps.top, binary, visible), pointer, times)


def remember(
    network: Network, maps: Maps, decoded: Decoded, picked: Tensor, masks: Tensor, visible: Tensor, times: Tensor
) -> Remembered:
    """Remember a tracked frame.

    Args:
        picked: [rows] whose token becomes the pointer.
        masks: [rows, S, S] probabilities that become the memory.
        visible: bool [rows].
    """
    pointer = network.obj_ptr_proj(decoded.tokens[torch.arange(len(picked), device=picked.device), picked])
    pointer = blank_pointers(network, pointer, visible, decoded.scores)
    return Remembered(encode_memory(network, maps.top, masks[:, None], visible), pointer, times)


def attend(network: Network, maps: Maps, times: Tensor, bank: Sequence[Remembered], chosen: Tensor) -> Tensor:
    """Fuse images with the prompted frame and others: [rows, C, h, w].

    Args:
        times: [rows] of these images.
        bank: The prompted frame first.
        chosen: [rows, m] for each row which others, newest first, as places in `bank`; m may be 0.
    """
    rows, channels, height, width = maps.top.shape
    places = torch.cat([chosen.new_zeros(rows, 1), chosen], dim=1)  # [rows, 1 + m]
    row = torch.arange(rows, device=places.device)[:, None]
    memories = torch.stack([r.memory for r in bank], dim=1)[row, places]  # [rows, 1 + m, h*w, D]
    pointers = torch.stack([r.pointer for r in bank], dim=1)[row, places]  # [rows, 1 + m, C]
    distances = times[:, None] - torch.stack([r.times for r in bank], dim=1)[row, places]

    slots = torch.tensor([CONDITIONING_SLOT, *range(chosen.shape[1])], device=places.device)
    grid = to_tokens(network.memory_encoder.position_encoding(maps.top.new_zeros(1, network.mem_dim, height, width)))
    spatial = (grid + network.maskmem_tpos_enc[slots, 0]).flatten(0, 1).expand(rows, -1, -1)
    temporal = encode_distances(network, distances.float() / (MAX_POINTERS - 1))
    split = channels // network.mem_dim  # a pointer is cut into tokens as wide as a memory's
    memory = torch.cat([memories.flatten(1, 2), pointers.reshape(rows, -1, network.mem_dim)], dim=1)
    positions = torch.cat([spatial, temporal.repeat_interleave(split, dim=1)], dim=1)
    image_positions = to_tokens(network.image_encoder.neck.position_encoding(maps.top[:1])).expand(rows, -1, -1)
    fused = network.memory_attention(
        curr=to_tokens(maps.top).transpose(0, 1),
        curr_pos=image_positions.transpose(0, 1),
        memory=memory.transpose(0, 1),
        memory_pos=positions.transpose(0, 1),
        num_obj_ptr_tokens=places.shape[1] * split,
    )  # [h*w, rows, C]
    return fused.permute(1, 2, 0).reshape(rows, channels, height, width)
