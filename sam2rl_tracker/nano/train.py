"""Train `nano`, a complete SAM 2 of small dimensions, from scratch on generated scenes.

First single images (a point or a box in, a mask out) teach the encoder and the decoder to see. Then clips that grow
longer teach memory: the first frame's mask is given, every later one is predicted from memories of earlier ones. Those
memories come from the true masks at first and from the network's own predictions in the end, as in tracking. Any bank
is practised, not only the newest frames: each prediction attends to a random choice of them.

Ctrl-C, or any other end: the same call goes on from the last checkpoint, which is at most a minute old.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.tensorboard import SummaryWriter

from sam2rl_tracker.engine import Model, resolve_device
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS
from sam2rl_tracker.engine.configuration import build_network, read_config
from sam2rl_tracker.engine.threads import one_thread
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.evaluation.evaluate import evaluate_policy
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.media.locks import LOCK
from sam2rl_tracker.nano.batches import Clips, open_source
from sam2rl_tracker.nano.clip_losses import clip_losses
from sam2rl_tracker.nano.losses import Losses
from sam2rl_tracker.nano.optimizers import average_of, make_optimizers
from sam2rl_tracker.nano.recipe import Recipe, Stage, schedule, stage_at
from sam2rl_tracker.policies import make_policy
from sam2rl_tracker.runs.folder import CHECKPOINT, PROGRESS, RunFolder, locked
from sam2rl_tracker.synthetic.scenes import generate_scene

_CONFIG = PACKAGED_MODELS / "nano" / "config.yaml"
_VALIDATION_SEED = 9_000_000  # training scenes have 32-bit hashes for seeds, all other scenes small numbers
_SAVE_EVERY = 60.0  # seconds
_LOG_EVERY = 25  # steps
# A CPU works on a batch in two halves, each by one thread: 1.3 to 1.6 times as fast as two threads that share every
# operation.
_CPU_PARTS = 2
_LOSSES = [f"{task}_{kind}" for task in ("prompt", "clip") for kind in ("masks", "ious", "scores")]


@dataclass
class NanoProgress:
    """Where a training stands.

    Attributes:
        step: How many are done.
        seconds: Over all sessions.
        frames: Images encoded.
        losses: {task and kind: moving average}.
        validation: Mean quality of the averaged weights on unseen scenes; nan before it was first measured.
    """

    step: int = 0
    seconds: float = 0.0
    frames: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    validation: float = float("nan")


def train_nano(
    folder: Path,
    recipe: Recipe,
    device: str | None = None,
    on_step: Callable[[NanoProgress], None] = lambda progress: None,
) -> NanoProgress:
    """Train, or continue a training that was interrupted.

    The folder gets `config.yaml` and `model.safetensors` (the averaged weights: a folder that `--model` takes),
    `checkpoint.pt`, `progress.csv` and TensorBoard's events.

    Raises:
        Sam2rlError: Another training is at work in the folder, it was begun with another recipe, its checkpoint is
            damaged, it holds a model or a table that comes from elsewhere, or it cannot be written to.
    """
    _refuse_others(folder)
    with locked(folder, "training"):
        return _Training(RunFolder(folder, counter="step"), recipe, resolve_device(device)).run(on_step)


def _refuse_others(folder: Path) -> None:
    """A model that was not trained here must not be replaced. The lock stands in every folder of a training."""
    if (folder / LOCK).exists() or (folder / CHECKPOINT).exists():
        return
    for name in ("model.safetensors", "config.yaml", PROGRESS, "curves.png"):
        if (folder / name).exists():
            raise Sam2rlError(
                f"{folder / name} was not made by a training in this folder, and would be overwritten: give a new "
                "folder."
            )


class _Training:
    def __init__(self, folder: RunFolder, recipe: Recipe, device: torch.device):
        self.folder, self.recipe, self.device = folder, recipe, device
        torch.manual_seed(recipe.seed)
        self.config = read_config(_CONFIG)
        self.network = build_network(self.config).to(device).train()
        self.average = average_of(self.network, recipe.average)
        self.optimizers = make_optimizers(self.network, recipe)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.parts = _CPU_PARTS if device.type == "cpu" else 1
        self.progress = NanoProgress()
        self.folder.load_checkpoint(self._restore, device)

    def run(self, on_step: Callable[[NanoProgress], None]) -> NanoProgress:
        recipe, progress = self.recipe, self.progress
        source = open_source(
            recipe.seed, self.network.image_size, recipe.presets, recipe.window, recipe.steps_per_block
        )
        saved = time.monotonic()
        with (
            one_thread(),
            ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(1,)) as self.pool,
            source as scenes,
            SummaryWriter(str(self.folder.path), purge_step=progress.step + 1) as board,
        ):
            while progress.step < recipe.steps:
                started = time.perf_counter()
                stage, done = stage_at(recipe, progress.step)
                self._step(scenes.clips(progress.step, stage.cut), stage, done)
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
        """Learn from a batch, `done` being how much of the stage is behind it."""
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
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        if torch.isfinite(norm):  # one bad batch must not end hours of training
            list(self.pool.map(lambda optimizer: optimizer.step(), self.optimizers))
        self.average.update_parameters(self.network)
        self._note(results[0][1])

    def _gradients(self, part: tuple[int, Clips], forced: float) -> tuple[tuple[Tensor | None, ...], dict[str, Losses]]:
        """Gradients of `self.parameters` on a part of the batch, and the losses that they are of."""
        recipe, step = self.recipe, self.progress.step
        number, clips = part
        rng = np.random.default_rng((recipe.seed, step, number))
        # Threads would share the cache of weights, and with it a graph, whose sums then depend on who was first.
        with torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=self.parts == 1):
            losses = clip_losses(
                self.network,
                clips,
                forced=forced,
                boxes=step % 2 == 0,
                rng=rng,
                clicks=recipe.clicks,
                wrong=recipe.wrong,
            )
        total = sum(
            (recipe.prompt_weight if name == "prompt" and len(losses) > 1 else 1.0) * loss.total(recipe.score_weight)
            for name, loss in losses.items()
        )
        assert isinstance(total, Tensor)
        return torch.autograd.grad(total, self.parameters, allow_unused=True), losses

    def _note(self, losses: dict[str, Losses]) -> None:
        """Add a step's losses to their moving averages."""
        for task, loss in losses.items():
            shown = max(1, int(loss.shown))
            means = {"masks": loss.masks / shown, "ious": loss.ious / shown, "scores": loss.scores / loss.rows}
            for kind, value in means.items():
                key, now = f"{task}_{kind}", float(value.detach())
                if math.isfinite(now):
                    self.progress.losses[key] = 0.98 * self.progress.losses.get(key, now) + 0.02 * now

    def _validate(self) -> float:
        """Mean quality of the averaged weights by SAM 2's own rule on unseen scenes."""
        model = Model("nano", deepcopy(self.average.module).eval(), self.config, self.device)
        recipe = self.recipe
        qualities = []
        for i in range(recipe.validation_scenes):
            scene = generate_scene(_VALIDATION_SEED + i, recipe.validation_frames, self.network.image_size)
            clip = Clip(list(scene.images), scene.labels == 1, np.ones(recipe.validation_frames, dtype=bool))
            qualities.append(evaluate_policy(model, clip, make_policy("recency")))
        return float(np.mean(qualities))

    # -------------------------------------------------------------------------------------------------- files

    def _save(self) -> None:
        averaged = self.average.module.state_dict()
        self.folder.save_checkpoint(
            {
                "network": self.network.state_dict(),
                "averaged": averaged,
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "progress": asdict(self.progress),
                "recipe": repr(self.recipe),
            }
        )
        with atomic_path(self.folder.path / "model.safetensors") as temporary:
            save_file({name: value.cpu().contiguous() for name, value in averaged.items()}, temporary)
        with atomic_path(self.folder.path / "config.yaml") as temporary:
            temporary.write_bytes(_CONFIG.read_bytes())

    def _restore(self, content: dict[str, Any]) -> None:
        if content["recipe"] != repr(self.recipe):
            raise Sam2rlError(
                f"{self.folder.path} was begun with another recipe: give the same one to continue, or another folder."
            )
        self.network.load_state_dict(content["network"])
        for optimizer, state in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.progress = NanoProgress(**content["progress"])
        self.average.module.load_state_dict(content["averaged"])
        self.average.n_averaged.fill_(self.progress.step + 1)

    def _log(self, board: SummaryWriter) -> None:
        progress = self.progress
        row: dict[str, Any] = {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "frames": progress.frames,
            "learning_rate": f"{self.recipe.learning_rate * schedule(self.recipe, progress.step):.3g}",
            "validation": "" if math.isnan(progress.validation) else round(progress.validation, 4),
        }
        for name in _LOSSES:
            row[name] = round(progress.losses[name], 5) if name in progress.losses else ""
            if name in progress.losses:
                board.add_scalar(name, progress.losses[name], progress.step)
        self.folder.add_progress(row)
