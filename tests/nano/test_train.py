"""The training of nano: interrupted and resumed, its schedule, and that it learns."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from sam2rl_tracker.engine import load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.nano import train as training
from sam2rl_tracker.nano.batches import Cut
from sam2rl_tracker.nano.train import RECIPES, Progress, Recipe, Stage, schedule, stage_at, train_nano
from sam2rl_tracker.report.nano_curves import plot_training

TINY = Recipe(
    steps=4,
    stages=(
        Stage(0.5, Cut(clips=2, frames=1, longest=1)),
        Stage(0.5, Cut(clips=2, frames=3, longest=4, shift=0.5, cuts=0.3), forced=(1.0, 0.0)),
    ),
    warm_up=2,
    window=1,
    validate_every=4,
    validation_scenes=1,
    validation_frames=4,
)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_nano(tmp_path / "whole", TINY, "cpu")
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)

    def interrupt(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_nano(tmp_path / "halves", TINY, "cpu", interrupt)
    steps: list[int] = []
    halves = train_nano(tmp_path / "halves", TINY, "cpu", lambda progress: steps.append(progress.step))
    assert steps == [4]
    assert halves.validation == whole.validation
    one, other = (load_model(str(tmp_path / name), "cpu") for name in ("whole", "halves"))
    assert one.hash == other.hash
    assert train_nano(tmp_path / "whole", TINY, "cpu").step == 4  # finished: nothing is done again


@pytest.mark.slow
def test_trouble_with_a_folder(tmp_path: Path) -> None:
    done = dataclasses.replace(TINY, steps=1, stages=TINY.stages[:1])
    train_nano(tmp_path, done, "cpu")
    with pytest.raises(Sam2rlError, match="was begun with another recipe"):
        train_nano(tmp_path, dataclasses.replace(done, seed=1), "cpu")
    with pytest.raises(Sam2rlError, match="has no progress"):
        plot_training(tmp_path / "nowhere", tmp_path / "curves.png")
    with FileLock(tmp_path / ".lock"), pytest.raises(Sam2rlError, match="another training is at work"):
        train_nano(tmp_path, done, "cpu")
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(Sam2rlError, match="is damaged or of another training"):
        train_nano(tmp_path, done, "cpu")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Sam2rlError, match="cannot be written"):
        train_nano(tmp_path / "file" / "run", done, "cpu")


def test_the_schedule() -> None:
    recipe = dataclasses.replace(TINY, steps=100, warm_up=10)
    rates = [schedule(recipe, step) for step in range(101)]
    assert rates[9] == max(rates) == 1
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0)
    assert stage_at(recipe, 0) == (recipe.stages[0], 0)
    assert stage_at(recipe, 50) == (recipe.stages[1], 0)
    assert stage_at(recipe, 99)[1] == pytest.approx(0.98)
    for recipe in RECIPES.values():
        assert sum(stage.share for stage in recipe.stages) == pytest.approx(1)


@pytest.mark.parametrize("t", [1, 2, 5, 9])
def test_banks_are_drawn_from_the_past(t: int) -> None:
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(50):
        bank = training._random_bank(4, t, rng)
        sizes.add(bank.shape[1])
        for row in bank.tolist():
            assert row == sorted(set(row), reverse=True)
            assert all(1 <= place < t for place in row)
    assert max(sizes) == min(t - 1, 6)
    assert min(sizes) == 0 or t == 1


def test_prompts_lie_on_their_masks() -> None:
    masks = torch.zeros(2, 32, 32, dtype=torch.bool)
    masks[0, 4:9, 10:20] = True
    masks[1, 30, 3] = True
    points, labels = training._prompts(masks, False, np.random.default_rng(0))
    for (point,), mask in zip(points.long().tolist(), masks, strict=True):
        assert mask[point[1], point[0]]
    assert labels.tolist() == [[1], [1]]
    boxes, labels = training._prompts(masks, True, np.random.default_rng(0))
    assert labels.tolist() == [[2, 3], [2, 3]]
    assert (boxes[0] - torch.tensor([[10.0, 4.0], [20.0, 9.0]])).abs().max() < 2


def test_clicks_lie_where_the_object_is_or_was() -> None:
    now, before = torch.zeros(2, 400, 32, 32, dtype=torch.bool)
    now[:300, 2:4], before[100:, 20:22] = True, True  # gone from the last 100, not there yet on the first 100
    points, labels = training._clicks(now, before, 0.5, np.random.default_rng(0))
    given, row = labels[:, 0] > 0, points[:, 0, 1].long()
    assert not given[300:].any()
    assert 0.4 < given[:300].float().mean() < 0.6
    assert set(row[:100][given[:100]].tolist()) == {2, 3}
    assert set(row[100:300][given[100:300]].tolist()) == {2, 3, 20, 21}
    assert set(labels.unique().tolist()) == {-1, 1}
    assert (training._clicks(now, before, 0.0, np.random.default_rng(0))[1] == -1).all()


def test_the_other_object_is_one_of_the_same_clip() -> None:
    assert training._other(np.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.slow
def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--quick`, on fewer scenes: the masks from prompts get better, and tracking beats an empty answer's losses."""
    monkeypatch.setattr(training, "_LOG_EVERY", 10)
    train_nano(tmp_path, RECIPES["quick"], "cpu")
    with (tmp_path / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["prompt_masks"]) < 0.6 * float(rows[0]["prompt_masks"])
    assert float(rows[-1]["prompt_ious"]) < 0.5 * float(rows[0]["prompt_ious"])
    assert plot_training(tmp_path, tmp_path / "curves.png").stat().st_size > 10_000
    model = load_model(str(tmp_path), "cpu")
    assert model.parameters > 3e6
