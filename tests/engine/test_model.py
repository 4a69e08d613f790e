"""Loading models: what exists, what is refused, and that nothing in a file is ever run."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam2rl_tracker.engine import Model, load_model, resolve_model
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS
from sam2rl_tracker.errors import Sam2rlError

NANO = PACKAGED_MODELS / "nano"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nano's configuration and no weights."""
    shutil.copyfile(NANO / "config.yaml", tmp_path / "config.yaml")
    return tmp_path


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


class Malicious:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.target,))


def test_a_pickle_with_code_is_refused_and_not_run(folder: Path) -> None:
    trap = folder / "trap"
    torch.save({"model": Malicious(trap)}, folder / "model.pt")
    with pytest.raises(Sam2rlError, match=r"was refused.*nothing in it was run"):
        load_model(str(folder), "cpu")
    (folder / "model.pt").write_bytes(pickle.dumps(Malicious(trap)))
    with pytest.raises(Sam2rlError, match=r"model\.pt"):
        load_model(str(folder), "cpu")
    assert not trap.exists()


@pytest.mark.parametrize("target", ["os.system", "sam2.modeling.sam2_base.torch.load", "torch.nn.Linear"])
def test_a_configuration_may_only_name_sam2s_classes(folder: Path, target: str) -> None:
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("sam2.modeling.memory_encoder.MemoryEncoder", target, 1))
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(Sam2rlError, match="only SAM 2's own classes"):
        load_model(str(folder), "cpu")


def test_a_configuration_cannot_have_another_file_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM 2's Hiera loads `weights_path` by itself, before PyTorch 2.6 with code and all."""
    trap = folder / "trap"
    (folder / "evil.pt").write_bytes(pickle.dumps(Malicious(trap)))
    text = (folder / "config.yaml").read_text()
    line = "_target_: sam2.modeling.backbones.hieradet.Hiera"
    assert line in text
    indent = text[: text.index(line)].rsplit("\n", 1)[1]
    (folder / "config.yaml").write_text(text.replace(line, f"{line}\n{indent}weights_path: {folder / 'evil.pt'}"))
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    load_model(str(folder), "cpu")
    assert not trap.exists()


def test_weights_that_do_not_fit(folder: Path, nano: Model) -> None:
    weights = {name: value.clone() for name, value in nano.network.state_dict().items()}
    name = sorted(weights)[0]
    save_file({**weights, name: torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(Sam2rlError, match=r"does not fit.*1 of another shape.*\[3\] instead of"):
        load_model(str(folder), "cpu")
    save_file({"stranger": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(Sam2rlError, match=r"does not fit its configuration: \d+ weights missing, 1 unknown"):
        load_model(str(folder), "cpu")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"not weights", "cannot be read as weights"),
        ("model.pt", b"not weights", r"cannot be read as weights|was refused"),
        ("config.yaml", b"model: [", "not valid YAML|cannot be read"),
        ("config.yaml", b"other: 1", "no section `model`"),
    ],
)
def test_damaged_files(folder: Path, file: str, content: bytes, message: str) -> None:
    if file == "config.yaml":
        shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    (folder / file).write_bytes(content)
    with pytest.raises(Sam2rlError, match=message):
        load_model(str(folder), "cpu")


def test_unknown_models_and_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Sam2rlError, match=r"'nonsense' is unknown: give one of nano, .*sam2\.1_hiera_large"):
        load_model("nonsense")
    with pytest.raises(Sam2rlError, match="found 0 files of weights"):
        load_model(str(folder))
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(Sam2rlError, match=r"config\.yaml is missing"):
        load_model(str(tmp_path))


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(Sam2rlError, match=r"could not be fetched from the Hugging Face hub.*give that folder"):
        resolve_model("sam2.1_hiera_tiny")
    with pytest.raises(Sam2rlError, match="sam2rl model fetch"):
        resolve_model("sam2.1_hiera_tiny", download=False)


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
