"""SAM 2 with the memory bank as an argument: encode an image, predict from a selection of memories, encode a memory.

The engine holds no state of any video. It runs the stock modules of the `sam2` package; only what lies between them
(which memories are gathered, with which encodings, what is blanked) is ours, after `sam2.modeling.sam2_base`. How a
bank becomes tokens stands in `gather`, what the tokens do in `attention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sam2rl_tracker.engine.attention import BankAttention, BankTokens
from sam2rl_tracker.engine.bfloat16 import Enlargement, make_coarse
from sam2rl_tracker.engine.compiled import Compiler
from sam2rl_tracker.engine.decoder import lighten
from sam2rl_tracker.engine.gather import gather
from sam2rl_tracker.engine.heap import keep_freed_memory
from sam2rl_tracker.engine.lean import LeanMemoryEncoder
from sam2rl_tracker.engine.model import Model
from sam2rl_tracker.engine.operations import Normalisation, blank_pointers, encode_memory, resize, to_tokens
from sam2rl_tracker.engine.packed import can_pack, pack_linears
from sam2rl_tracker.engine.positions import fix_positions
from sam2rl_tracker.engine.threads import suits_one_thread
from sam2rl_tracker.engine.tracing import shared_encoder
from sam2rl_tracker.engine.types import Candidates, Chosen, Features, FixedShape, Masks, MemorySelection, Prompt

_RECORD_AFTER = 40
"""Images of a small model after which its encoder is worth being recorded."""

BLANK = -1024.0
"""The logit of every pixel of an object that is said to be absent."""


class Engine:
    """One network on one device. Rows share a batch, so their last bits depend on it: `ExactEngine` has stock SAM 2's.

    The given network is never changed, so any number of engines, and training, may share one model.

    Args:
        model: The loaded network.
        dtype: float32; or bfloat16, which is coarser: on a CPU as in `engine.bfloat16`, elsewhere under autocast.
        compiled: Whether the network's steps are compiled first.

    Shapes: S = the model's input size, h = w = S / 16, C = model width, D = memory width, K = 3 candidates.
    """

    small: bool
    """Whether one CPU thread does as much as several."""

    encodes_beside: bool
    """Whether a thread can save time by encoding an image while another predicts, with the same bits."""

    exact = False
    """Whether all is computed by SAM 2's own operations."""

    def __init__(self, model: Model, dtype: torch.dtype = torch.float32, compiled: bool = False):
        self.model = model
        self.device = model.device
        self.dtype = dtype
        self.compiled = compiled
        self._coarse = dtype == torch.bfloat16 and self.device.type == "cpu"  # elsewhere, autocast does it
        self.input_size: int = model.network.image_size
        self.small = self.encodes_beside = suits_one_thread(self.device, self.input_size)
        if self.device.type == "cpu":
            keep_freed_memory()
        with torch.inference_mode():
            positions = fix_positions(model.network)
            self._network = network = positions.network
            if not self.exact and self.device.type == "cpu":
                if self._coarse:
                    make_coarse(network, images=not self.small)
                lighten(network.sam_mask_decoder)
                if can_pack(self.device, dtype):
                    pack_linears(network, but=network.image_encoder if self.small else None)
            self._image_pos, self._memory_pos = positions.image, self._hold(positions.memory)
            self._image_pe = network.sam_prompt_encoder.get_dense_pe()
            self._no_prompt = self._embed_prompts([None])
            self._attention = BankAttention(network.memory_attention, self.exact)
            self._memory_encoder = None if self.exact else LeanMemoryEncoder(network.memory_encoder)
        kind = (self.exact, dtype, self.device)
        self._encoder = shared_encoder(model, kind, network, _RECORD_AFTER if self.small else None)
        self._side = self.input_size // network.backbone_stride
        self._normalise = Normalisation(self.device)
        self._enlarge = Enlargement(4 * self._side, self.input_size) if self._coarse else None
        self._multimask = network.multimask_output_in_sam and network.multimask_output_for_tracking
        if compiled:
            compiler = Compiler()
            # On a CPU, attention is all products of matrices: compiled, it was no faster.
            self._attend_fixed = self._attend if self.device.type == "cpu" else compiler.compile(self._attend)
            self._decode_unprompted = compiler.compile(self._decode_maps)
            self._remember_compiled = compiler.compile(self._remember)

    # ---------------------------------------------------------------------------------------------- images

    @torch.inference_mode()
    def encode_image(self, image: np.ndarray, resampled: np.ndarray | None = None) -> Features:
        """Encode one RGB image, uint8 [height, width, 3], at any size.

        Args:
            resampled: What `resample` made of it, if that was called before.
        """
        network = self._network
        with self._autocast():
            pixels = self.preprocess(image if resampled is None else resampled)[None]
            if not self.small:
                pixels = self._hold(pixels)
            maps = [self._hold(level) for level in self._encoder(pixels)]
            top = maps[-1]
            with self._attention_kernel():
                query = self._attention.self_attend(to_tokens(top), self._image_pos.to(top.dtype))
        high_res = maps[:-1] if network.use_high_res_features_in_sam else []
        if self._coarse:
            high_res = [level.contiguous(memory_format=torch.channels_last) for level in high_res]
        # Convolutions round by layout, and stock SAM 2 has the contiguous one.
        return Features(top.contiguous(), self._image_pos, query, tuple(high_res), (image.shape[0], image.shape[1]))

    def preprocess(self, image: np.ndarray) -> Tensor:
        """Resampling and normalisation of SAM 2's own loader: uint8 [H, W, 3] -> float32 [3, S, S] on the device."""
        image = self.resample(image)
        # It travels to the device as bytes, a quarter of what the numbers take.
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1)
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        return self._normalise(pixels)

    def resample(self, image: np.ndarray) -> np.ndarray:
        """An image at the model's input size, uint8 [H, W, 3] -> [S, S, 3]. Any thread may call it."""
        if image.shape[:2] == (self.input_size, self.input_size):
            return image
        return np.array(Image.fromarray(image).resize((self.input_size, self.input_size)))

    # --------------------------------------------------------------------------------------------- predict

    @torch.inference_mode()
    def predict(
        self,
        features: Features,
        selections: Sequence[MemorySelection],
        shape: FixedShape | None = None,
        keep_maps: bool = False,
    ) -> Candidates:
        """Predict K candidate masks for each selection of memories on one image.

        Rows may differ in how much they attend to. Those that differ in their prompts alone are attended once.

        Args:
            shape: Pad the batch to it, so that a row's bits do not depend on what the other rows hold.
            keep_maps: Whether to hand out what the decoder saw, as `Candidates.maps`.

        Raises:
            ValueError: A selection without memories, or more rows, memories or pointers than `shape` holds.
        """
        rows = len(selections)
        if shape is not None and rows > shape.rows:
            raise ValueError(f"{rows} selections do not fit a batch of {shape.rows} rows.")
        if shape is not None:
            selections = [*selections, *[selections[0]] * (shape.rows - rows)]
        with self._autocast(), self._attention_kernel():
            maps = self._condition(features, selections, shape)
            candidates = self._decode(maps, features, [selection.prompt for selection in selections])
        if keep_maps:
            candidates = replace(candidates, maps=maps)
        return candidates if len(selections) == rows else candidates.take(slice(rows))

    @torch.inference_mode()
    def choose(self, candidates: Candidates, rows: Tensor, picks: Tensor, visible: Tensor) -> Chosen:
        """Take candidate `picks[i]` of row `rows[i]`; where not `visible[i]`, blank its mask and replace its pointer.

        Args:
            rows: int64 [choices] on the engine's device, as are the next two.
            picks: int64 [choices].
            visible: bool [choices].
        """
        logits = torch.where(visible[:, None, None], candidates.logits[rows, picks], BLANK)
        scores = candidates.object_scores[rows]
        with self._autocast():
            pointers = self._network.obj_ptr_proj(candidates.tokens[rows, picks])
        pointers = blank_pointers(self._network, pointers.float(), visible, scores)
        return Chosen(logits=logits, object_scores=scores, pointers=pointers)

    @torch.inference_mode()
    def project_pointers(self, tokens: Tensor) -> Tensor:
        """Output tokens [..., C] as object pointers [..., C] float32, none replaced."""
        with self._autocast():
            return self._network.obj_ptr_proj(tokens).float()

    # --------------------------------------------------------------------------------------------- prompts

    @torch.inference_mode()
    def prompt_masks(self, features: Features, masks: np.ndarray) -> Chosen:
        """Take given masks, bool [objects, height, width] at the image's size, as the output of their frame."""
        network = self._network
        given = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device).float()[:, None]  # [objects, 1, H, W]
        if given.shape[-2:] != (self.input_size, self.input_size):
            given = resize(given, self.input_size, antialias=True)
            given = (given >= 0.5).float()
        logits = resize(given * 20.0 - 10.0, self.input_size // 4, antialias=True)[:, 0]
        visible = given.flatten(1).any(dim=1)
        with self._autocast(), self._attention_kernel():
            prompt = network.mask_downsample(given)  # the decoder makes only the pointer; the mask stays as given
            if prompt.shape[-2:] != network.sam_prompt_encoder.mask_input_size:
                prompt = resize(prompt.float(), network.sam_prompt_encoder.mask_input_size, antialias=True)
            prompts = [Prompt(mask=mask[0]) for mask in prompt]
            maps = features.map.expand(len(masks), -1, -1, -1)
            candidates = self._decode(maps, features, prompts, multimask=False)
            pointers = network.obj_ptr_proj(candidates.tokens[:, 0])
        # Blanked twice, as in SAM 2: by what the decoder sees, then by whether the given mask holds anything.
        scores = candidates.object_scores
        pointers = blank_pointers(network, pointers.float(), scores > 0, scores)
        scores = 20.0 * visible.float() - 10.0
        pointers = blank_pointers(network, pointers, visible, scores)
        return Chosen(logits=logits, object_scores=scores, pointers=pointers)

    @torch.inference_mode()
    def prompt_points(self, features: Features, prompts: Sequence[Prompt]) -> tuple[Chosen, Tensor]:
        """Segment what points and boxes show on the objects' first frame: without any memory.

        Args:
            prompts: Of each object, with points (a box is two); a mask is one to refine. See `point_prompt`.

        Returns:
            The chosen masks and their predicted IoU [objects].
        """
        counts = [0 if prompt.points is None else len(prompt.points) for prompt in prompts]
        order: list[int] = []
        parts: list[tuple[Chosen, Tensor]] = []
        for count in sorted(set(counts)):  # rows are not padded by points: to the decoder, those would be something
            rows = [row for row, own in enumerate(counts) if own == count]
            with self._autocast(), self._attention_kernel():
                top = features.map.flatten(2).permute(2, 0, 1) + self._network.no_mem_embed  # [h*w, 1, C]
                maps = top.permute(1, 2, 0).unflatten(2, (self._side, self._side)).expand(len(rows), -1, -1, -1)
                multimask = self._takes_several(count, self._network.multimask_output_in_sam)
                candidates = self._decode(maps, features, [prompts[row] for row in rows], multimask)
            order += rows
            parts.append(self._take_best(candidates))
        chosen, ious = zip(*parts, strict=True)
        back = sorted(range(len(order)), key=order.__getitem__)
        return Chosen.join(chosen).take(back), torch.cat(ious)[back]

    @torch.inference_mode()
    def prompt_tracked(self, features: Features, selection: MemorySelection) -> tuple[Chosen, Tensor]:
        """Predict a tracked frame once more, by what it attends to and by points of a user in the selection's prompt.

        As `SAM2VideoPredictor.add_new_points_or_box` on a frame that was tracked; what differs from `predict` is the
        number of candidates, which depends on the number of points.

        Returns:
            The chosen mask and its predicted IoU [1].
        """
        prompt = selection.prompt
        count = 0 if prompt is None or prompt.points is None else len(prompt.points)
        with self._autocast(), self._attention_kernel():
            maps = self._condition(features, [selection])
            candidates = self._decode(maps, features, [prompt], self._takes_several(count, self._multimask))
        return self._take_best(candidates)

    def point_prompt(
        self, video_size: tuple[int, int], points: np.ndarray, box: np.ndarray | None = None, mask: Tensor | None = None
    ) -> Prompt:
        """The prompt that a user's points, and a box around the object, are: in SAM 2's order, the box comes first.

        Args:
            video_size: Height and width of the image in pixels.
            points: [k, 3] x, y in pixels of the image, and 1 on the object or 0 off it.
            box: [4] x, y, width, height in pixels of the image.
            mask: [4h, 4w] logits of the mask that the points refine.
        """
        height, width = video_size
        points = np.asarray(points, dtype=np.float32).reshape(-1, 3)
        coordinates, labels = points[:, :2], points[:, 2].astype(np.int32)
        if box is not None:
            corner, size = np.asarray(box, dtype=np.float32).reshape(2, 2)
            coordinates = np.concatenate([[corner, corner + size], coordinates])
            labels = np.concatenate([[2, 3], labels]).astype(np.int32)
        placed = torch.from_numpy(coordinates) / torch.tensor([width, height]) * self.input_size
        return Prompt(placed.to(self.device), torch.from_numpy(labels).to(self.device), mask)

    # -------------------------------------------------------------------------------------------- memories

    @torch.inference_mode()
    def encode_memory(self, features: Features, masks: Masks, binarise: Sequence[bool]) -> Tensor:
        """Encode masks into memories, [rows, h*w, D] bfloat16 (as SAM 2 stores them).

        Args:
            binarise: Per row, encode the mask as 0 and 1 (prompted frames) instead of its probabilities.
        """
        if self.compiled and masks.input_logits is None and not any(binarise):
            with self._autocast():
                return self._remember_compiled(features.map, masks.logits, masks.object_scores)
        given = masks.input_logits
        logits = self._enlarge_logits(masks.logits) if given is None else given[:, None]  # [rows, 1, S, S]
        if all(binarise):
            mask = (logits > 0).float()
        elif any(binarise):
            hard = torch.tensor(list(binarise), device=self.device)[:, None, None, None]
            mask = torch.where(hard, (logits > 0).float(), torch.sigmoid(logits))
        else:
            mask = torch.sigmoid(logits)
        with self._autocast():
            return self._encode_mask(features.map, mask, masks.object_scores)

    def _remember(self, maps: Tensor, logits: Tensor, object_scores: Tensor) -> Tensor:
        """Encode the probabilities of mask logits [rows, 4h, 4w] into memories [rows, h*w, D]."""
        return self._encode_mask(maps, torch.sigmoid(self._enlarge_logits(logits)), object_scores)

    def _enlarge_logits(self, logits: Tensor) -> Tensor:
        """Mask logits [rows, 4h, 4w] at the model's input size, [rows, 1, S, S]."""
        if self._enlarge is not None:
            return self._enlarge(logits)[:, None]
        return resize(logits[:, None], self.input_size)

    def _encode_mask(self, maps: Tensor, mask: Tensor, object_scores: Tensor) -> Tensor:
        """Encode masks [rows, 1, S, S] into memories [rows, h*w, D]."""
        memory = encode_memory(self._network, maps, mask, object_scores > 0, self._memory_encoder)
        return memory.to(torch.bfloat16).contiguous()

    # --------------------------------------------------------------------------------- reading the results

    def video_logits(self, logits: Tensor, video_size: tuple[int, int]) -> Tensor:
        """Mask logits [..., rows, 4h, 4w] at the video's own size, on the device."""
        if logits.shape[-2:] == video_size:
            return logits
        flat = logits.reshape(-1, 1, *logits.shape[-2:])
        return resize(flat, video_size).view(*logits.shape[:-2], *video_size)

    def input_masks(self, logits: Tensor) -> Tensor:
        """Mask logits [rows, K, 4h, 4w] as masks at the model's input size, bool [rows, K, S, S] on the device."""
        return resize(logits, self.input_size) > 0

    def boxes(self, logits: Tensor) -> Tensor:
        """The boxes of `extents` alone, [rows, K, 4]."""
        return self.extents(logits)[..., :4]

    def extents(self, logits: Tensor) -> Tensor:
        """Boxes and areas of candidate masks at the model's input size.

        Args:
            logits: [rows, K, 4h, 4w].

        Returns:
            Integer [rows, K, 5] on the device: xmin, ymin, xmax, ymax and pixels, all 0 for an empty mask.
        """
        mask = self.input_masks(logits)
        size = self.input_size
        lengths = mask.sum(dim=-1, dtype=torch.int32)  # pixels of each row of the image; faster than `any`
        ends = []
        for line in (mask.any(dim=-2), lengths > 0):  # columns hold x, rows hold y
            first = line.int().argmax(dim=-1)
            last = size - 1 - line.flip(-1).int().argmax(dim=-1)
            ends += [first, torch.where(line.any(dim=-1), last, 0)]
        return torch.stack([ends[0], ends[2], ends[1], ends[3], lengths.sum(dim=-1)], dim=-1)

    # ------------------------------------------------------------------------------------------- internals

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

    def _condition(
        self, features: Features, selections: Sequence[MemorySelection], shape: FixedShape | None = None
    ) -> Tensor:
        """The image as seen from what each selection attends to, [rows, C, h, w]."""
        different = {selection.bank: selection for selection in selections}
        one_image = len(features.query) == 1
        if shape is None and one_image and len(different) < len(selections):  # rows that differ in their prompts alone
            place = {bank: row for row, bank in enumerate(different)}
            return self._condition(features, list(different.values()))[[place[one.bank] for one in selections]]
        bank = gather(self._network, self._memory_pos, selections, shape)
        image_pos = self._image_pos.to(features.query.dtype)
        # Without a fixed shape, banks grow: too many shapes to compile.
        attend = self._attend_fixed if self.compiled and shape is not None else self._attend
        return attend(features.query, image_pos, bank.values, bank.positions, bank.rotated, bank.mask, bank.key_scale)

    def _attend(
        self,
        query: Tensor,
        image_pos: Tensor,
        values: Tensor,
        positions: Tensor,
        rotated: int,
        mask: Tensor | None,
        key_scale: Tensor | None,
    ) -> Tensor:
        """`BankAttention.attend`, as maps [rows, C, h, w]."""
        bank = BankTokens(values, positions, rotated, mask, key_scale)
        conditioned = self._attention.attend(query, image_pos, bank)  # [rows, h*w, C]
        return conditioned.transpose(1, 2).unflatten(2, (self._side, self._side))

    def _takes_several(self, points: int, allowed: bool) -> bool:
        """Whether a user's prompt of so many points gets K candidates (`_use_multimask`): a single one is ambiguous."""
        network = self._network
        return bool(allowed and network.multimask_min_pt_num <= points <= network.multimask_max_pt_num)

    def _take_best(self, candidates: Candidates) -> tuple[Chosen, Tensor]:
        """Each row's candidate of the highest predicted IoU, and that IoU [rows]."""
        rows, picks = torch.arange(len(candidates.ious), device=self.device), candidates.ious.argmax(dim=1)
        # In exact mode, too, by this class's rule: stock SAM 2 resizes a prompted frame's mask alone.
        chosen = Engine.choose(self, candidates, rows, picks, candidates.object_scores > 0)
        return chosen, candidates.ious[rows, picks]

    def _decode(
        self, maps: Tensor, features: Features, prompts: Sequence[Prompt | None], multimask: bool | None = None
    ) -> Candidates:
        rows = len(prompts)
        unprompted = all(prompt is None for prompt in prompts)
        if unprompted:
            sparse, dense = (part.expand(rows, *part.shape[1:]) for part in self._no_prompt)
        else:
            sparse, dense = self._embed_prompts(prompts)
        decode = self._decode_unprompted if self.compiled and unprompted else self._decode_maps
        several = self._multimask if multimask is None else multimask
        return Candidates(*decode(maps, features.high_res, sparse, dense, several))

    def _decode_maps(
        self, maps: Tensor, high_res: tuple[Tensor, ...], sparse: Tensor, dense: Tensor, several: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the mask decoder makes of maps [rows, C, h, w] and embedded prompts: the fields of `Candidates`."""
        logits, ious, tokens, scores = self._network.sam_mask_decoder(
            image_embeddings=self._hold(maps),
            image_pe=self._hold(self._image_pe),
            sparse_prompt_embeddings=self._hold(sparse),
            dense_prompt_embeddings=self._hold(dense),
            multimask_output=several,
            repeat_image=False,
            high_res_features=[level.expand(len(maps), -1, -1, -1) for level in high_res] or None,
        )
        tokens = tokens.expand(-1, logits.shape[1], -1)  # models without a token per candidate share one
        return logits.float(), ious.float(), tokens.float(), scores[:, 0].float()

    def _hold(self, values: Tensor) -> Tensor:
        """Values as the network takes them and holds them between operations."""
        return values.to(torch.bfloat16) if self._coarse else values

    def _autocast(self) -> torch.autocast:
        enabled = self.dtype == torch.bfloat16 and not self._coarse
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _attention_kernel(self) -> AbstractContextManager[None]:
        """What restricts the kernels by which PyTorch may compute attention behind the image encoder."""
        return nullcontext()
