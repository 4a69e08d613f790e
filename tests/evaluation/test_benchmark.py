"""A benchmark's document, as records and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("file", ["docs/benchmark/default.json", "tests/data/before/benchmark/benchmark.json"])
def test_a_document_becomes_the_same_json_again(file: str) -> None:
    content = json.loads((ROOT / file).read_text(encoding="utf-8"))
    document = BenchmarkDocument.from_json(content)
    assert json.loads(json.dumps(document.as_json())) == content
    assert list(document.as_json()) == list(content)
    assert document.claims.agent_gain.mean == content["claims"]["agent_gain"][0]
    assert document.methods["SAM2"].quality == content["methods"]["SAM2"]["quality"]
