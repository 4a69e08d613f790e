"""The command line as a user types it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from sam2rl_tracker.cli.main import main

Run = Callable[..., tuple[int, str, str]]


def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What runs `sam2rl ARGUMENTS`: (exit status, stdout, stderr in one line)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sam2rl", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, " ".join(err.split())

    return call
