"""Configurations: they may name nothing but SAM 2's own classes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from sam2rl_tracker.engine import load_model
from sam2rl_tracker.engine.catalogue import PACKAGED_MODELS
from sam2rl_tracker.errors import Sam2rlError

NANO = PACKAGED_MODELS / "nano"


@pytest.mark.parametrize("target", ["os.system", "sam2.modeling.sam2_base.torch.load", "torch.nn.Linear"])
def test_a_configuration_may_only_name_sam2s_classes(folder: Path, target: str) -> None:
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("sam2.modeling.memory_encoder.MemoryEncoder", target, 1))
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(Sam2rlError, match="only SAM 2's own classes"):
        load_model(str(folder), "cpu")


def test_a_configuration_cannot_have_another_file_unpickled(
    folder: Path, malicious: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAM 2's Hiera loads `weights_path` by itself, before PyTorch 2.6 with code and all."""
    (folder / "evil.pt").write_bytes(pickle.dumps(malicious))
    text = (folder / "config.yaml").read_text()
    line = "_target_: sam2.modeling.backbones.hieradet.Hiera"
    assert line in text
    indent = text[: text.index(line)].rsplit("\n", 1)[1]
    (folder / "config.yaml").write_text(text.replace(line, f"{line}\n{indent}weights_path: {folder / 'evil.pt'}"))
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    load_model(str(folder), "cpu")
    assert not malicious.trap.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [", "is not valid YAML|cannot be read"),
        (b"other: 1", "no section `model`"),
        (b"\xff", "cannot be read"),
    ],
)
def test_damaged_files(folder: Path, content: bytes, message: str) -> None:
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(Sam2rlError, match=message):
        load_model(str(folder), "cpu")


def test_a_configuration_that_sam2_does_not_take(folder: Path) -> None:
    shutil.copyfile(NANO / "model.safetensors", folder / "model.safetensors")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("image_size: 128", "image_size: 128\n  colour: red"))
    with pytest.raises(Sam2rlError, match=r"^The model's configuration cannot be built \(.*colour.*\)\.$"):
        load_model(str(folder), "cpu")
