"""Run folders: one process at a time, settings and checkpoints that are kept, and tables that stay legible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.folder import RunFolder, locked, read_progress


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, counter="step")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with (
        locked(folder, "training"),
        pytest.raises(Sam2rlError, match=r"^Another training is at work in .*run: wait for it, or stop it\.$"),
        locked(folder, "training"),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(Sam2rlError, match=r"cannot be written \(.*\): give a folder you own\.$"),
        locked(tmp_path / "file" / "run", "training"),
    ):
        pass
    with (
        pytest.raises(Sam2rlError, match=r"cannot be written \(disk full\): what was finished is kept\.$"),
        locked(folder, "training"),
    ):
        raise OSError(28, "disk full")


def test_settings_are_compared_once_there_is_a_checkpoint(run: RunFolder) -> None:
    assert run.keep_settings({"rate": 1}, {}) == []
    assert run.keep_settings({"rate": 2}, {}) == []  # nothing was saved that these would not fit
    run.save_checkpoint({})
    assert run.keep_settings({"rate": 2}, {}) == []
    assert run.keep_settings({"rate": 3}, {}) == ["rate=2"]
    assert run.keep_settings({"rate": 2, "later": True}, {}) == ["later=None"]
    assert run.keep_settings({"rate": 2, "later": True}, {"later": True}) == []
    (run.path / "settings.json").write_text("[1]")
    with pytest.raises(Sam2rlError, match=r"settings\.json is damaged: delete .* to begin anew\.$"):
        run.keep_settings({"rate": 2}, {})


def test_a_checkpoint_comes_back(run: RunFolder) -> None:
    found: list[dict[str, Any]] = []
    assert not run.load_checkpoint(found.append)
    run.save_checkpoint({"weights": torch.arange(3), "step": 7, "texts": ["a"]})
    assert run.load_checkpoint(found.append)
    (content,) = found
    assert content["weights"].tolist() == [0, 1, 2]
    assert (content["step"], content["texts"]) == (7, ["a"])

    def refuse(content: dict[str, Any]) -> None:
        raise Sam2rlError("Mine.")

    with pytest.raises(Sam2rlError, match=r"^Mine\.$"):
        run.load_checkpoint(refuse)
    with pytest.raises(Sam2rlError, match=r"damaged or of another training \(KeyError\): delete"):
        run.load_checkpoint(lambda content: content["nothing"])


def test_a_checkpoint_is_never_executed(run: RunFolder) -> None:
    torch.save({"path": run.path}, run.path / "checkpoint.pt")  # an object that unpickling would call a function for
    with pytest.raises(Sam2rlError, match="damaged or of another training"):
        run.load_checkpoint(lambda content: None)


def test_progress_is_a_table_that_goes_on(run: RunFolder) -> None:
    assert len(run.progress()) == 0
    for step, loss in [(1, 0.5), (2, 0.25), (3, 0.125)]:
        run.add_progress({"step": step, "loss": loss, "validation": ""})
    run.add_progress({"step": 2, "loss": 0.3, "validation": 0.9})  # the run went on from step 1
    table = run.progress()
    assert table.columns["step"].tolist() == [1, 2]
    assert table.columns["loss"].tolist() == [0.5, 0.3]
    assert np.isnan(table.columns["validation"][0])
    assert (run.path / "progress.csv").read_text() == "step,loss,validation\n1,0.5,\n2,0.3,0.9\n"


def test_what_is_legible_of_a_damaged_table(run: RunFolder) -> None:
    path = run.path / "progress.csv"
    path.write_text("step,loss\n1,0.5\nnonsense\n3,0.1,7,8\n4\n")
    table = run.progress()
    assert table.columns["step"].tolist() == [1, 3, 4]
    assert table.columns["loss"].tolist()[:2] == [0.5, 0.1]
    assert np.isnan(table.columns["loss"][2])
    for text in (b"nonsense\n1,2\n", b"\xff\xfe\x00", b""):
        path.write_bytes(text)
        assert len(read_progress(path, "step")) == 0
    run.add_progress({"step": 1, "loss": 1.0})
    assert len(run.progress()) == 1
