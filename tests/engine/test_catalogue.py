"""Where models are found, and what is said where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam2rl_tracker.engine import HUB_MODELS, load_model, packaged_models, resolve_model
from sam2rl_tracker.engine.catalogue import hub_configuration
from sam2rl_tracker.errors import Sam2rlError


def test_unknown_models_and_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Sam2rlError, match=r"'nonsense' is unknown: give one of nano, .*sam2\.1_hiera_large"):
        load_model("nonsense")
    with pytest.raises(Sam2rlError, match="found 0 files of weights"):
        load_model(str(folder))
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(Sam2rlError, match=r"config\.yaml is missing"):
        load_model(str(tmp_path))


@pytest.mark.slow  # the client tries again and again
def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(Sam2rlError, match=r"could not be fetched from the Hugging Face hub.*give that folder"):
        resolve_model("sam2.1_hiera_tiny")
    with pytest.raises(Sam2rlError, match="sam2rl model fetch"):
        resolve_model("sam2.1_hiera_tiny", download=False)


def test_every_named_model_has_its_files() -> None:
    for name in packaged_models():
        files = resolve_model(name, download=False)
        assert files.config.is_file()
        assert files.weights.is_file()
    for name in HUB_MODELS:
        assert hub_configuration(name).is_file()


@pytest.mark.parametrize("name", ["a/b/c", "./a", "/a", "~/a", "a/", "a"])
def test_a_path_is_not_taken_for_a_repository(name: str) -> None:
    with pytest.raises(Sam2rlError, match=rf"^Model '{name}' is unknown: .*\.$"):
        resolve_model(name)
