"""Recipes: their schedule, and that folders begun by an earlier version know them again."""

from __future__ import annotations

import hashlib

import pytest

from sam2rl_tracker.nano.batches import Cut
from sam2rl_tracker.nano.recipe import RECIPES, Recipe, Stage, schedule, stage_at


def test_the_schedule() -> None:
    stages = (Stage(0.5, Cut(2, 1, 1)), Stage(0.5, Cut(2, 3, 4)))
    recipe = Recipe(steps=100, stages=stages, warm_up=10)
    rates = [schedule(recipe, step) for step in range(101)]
    assert rates[9] == max(rates) == 1
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0)
    assert stage_at(recipe, 0) == (recipe.stages[0], 0)
    assert stage_at(recipe, 50) == (recipe.stages[1], 0)
    assert stage_at(recipe, 99)[1] == pytest.approx(0.98)
    for recipe in RECIPES.values():
        assert sum(stage.share for stage in recipe.stages) == pytest.approx(1)


def test_a_recipe_reads_as_it_always_did() -> None:
    """A checkpoint holds its recipe's text: with another one, trainings that were begun before do not go on."""
    assert repr(RECIPES["quick"]) == (
        "Recipe(steps=120, stages=(Stage(share=0.5, cut=Cut(clips=16, frames=1, longest=1, shift=0.0, cuts=0.0), "
        "forced=(0.0, 0.0)), Stage(share=0.5, cut=Cut(clips=6, frames=3, longest=8, shift=0.6, cuts=0.05), "
        "forced=(1.0, 0.5))), seed=0, presets=('default', 'default', 'easy', 'busy'), learning_rate=0.0005, "
        "matrix_rate=0.003, warm_up=10, weight_decay=0.05, clip_norm=1.0, average=0.97, score_weight=3.0, clicks=0.1, "
        "wrong=0.1, prompt_weight=0.5, window=2, steps_per_block=60, validate_every=60, validation_scenes=2, "
        "validation_frames=20)"
    )
    assert hashlib.sha256(repr(RECIPES["nano"]).encode()).hexdigest()[:16] == "903bb111814e8150"
