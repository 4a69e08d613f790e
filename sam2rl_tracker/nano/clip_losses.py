"""The losses of a batch of clips: prompts on their first frames, and tracking by memory on the later ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from sam2rl_tracker.engine import MEMORY_SLOTS, Network
from sam2rl_tracker.engine.operations import Normalisation, resize
from sam2rl_tracker.nano.batches import OBJECTS, Clips
from sam2rl_tracker.nano.losses import Losses, decoder_losses
from sam2rl_tracker.nano.network import (
    Decoded,
    Maps,
    Remembered,
    attend,
    decode,
    decode_prompts,
    encode_images,
    remember,
    remember_prompt,
)


def clip_losses(
    network: Network,
    clips: Clips,
    forced: float,
    boxes: bool,
    rng: np.random.Generator,
    clicks: float,
    wrong: float,
) -> dict[str, Losses]:
    """Losses of a batch: `prompt` on the clips' first frames, and `clip` on the later ones if there are any.

    Args:
        network: To learn.
        clips: The batch.
        forced: Probability that a memory is made from the true mask. Higher values are easier and less like tracking.
        boxes: Prompt by boxes instead of points.
        rng: Of all that is drawn.
        clicks: Probability that a later frame is given a point too, as a policy may do it: see `_clicks`. Higher values
            teach to follow points more, and memory less.
        wrong: Probability that a memory is that of the clip's other object, as drift leaves them. Higher values teach
            to trust single memories less.
    """
    device = network.no_mem_embed.device
    count, frames = clips.images.shape[:2]
    maps = encode_images(network, _normalised(clips.images, device))
    truth = torch.from_numpy(np.ascontiguousarray(clips.masks)).to(device).flatten(0, 1)  # [rows, T, S, S]
    clip = torch.arange(count, device=device).repeat_interleave(OBJECTS)  # row -> clip

    def maps_at(t: int) -> Maps:
        return maps.take(clip * frames + t)

    first = maps_at(0)
    points, labels = _prompts(truth[:, 0], boxes, rng)
    losses = {"prompt": decoder_losses(decode_prompts(network, first, points, labels), truth[:, 0], boxes)}
    if frames == 1:
        return losses
    times = torch.from_numpy(np.abs(clips.times - clips.times[:, :1])).to(device)[clip]  # [rows, T]
    bank = [remember_prompt(network, first, truth[:, 0].float(), times[:, 0])]
    parts = []
    for t in range(1, frames):
        here, true = maps_at(t), truth[:, t]
        chosen = _random_bank(len(true), t, rng).to(device)
        conditioned = attend(network, here, times[:, t], bank, chosen)
        decoded = decode(network, conditioned, here, *_clicks(true, truth[:, t - 1], clicks, rng))
        parts.append(decoder_losses(decoded, true))
        if t < frames - 1:
            bank.append(_remember(network, here, decoded, true, times[:, t], forced, wrong, rng))
    losses["clip"] = _sum(parts)
    return losses


def _remember(
    network: Network,
    here: Maps,
    decoded: Decoded,
    true: Tensor,
    times: Tensor,
    forced: float,
    wrong: float,
    rng: np.random.Generator,
) -> Remembered:
    """The memories of a frame, some of its true masks and some of another object: see `clip_losses`.

    Args:
        here: Features of the frame, for each row.
        decoded: What was predicted there.
        true: bool [rows, S, S].
        times: [rows] the frame's numbers in the sources.
    """
    picked = decoded.likeliest()
    logits = decoded.logits[torch.arange(len(picked), device=true.device), picked]
    own = resize(logits[:, None], true.shape[-1])[:, 0]
    given = torch.from_numpy(rng.random(len(true)) < forced).to(true.device)
    visible = torch.where(given, true.flatten(1).any(dim=1), decoded.scores > 0)
    masks = torch.where(given[:, None, None], true.float(), (own * visible[:, None, None]).sigmoid())
    # A frame without the object is blanked, as tracking does it.
    masks = masks * visible[:, None, None]
    made = remember(network, here, decoded, picked, masks, visible, times)
    row = np.arange(len(true))
    source = torch.from_numpy(np.where(rng.random(len(true)) < wrong, _other(row), row)).to(true.device)
    return Remembered(made.memory[source], made.pointer[source], made.times)


def _sum(parts: Sequence[Losses]) -> Losses:
    """The losses of several frames together."""
    return Losses(
        sum_of(part.masks for part in parts),
        sum_of(part.ious for part in parts),
        sum_of(part.scores for part in parts),
        sum_of(part.shown for part in parts),
        sum(part.rows for part in parts),
    )


def sum_of(values: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def _normalised(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, T, S, S, 3] -> float [B*T, 3, S, S]"""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device).flatten(0, 1).permute(0, 3, 1, 2)
    return Normalisation(device)(pixels.float())


def _random_bank(rows: int, t: int, rng: np.random.Generator) -> Tensor:
    """For each row as many places in the bank, newest first: the newest ones for half of the rows, else any."""
    most = min(t - 1, MEMORY_SLOTS - 1)
    size = most if rng.random() < 0.5 else int(rng.integers(most + 1))
    newest = np.arange(t - 1, 0, -1)  # places t-1 .. 1
    preference = np.where(rng.random((rows, 1)) < 0.5, newest, rng.random((rows, t - 1)) * t)
    order = np.argsort(-preference, axis=1)[:, :size]  # columns: 0 = newest
    return torch.from_numpy(np.sort(t - 1 - order, axis=1)[:, ::-1].copy())


def _other(rows: np.ndarray) -> np.ndarray:
    """The row of the same clip's next object."""
    return rows - rows % OBJECTS + (rows + 1) % OBJECTS


def _clicks(now: Tensor, before: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Points on some rows that show their object: points [rows, 1, 2] and labels [rows, 1], -1 where there is none.

    Half of them lie where the object was on the clip's last frame, as a forecast of its motion may be wrong.
    """
    late = torch.from_numpy(rng.random(len(now)) < 0.5).to(now.device) & before.flatten(1).any(dim=1)
    points, labels = _prompts(torch.where(late[:, None, None], before, now), False, rng)
    given = torch.from_numpy(rng.random(len(now)) < share).to(now.device) & now.flatten(1).any(dim=1)
    return points, torch.where(given[:, None], labels, -1)


def _prompts(masks: Tensor, boxes: bool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random point in each mask, or its box moved a little: points [rows, n, 2] and labels [rows, n]."""
    rows, height, width = masks.shape
    if not boxes:
        counts = masks.flatten(1).cumsum(dim=1)
        wanted = torch.from_numpy(rng.random(rows)).to(masks.device) * counts[:, -1]
        place = (counts <= wanted[:, None]).sum(dim=1)
        points = torch.stack([place % width, place // width], dim=1)[:, None].float() + 0.5
        return points, torch.ones(rows, 1, dtype=torch.int32, device=masks.device)
    columns, lines = masks.any(dim=1).float(), masks.any(dim=2).float()
    low = torch.stack([columns.argmax(1), lines.argmax(1)], dim=1)
    high = torch.stack([width - columns.flip(1).argmax(1), height - lines.flip(1).argmax(1)], dim=1)
    corners = torch.stack([low, high], dim=1).float()  # [rows, 2, 2]
    noise = torch.from_numpy(rng.standard_normal((rows, 2, 2))).to(corners)
    corners = corners + noise * 0.05 * (high - low)[:, None]
    return corners.clamp(0, width), torch.tensor([[2, 3]], dtype=torch.int32, device=masks.device).expand(rows, -1)
