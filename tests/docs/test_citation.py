"""CITATION.cff is what the citation file format asks for, and names this version."""

from __future__ import annotations

from pathlib import Path

import yaml

from sam2rl_tracker import __version__

ROOT = Path(__file__).parents[2]


def test_the_citation_is_complete_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)  # the format's own minimum
    assert citation["type"] == "software"
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    (identifier,) = paper["identifiers"]
    assert identifier["value"] in (ROOT / "docs" / "policies" / "sam2rl.md").read_text(encoding="utf-8")
