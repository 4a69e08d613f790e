"""What decides a training of nano: its steps, stages and rates, and the two recipes that are given by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sam2rl_tracker.nano.batches import Cut


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Attributes:
        share: Of all steps.
        cut: How the clips of its batches are cut.
        forced: Share of memories that are made from true masks instead of the network's own, at the stage's begin and
            end. Higher values are easier and less like tracking.
    """

    share: float
    cut: Cut
    forced: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Recipe:
    """All that decides a training. A folder keeps its text, so fields keep their names and their order.

    Attributes:
        steps: Of all stages, a batch each. Higher values train longer.
        stages: One after the other.
        seed: Of the first weights, the scenes and all sampling.
        presets: Of the generated scenes, in turn; see `synthetic.presets`.
        learning_rate: Of AdamW: convolutions, embeddings, norms and biases. Higher values learn faster and less stably.
        matrix_rate: Learning rate of Muon: all other matrices. Higher values learn faster and less stably.
        warm_up: Steps over which the learning rates rise to these. Higher values begin more gently.
        weight_decay: Of matrices and convolutions. Higher values keep weights smaller.
        clip_norm: Norm that gradients are cut to. Lower values make bad batches do less harm.
        average: Decay of the moving average of the weights, which is what ships. Higher values average over more steps.
        score_weight: Weight of the object score's loss. Absent frames are few: SAM 2's 1 is too little on short
            trainings.
        clicks: Share of later frames that are given a point too, as a policy may do it.
        wrong: Share of memories that are another object's. Higher values teach to trust single memories less.
        prompt_weight: Of the task on single images, beside clips. Higher values favour it over them.
        window: Blocks of 16 scenes that clips are cut from. Higher values vary more, and take more memory.
        steps_per_block: After how many steps one of them is replaced. Lower values vary more, and generate more.
        validate_every: Steps between measurements of the quality on unseen scenes.
        validation_scenes: How many these are.
        validation_frames: Of each.
    """

    steps: int
    stages: tuple[Stage, ...]
    seed: int = 0
    presets: tuple[str, ...] = ("default", "default", "easy", "busy")
    learning_rate: float = 5e-4
    matrix_rate: float = 3e-3
    warm_up: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.999
    score_weight: float = 3.0
    clicks: float = 0.1
    wrong: float = 0.1
    prompt_weight: float = 0.5
    window: int = 12
    steps_per_block: int = 60
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
