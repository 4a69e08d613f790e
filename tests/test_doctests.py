"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import sam2rl_tracker

PACKAGE = Path(sam2rl_tracker.__file__).parent
MODULES = [
    ".".join(("sam2rl_tracker", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module: str) -> None:
    ran = doctest.testmod(importlib.import_module(module))
    assert ran.attempted > 0
    assert ran.failed == 0  # what went wrong is in the captured output


def test_the_trackers_example_is_one_of_them() -> None:
    assert "sam2rl_tracker.tracking.tracker" in MODULES
    assert "+SKIP" not in "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
