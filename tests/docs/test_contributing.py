"""What the pages for developers name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (ROOT, ROOT / "sam2rl_tracker")  # that paths are relative to


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/how-it-works.md"])
def test_files_that_are_named_are_there(page: str) -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", (ROOT / page).read_text())
    assert len(named) > 20
    missing = [path for path in named if not any((place / path).exists() for place in PLACES)]
    assert not [path for path in missing if "NAME" not in path]


def test_every_script_of_the_documents_is_listed() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert not [path.name for path in (ROOT / "docs").glob("*.py") if f"`docs/{path.name}`" not in text]
