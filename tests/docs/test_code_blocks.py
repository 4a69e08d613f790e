"""The Python examples of the pages on policies and on the environment run, and do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import Video, load_video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.vot.workspace import generate

DOCS = Path(__file__).parents[2] / "docs"
FRAMES = 24


def examples(page: str) -> list[str]:
    """The text of every Python block of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run(source: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(source, "<example>", "exec"), names)
    return names


def track(model: Model, policy: Any, video: Video) -> list[tuple[np.ndarray, list[dict[str, Any]]]]:
    tracker = Tracker(model, policy, exact=True)
    tracker.initialize(video.images[0], video.truth[:1])
    return [(tracker.track(image), tracker.trace()) for image in video.images[1:FRAMES]]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_first_policy_is_sam2s_own_rule(nano: Model) -> None:
    rule = run(examples("policies.md")[0], {"__name__": "last_six"})["LastSix"]
    ours, recency = track(nano, rule, load_video()), track(nano, "recency", load_video())
    for (mask, trace), (expected, expected_trace) in zip(ours, recency, strict=True):
        assert np.array_equal(mask, expected)
        assert trace == expected_trace


def test_the_test_of_a_policy_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rule,) = examples("writing-a-policy.md")
    (tmp_path / "keep_best.py").write_text(rule)
    monkeypatch.syspath_prepend(tmp_path)
    names = run(examples("policies.md")[1].replace("frames=40", "frames=12"), {})
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


@pytest.mark.slow
def test_the_environment_and_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / "W", 1, 0, 6)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in examples("environment.md"):
        run(example.replace("learn(1024)", "learn(32)"), names)
    assert names["done"]
    assert len(names["path"]) == 5
    (file,) = (tmp_path / "agents").glob("*.safetensors")
    assert file.stem == names["key"]
