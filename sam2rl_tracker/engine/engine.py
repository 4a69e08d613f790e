"""SAM 2 with the memory bank as an argument: encode an image, predict from a selection of memories, encode a memory.

The engine holds no state of any video. It runs the stock modules of the `sam2` package; only what lies between them
(which memories are gathered, with which encodings, what is blanked) is ours, after `sam2.modeling.sam2_base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sam2rl_tracker.engine.attention import BankAttention
from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.engine.types import (
    CONDITIONING_SLOT,
    MEMORY_SLOTS,
    Candidates,
    Chosen,
    Features,
    FixedShape,
    FrameRecord,
    MemorySelection,
    Prompt,
)

BLANK = -1024.0
"""The logit of every pixel of an object that is said to be absent."""

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class Engine:
    """One network on one device.

    Args:
        model: the loaded network.
        dtype: float32, or bfloat16 to run under autocast.
        exact: one row at a time, so that every result has the bits of stock SAM 2 (at one CPU thread and float32).
            Otherwise rows share a batch: faster, and the last bits differ.
        math_attention: compute all attention behind the image encoder by PyTorch's plain kernel. Code that was forked
            from SAM 2's first release does so on machines without a GPU; the last bits differ.

    Shapes: S = the model's input size, h = w = S / 16, C = model width, D = memory width, K = 3 candidates.
    """

    def __init__(
        self, model: Model, dtype: torch.dtype = torch.float32, exact: bool = False, math_attention: bool = False
    ):
        self.model = model
        self.exact = exact
        self.device = model.device
        self.dtype = dtype
        self._math_attention = math_attention
        self._network = network = model.network
        self.input_size: int = network.image_size
        self._side = self.input_size // network.backbone_stride
        self._attention = BankAttention(network.memory_attention)
        self._mean = torch.tensor(_MEAN, dtype=torch.float32, device=self.device)[:, None, None]
        self._std = torch.tensor(_STD, dtype=torch.float32, device=self.device)[:, None, None]
        with torch.inference_mode():
            if not hasattr(network, "fixed_positions"):
                network.fixed_positions = self._fix_positions()
            self._image_pos, self._memory_pos = network.fixed_positions
            self._image_pe = network.sam_prompt_encoder.get_dense_pe()
            self._no_prompt = self._embed_prompts([None])
        self._multimask = network.multimask_output_in_sam and network.multimask_output_for_tracking

    # ---------------------------------------------------------------------------------------------- images

    def encode_image(self, image: np.ndarray) -> Features:
        """Encode one RGB image, uint8 [height, width, 3], at any size."""
        return self.encode_images([image])[0]

    @torch.inference_mode()
    def encode_images(self, images: Sequence[np.ndarray]) -> list[Features]:
        """Encode several images of one video in one batch (singly in exact mode)."""
        if self.exact and len(images) > 1:
            return [self.encode_image(image) for image in images]
        network = self._network
        with self._autocast():
            out = network.forward_image(torch.stack([self.preprocess(image) for image in images]))
            maps = out["backbone_fpn"]  # levels of [images, ., ., .], finest first
            top = maps[-1]
            with self._kernel():
                query = self._attention.self_attend(_tokens(top), self._image_pos.to(top.dtype))
        high_res = maps[:-1] if network.use_high_res_features_in_sam else []
        return [
            Features(
                map=top[i : i + 1].contiguous(),  # convolutions round by layout; stock SAM 2 has this one
                query=query[i : i + 1],
                high_res=tuple(level[i : i + 1] for level in high_res),
                video_size=(image.shape[0], image.shape[1]),
            )
            for i, image in enumerate(images)
        ]

    # --------------------------------------------------------------------------------------------- predict

    @torch.inference_mode()
    def predict(
        self, features: Features, selections: Sequence[MemorySelection], shape: FixedShape | None = None
    ) -> Candidates:
        """Predict K candidate masks for each selection of memories on one image.

        Rows may differ in how much they attend to. With `shape` the batch is padded to it, so that a row's bits do
        not depend on what the other rows hold.

        Raises:
            ValueError: a selection without memories, or more rows, memories or pointers than `shape` holds.
        """
        if self.exact and shape is None and len(selections) > 1:
            return Candidates.join([self.predict(features, [selection]) for selection in selections])
        rows = len(selections)
        if shape is not None and rows > shape.rows:
            raise ValueError(f"{rows} selections do not fit a batch of {shape.rows} rows")
        if shape is not None:
            selections = [*selections, *[selections[0]] * (shape.rows - rows)]
        with self._autocast(), self._kernel():
            conditioned = self._condition(features, selections, shape)  # [rows, h*w, C]
            maps = conditioned.transpose(1, 2).unflatten(2, (self._side, self._side))
            candidates = self._decode(maps, features, [selection.prompt for selection in selections])
        return candidates if len(selections) == rows else candidates.take(slice(rows))

    @torch.inference_mode()
    def choose(self, candidates: Candidates, rows: Tensor, picks: Tensor, visible: Tensor) -> Chosen:
        """Take candidate `picks[i]` of row `rows[i]`; where not `visible[i]`, blank its mask and replace its pointer.

        Args:
            rows: int64 [choices], on the engine's device like the others.
            picks: int64 [choices].
            visible: bool [choices].
        """
        if self.exact and len(rows) > 1:
            each = range(len(rows))
            parts = [self.choose(candidates, rows[i : i + 1], picks[i : i + 1], visible[i : i + 1]) for i in each]
            return Chosen.join(parts)
        logits = torch.where(visible[:, None, None], candidates.logits[rows, picks], BLANK)
        scores = candidates.object_scores[rows]
        with self._autocast():
            pointers = self._network.obj_ptr_proj(candidates.tokens[rows, picks])
        input_logits = None
        if self.exact:
            # Stock SAM 2 resizes all candidates and then picks one; resizing one alone gives other last bits.
            siblings = torch.where(visible[:, None, None, None], candidates.logits[rows], BLANK)
            input_logits = _resize(siblings, self.input_size)[torch.arange(len(rows)), picks]
        return Chosen(logits, self._blank_pointers(pointers.float(), visible, scores), scores, input_logits)

    # --------------------------------------------------------------------------------------------- prompts

    @torch.inference_mode()
    def prompt_masks(self, features: Features, masks: np.ndarray) -> Chosen:
        """Take given masks, bool [objects, height, width] at the image's size, as the output of their frame."""
        if self.exact and len(masks) > 1:
            return Chosen.join([self.prompt_masks(features, masks[i : i + 1]) for i in range(len(masks))])
        network = self._network
        given = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device).float()[:, None]  # [objects, 1, H, W]
        if given.shape[-2:] != (self.input_size, self.input_size):
            given = _resize(given, self.input_size, antialias=True)
            given = (given >= 0.5).float()
        logits = _resize(given * 20.0 - 10.0, self.input_size // 4, antialias=True)[:, 0]
        visible = given.flatten(1).any(dim=1)
        with self._autocast(), self._kernel():
            prompt = network.mask_downsample(given)  # the decoder makes only the pointer; the mask stays as given
            if prompt.shape[-2:] != network.sam_prompt_encoder.mask_input_size:
                prompt = _resize(prompt.float(), network.sam_prompt_encoder.mask_input_size, antialias=True)
            prompts = [Prompt(mask=mask[0]) for mask in prompt]
            maps = features.map.expand(len(masks), -1, -1, -1)
            candidates = self._decode(maps, features, prompts, multimask=False)
            pointers = network.obj_ptr_proj(candidates.tokens[:, 0])
        # Blanked twice, as in SAM 2: by what the decoder sees, then by whether the given mask holds anything.
        scores = candidates.object_scores
        pointers = self._blank_pointers(pointers.float(), scores > 0, scores)
        scores = 20.0 * visible.float() - 10.0
        return Chosen(logits, self._blank_pointers(pointers, visible, scores), scores)

    @torch.inference_mode()
    def prompt_boxes(self, features: Features, boxes: np.ndarray) -> tuple[Chosen, Tensor]:
        """Segment what given boxes hold, float [objects, 4] as x, y, width, height in pixels of the image.

        Returns:
            The chosen masks and their predicted IoU [objects].
        """
        if self.exact and len(boxes) > 1:
            each = [self.prompt_boxes(features, boxes[i : i + 1]) for i in range(len(boxes))]
            return Chosen.join([one for one, _ in each]), torch.cat([ious for _, ious in each])
        network = self._network
        height, width = features.video_size
        corners = torch.from_numpy(np.asarray(boxes, dtype=np.float32)).clone()
        corners[:, 2:] += corners[:, :2]
        corners = corners.reshape(-1, 2, 2) / torch.tensor([width, height]) * self.input_size
        labels = torch.tensor([2, 3], dtype=torch.int32, device=self.device)
        prompts = [Prompt(points=pair.to(self.device), labels=labels) for pair in corners]
        with self._autocast(), self._kernel():
            top = features.map.flatten(2).permute(2, 0, 1) + network.no_mem_embed  # [h*w, 1, C]
            maps = top.permute(1, 2, 0).unflatten(2, (self._side, self._side)).expand(len(boxes), -1, -1, -1)
            candidates = self._decode(maps, features, prompts, multimask=False)
        rows = torch.arange(len(boxes), device=self.device)
        chosen = self.choose(candidates, rows, torch.zeros_like(rows), candidates.object_scores > 0)
        return chosen, candidates.ious[:, 0]

    # -------------------------------------------------------------------------------------------- memories

    @torch.inference_mode()
    def encode_memory(self, features: Features, chosen: Chosen, binarise: Sequence[bool]) -> Tensor:
        """Encode masks into memories, [rows, h*w, D] bfloat16 (as SAM 2 stores them).

        Args:
            binarise: per row, encode the mask as 0 and 1 (prompted frames) instead of its probabilities.
        """
        rows = len(binarise)
        if self.exact and rows > 1:
            return torch.cat([self.encode_memory(features, chosen.take([i]), binarise[i : i + 1]) for i in range(rows)])
        network = self._network
        if chosen.input_logits is not None:
            logits = chosen.input_logits[:, None]  # [rows, 1, S, S]
        else:
            logits = _resize(chosen.logits[:, None], self.input_size)
        if all(binarise):
            mask = (logits > 0).float()
        elif any(binarise):
            hard = torch.tensor(list(binarise), device=self.device)[:, None, None, None]
            mask = torch.where(hard, (logits > 0).float(), torch.sigmoid(logits))
        else:
            mask = torch.sigmoid(logits)
        if network.sigmoid_scale_for_mem_enc != 1.0:
            mask = mask * network.sigmoid_scale_for_mem_enc
        if network.sigmoid_bias_for_mem_enc != 0.0:
            mask = mask + network.sigmoid_bias_for_mem_enc
        with self._autocast():
            out = network.memory_encoder(features.map, mask, skip_mask_sigmoid=True)
        memory = out["vision_features"]
        if network.no_obj_embed_spatial is not None:
            absent = 1 - (chosen.object_scores > 0).float()
            memory = memory + absent[:, None, None, None] * network.no_obj_embed_spatial[..., None, None]
        return memory.to(torch.bfloat16).flatten(2).transpose(1, 2).contiguous()

    # --------------------------------------------------------------------------------- reading the results

    def video_logits(self, logits: Tensor, video_size: tuple[int, int]) -> Tensor:
        """Mask logits [..., rows, 4h, 4w] at the video's own size, on the device."""
        if logits.shape[-2:] == video_size:
            return logits
        flat = logits.reshape(-1, 1, *logits.shape[-2:])
        return _resize(flat, video_size).view(*logits.shape[:-2], *video_size)

    def boxes(self, logits: Tensor) -> Tensor:
        """Boxes (xmin, ymin, xmax, ymax) of the pixels > 0 at the model's input size.

        Args:
            logits: [rows, K, 4h, 4w].

        Returns:
            Integer [rows, K, 4] on the device; an empty mask gives (0, 0, 0, 0).
        """
        mask = _resize(logits, self.input_size) > 0
        size = self.input_size
        ends = []
        for axis in (-2, -1):  # columns hold x, rows hold y
            line = mask.any(dim=axis)
            first = line.int().argmax(dim=-1)
            last = size - 1 - line.flip(-1).int().argmax(dim=-1)
            ends += [first, torch.where(line.any(dim=-1), last, 0)]
        return torch.stack([ends[0], ends[2], ends[1], ends[3]], dim=-1)

    # ------------------------------------------------------------------------------------------- internals

    def preprocess(self, image: np.ndarray) -> Tensor:
        """Resampling and normalisation of SAM 2's own loader: uint8 [H, W, 3] -> float32 [3, S, S] on the device."""
        if image.shape[:2] != (self.input_size, self.input_size):
            image = np.array(Image.fromarray(image).resize((self.input_size, self.input_size)))
        # Bytes travel to the device. The loader divides in float64: for these 256 values the result is the same.
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1)
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        return pixels.div_(255).sub_(self._mean).div_(self._std)

    def _fix_positions(self) -> tuple[Tensor, Tensor]:
        """Compute position encodings once: size and weights are fixed, yet stock modules compute them for each image.

        Returns:
            Those of the image [1, h*w, C], and spatial + temporal ones of a memory in each slot [slots, h*w, D].
        """
        network, side = self._network, self._side
        neck, trunk, encoder = network.image_encoder.neck, network.image_encoder.trunk, network.memory_encoder
        image_grid = torch.zeros(1, network.hidden_dim, side, side, device=self.device)
        memory_grid = torch.zeros(1, network.mem_dim, side, side, device=self.device)
        image = _tokens(neck.position_encoding(image_grid))
        memory = _tokens(encoder.position_encoding(memory_grid)) + network.maskmem_tpos_enc[:, 0]

        patches = trunk.patch_embed(torch.zeros(1, 3, self.input_size, self.input_size, device=self.device))
        embedding = trunk._get_pos_embed(patches.shape[1:3])
        trunk._get_pos_embed = lambda size: embedding
        neck.position_encoding = encoder.position_encoding = _NoPositions()
        return image, memory

    def _condition(self, features: Features, selections: Sequence[MemorySelection], shape: FixedShape | None) -> Tensor:
        """Fuse the image with each selection's memories: [rows, h*w, C]."""
        network = self._network
        if not network.use_obj_ptrs_in_encoder:
            selections = [replace(selection, pointers=(), pointer_scales=None) for selection in selections]
        width = max(len(s.memories) for s in selections) if shape is None else shape.memories
        span = max(len(s.pointers) for s in selections) if shape is None else shape.pointers
        if not all(s.memories and len(s.memories) <= width and len(s.pointers) <= span for s in selections):
            raise ValueError(f"a selection must hold 1 to {width} memories and at most {span} pointers")

        if not all(0 <= slot < MEMORY_SLOTS for s in selections for _, slot in s.memories):
            raise ValueError(
                f"temporal slots are 0 to {CONDITIONING_SLOT}: one for conditioning frames, six for others"
            )

        banks = [[_memory(record) for record, _ in s.memories] for s in selections]
        memory = torch.stack([_stack(bank, width) for bank in banks])  # [rows, M, h*w, D]
        slots = torch.tensor([[slot for _, slot in _padded(s.memories, width)] for s in selections])
        rows, tokens = len(selections), memory.shape[2]
        values = [memory.flatten(1, 2).float()]
        positions = [self._memory_pos[slots.to(self.device)].flatten(1, 2)]
        per_pointer = network.hidden_dim // network.mem_dim  # a pointer is split into tokens of the memories' width
        if span > 0:
            pointers = torch.stack([_stack([r.pointer for r, _ in _pointers(s)], span) for s in selections])
            values.append(pointers.reshape(rows, span * per_pointer, network.mem_dim))
            positions.append(self._pointer_positions(selections, span).repeat_interleave(per_pointer, dim=1))

        mask = None
        if shape is not None or not all(len(s.memories) == width and len(s.pointers) == span for s in selections):
            table = [_fill([1] * len(s.memories), width, 0) + _fill([1] * len(s.pointers), span, 0) for s in selections]
            mask = self._per_token(table, width, tokens, per_pointer).bool()
        if any(s.memory_masks is not None for s in selections):
            counted = self._counted(selections, width, tokens, per_pointer * span)
            mask = counted if mask is None else mask & counted
        scale = None
        if any(s.memory_scales is not None or s.pointer_scales is not None for s in selections):
            table = [
                _fill(s.memory_scales or [1.0] * len(s.memories), width, 1.0)
                + _fill(s.pointer_scales or [1.0] * len(s.pointers), span, 1.0)
                for s in selections
            ]
            scale = self._per_token(table, width, tokens, per_pointer)[..., None]
        return self._attention.attend(
            features.query,
            self._image_pos.to(features.query.dtype),
            torch.cat(values, dim=1),
            torch.cat(positions, dim=1),
            rotated=width * tokens,
            mask=mask,
            key_scale=scale,
        )

    def _pointer_positions(self, selections: Sequence[MemorySelection], span: int) -> Tensor:
        """Encodings of the pointers' distances in time: [rows, span, D]."""
        network = self._network
        distances = torch.tensor(
            [[d / max(s.pointer_span - 1, 1) for _, d in _padded(_pointers(s), span)] for s in selections],
            dtype=torch.float32,
            device=self.device,
        )
        if not network.add_tpos_enc_to_obj_ptrs:
            return distances.new_zeros(*distances.shape, network.mem_dim)
        dim = network.hidden_dim if network.proj_tpos_enc_in_obj_ptrs else network.mem_dim
        encoded = network.obj_ptr_tpos_proj(get_1d_sine_pe(distances.flatten(), dim=dim))
        return encoded.view(*distances.shape, network.mem_dim)

    def _counted(self, selections: Sequence[MemorySelection], memories: int, tokens: int, others: int) -> Tensor:
        """Which tokens count by the selections' own masks: bool [rows, memories*tokens + others]."""
        every = torch.ones(max(tokens, others), dtype=torch.bool, device=self.device)
        rows = []
        for selection in selections:
            masks = _padded(selection.memory_masks or [None] * len(selection.memories), memories)
            rows.append(torch.cat([*(every[:tokens] if mask is None else mask for mask in masks), every[:others]]))
        return torch.stack(rows)

    def _per_token(self, table: list[list[float]], memories: int, tokens: int, per_pointer: int) -> Tensor:
        """A value per memory, then per pointer -> a value per token: [rows, memories*tokens + pointers*per_pointer]."""
        values = torch.tensor(table, dtype=torch.float32, device=self.device)
        spatial = values[:, :memories].repeat_interleave(tokens, dim=1)
        return torch.cat([spatial, values[:, memories:].repeat_interleave(per_pointer, dim=1)], dim=1)

    def _embed_prompts(self, prompts: Sequence[Prompt | None]) -> tuple[Tensor, Tensor]:
        """Sparse [rows, n, C] and dense [rows, C, h, w] prompt embeddings; rows with fewer points are padded."""
        encoder = self._network.sam_prompt_encoder
        longest = max([1, *(len(p.points) for p in prompts if p is not None and p.points is not None)])
        points = torch.zeros(len(prompts), longest, 2, device=self.device)
        labels = -torch.ones(len(prompts), longest, dtype=torch.int32, device=self.device)
        for row, prompt in enumerate(prompts):
            if prompt is not None and prompt.points is not None and prompt.labels is not None:
                points[row, : len(prompt.points)] = prompt.points
                labels[row, : len(prompt.labels)] = prompt.labels.to(torch.int32)
        sparse, dense = encoder(points=(points, labels), boxes=None, masks=None)
        with_mask = [row for row, prompt in enumerate(prompts) if prompt is not None and prompt.mask is not None]
        if with_mask:
            masks = torch.stack([prompts[row].mask for row in with_mask])  # type: ignore[union-attr, misc]
            _, embedded = encoder(points=None, boxes=None, masks=masks[:, None])
            dense = dense.to(embedded.dtype).clone()
            dense[with_mask] = embedded
        return sparse, dense

    def _decode(
        self, maps: Tensor, features: Features, prompts: Sequence[Prompt | None], multimask: bool | None = None
    ) -> Candidates:
        rows = len(prompts)
        if all(prompt is None for prompt in prompts):
            sparse, dense = (part.expand(rows, *part.shape[1:]) for part in self._no_prompt)
        else:
            sparse, dense = self._embed_prompts(prompts)
        logits, ious, tokens, scores = self._network.sam_mask_decoder(
            image_embeddings=maps,
            image_pe=self._image_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self._multimask if multimask is None else multimask,
            repeat_image=False,
            high_res_features=[level.expand(rows, -1, -1, -1) for level in features.high_res] or None,
        )
        tokens = tokens.expand(-1, logits.shape[1], -1)  # models without a token per candidate share one
        return Candidates(logits.float(), ious.float(), tokens, scores[:, 0].float())

    def _blank_pointers(self, pointers: Tensor, visible: Tensor, scores: Tensor) -> Tensor:
        """Replace (or mix with) the learned "no object" pointer: [rows, C]."""
        network = self._network
        if not network.pred_obj_scores:
            return pointers
        shown = (scores.sigmoid() if network.soft_no_obj_ptr else visible.float())[:, None]
        if network.fixed_no_obj_ptr:
            pointers = shown * pointers
        return pointers + (1 - shown) * network.no_obj_ptr

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _kernel(self) -> AbstractContextManager[None]:
        return sdpa_kernel(SDPBackend.MATH) if self._math_attention else nullcontext()


class _NoPositions(nn.Module):
    """Stands where a stock module would compute position encodings that the engine has already."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.new_empty(0)


def _tokens(maps: Tensor) -> Tensor:
    """[rows, C, h, w] -> [rows, h*w, C]"""
    return maps.flatten(2).transpose(1, 2)


def _resize(maps: Tensor, size: int | tuple[int, int], antialias: bool = False) -> Tensor:
    """Bilinear resampling of [rows, channels, h, w]."""
    target = (size, size) if isinstance(size, int) else size
    return F.interpolate(maps, size=target, mode="bilinear", align_corners=False, antialias=antialias)


def _padded(entries: Sequence, length: int) -> list:
    """Entries, the last repeated up to a length (masked out where it matters)."""
    return [*entries, *[entries[-1]] * (length - len(entries))]


def _pointers(selection: MemorySelection) -> Sequence[tuple[FrameRecord, int]]:
    """A selection's pointers, or a stand-in (masked out) where it has none."""
    return selection.pointers or [(selection.memories[0][0], 0)]


def _fill(values: Sequence[float], length: int, padding: float) -> list[float]:
    return [*values, *[padding] * (length - len(values))]


def _memory(record: FrameRecord) -> Tensor:
    if record.memory is None:
        raise ValueError(f"frame {record.frame} was not encoded as a memory: its record can only serve as a pointer")
    return record.memory


def _stack(tensors: Sequence[Tensor], length: int) -> Tensor:
    return torch.stack(_padded(tensors, length))
