"""Stand-ins of Slurm's commands, which say what a test has them say."""

from __future__ import annotations

from pathlib import Path

import pytest


class StandIn:
    """Commands in a folder that is all of the search path but for a shell."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo"):
            self.says(name)

    def says(self, name: str, out: str = "", error: str = "", status: int = 0) -> None:
        path = self.folder / name
        lines = ["#!/bin/sh", f"echo {name} $@ >>{self.folder}/asked", f"printf '{out}'", f"printf '{error}' >&2"]
        path.write_text("\n".join([*lines, f"exit {status}\n"]))
        path.chmod(0o755)

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return StandIn(folder)
