"""Train `nano`, a complete SAM 2 of small dimensions, from nothing on generated scenes.

First single images (a point or a box in, a mask out) teach the encoder and the decoder to see. Then clips that grow
longer teach memory: the first frame's mask is given, every later one is predicted from memories of earlier ones. Those
memories come from the true masks at first and from the network's own predictions in the end, as in tracking. Any bank
is practised, not only the newest frames: each prediction attends to a random choice of them.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.tensorboard import SummaryWriter

from sam2rl_tracker.engine import MEMORY_SLOTS, Model, Network, resolve_device
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS
from sam2rl_tracker.engine.configuration import build_network, read_config
from sam2rl_tracker.engine.operations import Normalisation, resize
from sam2rl_tracker.engine.threads import one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.measures import quality
from sam2rl_tracker.evaluation.overlaps import frame_overlaps
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.nano.batches import OBJECTS, Clips, Cut, open_source
from sam2rl_tracker.nano.losses import Losses, decoder_losses
from sam2rl_tracker.nano.network import (
    Maps,
    Remembered,
    attend,
    decode,
    decode_prompts,
    encode_images,
    remember,
    remember_prompt,
)
from sam2rl_tracker.synthetic.scenes import generate_scene
from sam2rl_tracker.tracking.tracker import Tracker

_CONFIG = PACKAGED_MODELS / "nano" / "config.yaml"
_VALIDATION_SEED = 9_000_000  # training scenes have 32-bit hashes for seeds, all other scenes small numbers
_SAVE_EVERY = 60.0  # seconds
_LOG_EVERY = 25  # steps
# A CPU works on a batch in two halves, each by one thread: 1.3 to 1.6 times as fast as two threads that share every
# operation.
_CPU_PARTS = 2


@dataclass(frozen=True)
class Stage:
    """A part of the training."""

    share: float  # of all steps
    cut: Cut
    forced: tuple[float, float] = (0.0, 0.0)  # share of memories made from true masks, at the stage's begin and end


@dataclass(frozen=True)
class Recipe:
    """All that decides a training."""

    steps: int
    stages: tuple[Stage, ...]
    seed: int = 0
    presets: tuple[str, ...] = ("default", "default", "easy", "busy")
    learning_rate: float = 5e-4  # of AdamW: convolutions, embeddings, norms and biases
    matrix_rate: float = 3e-3  # of Muon: all other matrices
    warm_up: int = 200  # steps
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.999  # decay of the moving average of the weights, which is what ships
    score_weight: float = 3.0  # absent frames are few: SAM 2's 1 is too little on short trainings
    clicks: float = 0.1  # share of later frames that are given a point too
    wrong: float = 0.1  # share of memories that are another object's, so that one is not trusted blindly
    prompt_weight: float = 0.5  # of the task on single images, beside clips
    window: int = 12  # blocks of 16 scenes that clips are cut from
    steps_per_block: int = 60  # after how many steps one of them is replaced
    validate_every: int = 1000
    validation_scenes: int = 8
    validation_frames: int = 60


RECIPES = {
    "nano": Recipe(
        steps=10_000,
        stages=(
            Stage(0.40, Cut(clips=16, frames=1, longest=1)),
            Stage(0.19, Cut(clips=10, frames=3, longest=8, shift=0.6, cuts=0.05), forced=(1.0, 0.6)),
            Stage(0.18, Cut(clips=12, frames=5, longest=12, shift=0.4, cuts=0.1), forced=(0.6, 0.2)),
            Stage(0.23, Cut(clips=8, frames=10, longest=14, shift=0.25, cuts=0.1), forced=(0.2, 0.0)),
        ),
    ),
    "quick": Recipe(
        steps=120,
        stages=(
            Stage(0.5, Cut(clips=16, frames=1, longest=1)),
            Stage(0.5, Cut(clips=6, frames=3, longest=8, shift=0.6, cuts=0.05), forced=(1.0, 0.5)),
        ),
        warm_up=10,
        average=0.97,
        window=2,
        validate_every=60,
        validation_scenes=2,
        validation_frames=20,
    ),
}


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    seconds: float = 0.0  # over all sessions
    frames: int = 0  # images encoded
    losses: dict[str, float] = field(default_factory=dict)
    validation: float = float("nan")  # mean quality of the averaged weights on unseen scenes


def train_nano(
    folder: Path,
    recipe: Recipe,
    device: str | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train, or continue a training that was interrupted.

    The folder gets `config.yaml` and `model.safetensors` (the averaged weights: a folder that `--model` takes),
    `checkpoint.pt`, `progress.csv` and TensorBoard's events.

    Raises:
        Sam2rlError: another training is at work in the folder, it was begun with another recipe, its checkpoint is
            damaged, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock").acquire(timeout=0):
            return _Training(folder, recipe, resolve_device(device)).run(on_step)
    except Timeout as error:
        raise Sam2rlError(f"another training is at work in {folder}: wait for it, or stop it") from error
    except OSError as error:
        raise Sam2rlError(f"{folder} cannot be written ({error.strerror}): what was saved is kept") from error


class _Training:
    def __init__(self, folder: Path, recipe: Recipe, device: torch.device):
        self.folder, self.recipe, self.device = folder, recipe, device
        torch.manual_seed(recipe.seed)
        self.config = read_config(_CONFIG)
        self.network = build_network(self.config).to(device).train()
        self.averaged = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimizers = _make_optimizers(self.network, recipe)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.parts = _CPU_PARTS if device.type == "cpu" else 1
        self.progress = Progress()
        self._load()

    def run(self, on_step: Callable[[Progress], None]) -> Progress:
        with (
            one_thread(),
            ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(1,)) as self.pool,
        ):
            return self._run(on_step)

    def _run(self, on_step: Callable[[Progress], None]) -> Progress:
        recipe, progress = self.recipe, self.progress
        saved = time.monotonic()
        with (
            open_source(
                recipe.seed, self.network.image_size, recipe.presets, recipe.window, recipe.steps_per_block
            ) as source,
            SummaryWriter(str(self.folder), purge_step=progress.step + 1) as board,
        ):
            while progress.step < recipe.steps:
                started = time.perf_counter()
                stage, done = stage_at(recipe, progress.step)
                self._step(source.clips(progress.step, stage.cut), stage, done)
                progress.step += 1
                progress.frames += stage.cut.clips * stage.cut.frames
                ended = progress.step == recipe.steps
                if ended or progress.step % recipe.validate_every == 0:
                    progress.validation = self._validate()
                    board.add_scalar("validation", progress.validation, progress.step)
                progress.seconds += time.perf_counter() - started
                if ended or progress.step % _LOG_EVERY == 0:
                    self._log(board)
                if ended or time.monotonic() - saved > _SAVE_EVERY:
                    self._save()
                    saved = time.monotonic()
                on_step(progress)
        return progress

    # ------------------------------------------------------------------------------------------------- a step

    def _step(self, clips: Clips, stage: Stage, done: float) -> None:
        recipe = self.recipe
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * schedule(recipe, self.progress.step)
        begin, end = stage.forced
        forced = begin + (end - begin) * done
        # On a CPU, PyTorch's fused attention has a backward pass that bfloat16 makes slower.
        with sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext():
            results = list(
                self.pool.map(lambda part: self._gradients(part, forced), enumerate(clips.split(self.parts)))
            )
        for parameter, *gradients in zip(self.parameters, *(gradients for gradients, _ in results), strict=True):
            used = [gradient for gradient in gradients if gradient is not None]
            parameter.grad = torch.stack(used).mean(dim=0) if used else None
        losses = results[0][1]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        if torch.isfinite(norm):  # one bad batch must not end hours of training
            list(self.pool.map(lambda optimizer: optimizer.step(), self.optimizers))
        self._average()
        for name, part in losses.items():
            shown = max(1, int(part.shown))
            for kind, value in (
                ("masks", part.masks / shown),
                ("ious", part.ious / shown),
                ("scores", part.scores / part.rows),
            ):
                key = f"{name}_{kind}"
                now = float(value.detach())
                if not math.isfinite(now):
                    continue
                self.progress.losses[key] = 0.98 * self.progress.losses.get(key, now) + 0.02 * now

    def _gradients(self, part: tuple[int, Clips], forced: float) -> tuple[tuple[Tensor | None, ...], dict[str, Losses]]:
        recipe, step = self.recipe, self.progress.step
        number, clips = part
        rng = np.random.default_rng((recipe.seed, step, number))
        # Threads would share the cache of weights, and with it a graph, whose sums then depend on who was first.
        with torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=self.parts == 1):
            losses = clip_losses(
                self.network,
                clips,
                forced,
                step % 2 == 0,
                rng,
                recipe.clicks,
                recipe.wrong,
            )
        total = sum(
            (recipe.prompt_weight if name == "prompt" and len(losses) > 1 else 1.0) * part.total(recipe.score_weight)
            for name, part in losses.items()
        )
        assert isinstance(total, Tensor)
        return torch.autograd.grad(total, self.parameters, allow_unused=True), losses

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.average, (1 + self.progress.step) / (10 + self.progress.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value, 1 - decay)
            else:
                self.averaged[name].copy_(value)

    def _validate(self) -> float:
        model = self.averaged_model()
        recipe = self.recipe
        scores = []
        for i in range(recipe.validation_scenes):
            scene = generate_scene(_VALIDATION_SEED + i, recipe.validation_frames, self.network.image_size)
            truth = scene.labels == 1
            tracker = Tracker(model, "recency", num_frames=len(truth))
            masks = [tracker.initialize(scene.images[0], truth[:1])[0]]
            masks += [tracker.track(image)[0] for image in scene.images[1:]]
            scores.append(quality(frame_overlaps(np.stack(masks), truth, np.ones(len(truth), bool), None)))
        return float(np.mean(scores))

    def averaged_model(self) -> Model:
        """The averaged weights as a model of their own."""
        network = build_network(self.config).to(self.device).eval()
        network.load_state_dict(self.averaged)
        return Model("nano", network, self.config, self.device)

    # -------------------------------------------------------------------------------------------------- files

    def _save(self) -> None:
        content = {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
            "recipe": repr(self.recipe),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)  # into a file, torch would not say that the disk is full
        with atomic_path(self.folder / "checkpoint.pt") as temporary:
            temporary.write_bytes(buffer.getbuffer())
        with atomic_path(self.folder / "model.safetensors") as temporary:
            save_file({name: value.cpu().contiguous() for name, value in self.averaged.items()}, temporary)
        with atomic_path(self.folder / "config.yaml") as temporary:
            temporary.write_bytes(_CONFIG.read_bytes())

    def _load(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
            recipe = content["recipe"]
            self.network.load_state_dict(content["network"])
            for optimizer, state in zip(self.optimizers, content["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.averaged = content["averaged"]
            self.progress = Progress(**content["progress"])
        except Exception as error:  # unpickling raises whatever a damaged file makes it raise
            raise Sam2rlError(
                f"{path} is damaged or of another training ({type(error).__name__}): delete {self.folder} to begin anew"
            ) from error
        if recipe != repr(self.recipe):
            raise Sam2rlError(
                f"{self.folder} was begun with another recipe: give the same one to continue, or another folder"
            )

    def _log(self, board: SummaryWriter) -> None:
        progress = self.progress
        row: dict[str, Any] = {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "frames": progress.frames,
            "learning_rate": f"{self.recipe.learning_rate * schedule(self.recipe, progress.step):.3g}",
            "validation": "" if math.isnan(progress.validation) else round(progress.validation, 4),
        }
        names = [f"{task}_{kind}" for task in ("prompt", "clip") for kind in ("masks", "ious", "scores")]
        for name in names:
            row[name] = round(progress.losses[name], 5) if name in progress.losses else ""
            if name in progress.losses:
                board.add_scalar(name, progress.losses[name], progress.step)
        path = self.folder / "progress.csv"
        old: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                old = [line for line in csv.DictReader(file) if int(line["step"]) < progress.step]
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows([*old, row])


def _make_optimizers(network: Network, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden layers, AdamW for the rest.

    With AdamW alone, boxes were answered by filling them for long: after 600 steps of 20 images their mask loss was
    2.34, and with Muon (Jordan et al., 2024) 1.14.

    Raises:
        Sam2rlError: this PyTorch has no Muon.
    """
    if not hasattr(torch.optim, "Muon"):
        raise Sam2rlError(
            f"training nano takes the optimizer Muon, which PyTorch has from 2.9 on and {torch.__version__} has not: "
            "`pip install --upgrade torch`"
        )
    named = dict(network.named_parameters())
    matrices = {
        name: p
        for name, p in named.items()
        if p.ndim == 2 and min(p.shape) >= 16 and "embed" not in name and "token" not in name
    }
    others = [p for name, p in named.items() if name not in matrices]
    decay = recipe.weight_decay
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [
        # As large a change of a matrix as AdamW would make, so that one schedule and one decay serve both. Two, since
        # each is stepped by a thread.
        *(
            torch.optim.Muon(half, lr=recipe.matrix_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            for half in (list(matrices.values())[::2], list(matrices.values())[1::2])
        ),
        torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98)),
    ]


def schedule(recipe: Recipe, step: int) -> float:
    """What the learning rates are multiplied by: linear warm-up to 1, then a cosine to zero."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def stage_at(recipe: Recipe, step: int) -> tuple[Stage, float]:
    """The stage of a step and how much of it is done, 0 to 1."""
    begin = 0.0
    for stage in recipe.stages:
        end = begin + stage.share * recipe.steps
        if step < end or stage is recipe.stages[-1]:
            return stage, (step - begin) / (end - begin)
        begin = end
    raise AssertionError("a recipe has stages")


# ------------------------------------------------------------------------------------------------- clips and losses


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
        forced: probability that a memory is made from the true mask.
        boxes: prompt by boxes instead of points.
        clicks: probability that a later frame is given a point too, as a policy may do it: see `_clicks`.
        wrong: probability that a memory is that of the clip's other object, as drift leaves them.
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
            picked = decoded.likeliest()
            logits = decoded.logits[torch.arange(len(picked), device=device), picked]
            own = resize(logits[:, None], true.shape[-1])[:, 0]
            given = torch.from_numpy(rng.random(len(true)) < forced).to(device)
            visible = torch.where(given, true.flatten(1).any(dim=1), decoded.scores > 0)
            masks = torch.where(given[:, None, None], true.float(), (own * visible[:, None, None]).sigmoid())
            # A frame without the object is blanked, as tracking does it.
            masks = masks * visible[:, None, None]
            made = remember(network, here, decoded, picked, masks, visible, times[:, t])
            row = np.arange(len(true))
            source = torch.from_numpy(np.where(rng.random(len(true)) < wrong, _other(row), row)).to(device)
            bank.append(Remembered(made.memory[source], made.pointer[source], made.times))
    losses["clip"] = Losses(
        sum_of(part.masks for part in parts),
        sum_of(part.ious for part in parts),
        sum_of(part.scores for part in parts),
        sum_of(part.shown for part in parts),
        sum(part.rows for part in parts),
    )
    return losses


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
