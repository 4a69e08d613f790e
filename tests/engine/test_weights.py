"""Weights: nothing in a file is ever run, and all of it must fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sam2rl_tracker.engine import Model, load_model
from sam2rl_tracker.errors import Sam2rlError


def test_a_pickle_with_code_is_refused_and_not_run(folder: Path, malicious: Any) -> None:
    torch.save({"model": malicious}, folder / "model.pt")
    with pytest.raises(Sam2rlError, match=r"was refused.*nothing in it was run"):
        load_model(str(folder), "cpu")
    (folder / "model.pt").write_bytes(pickle.dumps(malicious, protocol=2))
    with pytest.raises(Sam2rlError, match=r"model\.pt"):
        load_model(str(folder), "cpu")
    assert not malicious.trap.exists()


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
    ],
)
def test_damaged_files(folder: Path, file: str, content: bytes, message: str) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(Sam2rlError, match=message):
        load_model(str(folder), "cpu")


def test_a_file_of_something_else(folder: Path) -> None:
    torch.save({"model": {"step": 1}}, folder / "model.pt")
    with pytest.raises(Sam2rlError, match=r"is no state dictionary: expected tensors by name\.$"):
        load_model(str(folder), "cpu")
