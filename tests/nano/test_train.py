"""The training of nano: interrupted and resumed, and that it learns."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from filelock import FileLock

from sam2rl_tracker.engine import load_model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.nano import train as training
from sam2rl_tracker.nano.batches import Cut
from sam2rl_tracker.nano.recipe import RECIPES, Recipe, Stage
from sam2rl_tracker.nano.train import NanoProgress, train_nano
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

    def interrupt(progress: NanoProgress) -> None:
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
def test_the_same_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    short = dataclasses.replace(TINY, steps=2, validate_every=2)
    one, other = (train_nano(tmp_path / name, short, "cpu") for name in ("one", "other"))
    assert one.validation == other.validation
    first, second = (load_model(str(tmp_path / name), "cpu") for name in ("one", "other"))
    assert first.hash == second.hash != load_model("nano", "cpu").hash


@pytest.mark.slow
def test_trouble_with_a_folder(tmp_path: Path) -> None:
    done = dataclasses.replace(TINY, steps=1, stages=TINY.stages[:1])
    train_nano(tmp_path, done, "cpu")
    with pytest.raises(Sam2rlError, match="was begun with another recipe"):
        train_nano(tmp_path, dataclasses.replace(done, seed=1), "cpu")
    with pytest.raises(Sam2rlError, match="has no progress"):
        plot_training(tmp_path / "nowhere", tmp_path / "curves.png")
    with FileLock(tmp_path / ".lock"), pytest.raises(Sam2rlError, match="Another training is at work"):
        train_nano(tmp_path, done, "cpu")
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(Sam2rlError, match="is damaged or of another training"):
        train_nano(tmp_path, done, "cpu")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Sam2rlError, match="cannot be written"):
        train_nano(tmp_path / "file" / "run", done, "cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml", "progress.csv", "curves.png"])
def test_a_folder_with_a_model_from_elsewhere_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Sam2rlError, match=rf"{name} was not made by a training in this folder"):
        train_nano(tmp_path, TINY, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == [name]


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
