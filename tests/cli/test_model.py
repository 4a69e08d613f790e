"""`sam2rl model`."""

from __future__ import annotations

from commands import Run


def test_model_commands(run: Run) -> None:
    status, out, _ = run("model", "list")
    assert status == 0
    assert "nano" in out
    assert "sam2.1_hiera_large" in out
    status, out, _ = run("model", "info", "nano")
    assert status == 0
    assert "128 x 128 pixels" in out
    assert run("model", "info", "nonsense")[0] == 2
