"""Where no Slurm can be started, its tests are skipped with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import slurm_cluster
from slurm_cluster import start_cluster


@pytest.mark.parametrize(
    ("user", "script", "reason"),
    [
        (1000, "exit 0", "a Slurm is started by root"),
        (0, "echo no slurmctld here >&2; exit 1", "does not start a Slurm: no slurmctld here"),
        (0, "echo n[1-2] unknown", "does not start a Slurm: n[1-2] unknown"),
        (0, "echo n[1-2] idle", "another Slurm has the ports"),
        (0, None, "does not start a Slurm: [Errno 2] No such file"),
    ],
)
def test_a_slurm_that_cannot_start(
    user: int, script: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(psutil, "process_iter", lambda attributes: [])  # one that other tests use
    start = tmp_path / "start"
    if script is not None:
        start.write_text(f"#!/bin/sh\n{script}\n")
        start.chmod(0o755)
    with pytest.raises(pytest.skip.Exception) as skipped:
        start_cluster(str(start), tmp_path)
    assert reason in str(skipped.value)


def test_none_is_started_beside_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(slurm_cluster, "CONTROLLER", psutil.Process().name())
    with pytest.raises(pytest.skip.Exception, match="another Slurm is at work"):
        start_cluster("start", tmp_path)
