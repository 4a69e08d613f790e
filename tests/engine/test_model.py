"""From a name to a model: its formats, its hash, and random ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam2rl_tracker.engine import Model, load_model, random_model
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS
from sam2rl_tracker.errors import Sam2rlError

NANO = PACKAGED_MODELS / "nano"


def test_formats_give_the_same_model(folder: Path, nano: Model) -> None:
    weights = {name: value.clone() for name, value in nano.network.state_dict().items()}
    torch.save({"model": weights}, folder / "checkpoint.pt")
    loaded = load_model(str(folder), "cpu")
    assert loaded.hash == nano.hash
    (folder / "checkpoint.pt").unlink()
    save_file(weights, folder / "model.safetensors")
    assert load_model(str(folder), "cpu").hash == nano.hash


def test_another_weight_is_another_hash(folder: Path, nano: Model) -> None:
    weights = {name: value.clone() for name, value in nano.network.state_dict().items()}
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, folder / "model.safetensors")
    assert load_model(str(folder), "cpu").hash != nano.hash


def test_a_hub_model_is_loaded_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nano: Model) -> None:
    """The real loading code on a cache laid out as the hub's client lays it out."""
    snapshot = tmp_path / "models--somebody--small" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    for name in ("config.yaml", "model.safetensors"):
        shutil.copyfile(NANO / name, snapshot / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_model("somebody/small", "cpu").hash == nano.hash


@pytest.mark.slow
def test_random_models_follow_their_seed_and_leave_the_generator_alone() -> None:
    state = torch.random.get_rng_state()
    one, same, other = (random_model("sam2.1_hiera_tiny", "cpu", seed, input_size=128) for seed in (0, 0, 1))
    assert one.hash == same.hash != other.hash
    assert one.network.image_size == 128
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(Sam2rlError, match=r"An input size is a multiple of 32 pixels, not 100\."):
        random_model("sam2.1_hiera_tiny", "cpu", input_size=100)
