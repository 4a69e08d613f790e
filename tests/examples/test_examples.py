"""The scripts in `examples/` do what their first lines say."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reference import DATA, SCENES

from sam2rl_tracker.cli import main
from sam2rl_tracker.media.writer import VideoWriter
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.vot.workspace import generate

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLIC = {  # the names that README and docs use: scripts of users may rest on them
    "sam2rl_tracker": {"Tracker"},
    "sam2rl_tracker.engine": {"MemorySelection", "load_model"},
    "sam2rl_tracker.policies": {"PointerWindow", "Policy", "ranked"},
    "sam2rl_tracker.synthetic": {"generate_scene"},
    "sam2rl_tracker.training.environment": {"MemoryVecEnv", "RelativeRewards"},
}

Example = Callable[..., list[str]]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Run an example with arguments: the lines that it prints."""

    def run(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A folder with the frames and masks of a short generated video."""
    scene = generate_scene(3, frames=8, size=64)
    for name in ("color", "masks"):
        (tmp_path / "video" / name).mkdir(parents=True)
    for t, (image, labels) in enumerate(zip(scene.images, scene.labels, strict=True)):
        Image.fromarray(image).save(tmp_path / "video" / "color" / f"{t:08d}.png")
        Image.fromarray(labels).save(tmp_path / "video" / "masks" / f"{t:08d}.png")
    return tmp_path / "video"


def test_track_webcam(example: Example, tmp_path: Path) -> None:
    """A video file stands in for the camera."""
    scene = generate_scene(3, frames=5, size=64)
    with VideoWriter(tmp_path / "walk.mp4", 30) as writer:
        for image in scene.images:
            writer.write(image)
    rows, columns = np.nonzero(scene.labels[0] == 1)
    x, y, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    box = ",".join(map(str, (x, y, right - x, bottom - y)))
    lines = example("track_webcam.py", tmp_path / "walk.mp4", "--box", box, "--no-window", "--device", "cpu")
    assert [line.partition(":")[0] for line in lines] == [f"frame {t}" for t in range(5)]
    with pytest.raises(SystemExit):
        example("track_webcam.py", tmp_path / "nothing.mp4", "--no-window")


@pytest.mark.slow
def test_compare_rules(example: Example, video: Path) -> None:
    lines = example("compare_rules.py", video, "recency", "never", "--device", "cpu")
    assert [line.partition(":")[0] for line in lines] == ["recency", "never", "never less recency"]
    same = example("compare_rules.py", video, "recency", "sam2", "--device", "cpu")
    assert same[-1].startswith("sam2 less recency: +0.000")


@pytest.mark.slow
def test_write_rule(example: Example) -> None:
    """The rule forgets what the model is unsure of: everything, at a threshold that nothing reaches."""
    sam2, rule = example("write_rule.py", "--frames", 8, "--threshold", 2)
    assert sam2.startswith("SAM 2: mean IoU")
    assert sam2.endswith("frames [0, 1, 2, 3, 4, 5, 6]")
    assert rule.endswith("frames [0]")
    _, keeps_all = example("write_rule.py", "--frames", 8, "--threshold", -1)
    assert keeps_all.removeprefix("OnlySure") == sam2.removeprefix("SAM 2")


def test_train_ppo(example: Example, tmp_path: Path) -> None:
    generate(tmp_path / "W", 1, 0, frames=6, size=64)
    arguments = ("--rollouts", 4, "--iterations", 2, "--device", "cpu")
    lines = example("train_ppo.py", tmp_path / "W", "scene-00000", *arguments)
    assert [line.partition(":")[0] for line in lines] == ["before training", "iteration 1", "iteration 2"]


def test_read_trace(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a trace that `sam2rl track` writes."""
    video = DATA / SCENES[0]
    (tmp_path / "color").mkdir()
    for path in sorted((video / "color").iterdir())[:10]:
        (tmp_path / "color" / path.name).symlink_to(path)
    words = [tmp_path / "color", "--init", video / "masks" / "00000001.png", "--out", tmp_path / "masks"]
    words += ["--trace", tmp_path / "bank.jsonl", "--policy", "never", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["sam2rl", "track", *map(str, words)])
    with pytest.raises(SystemExit, match="0"):
        main()
    lines = example("read_trace.py", tmp_path / "bank.jsonl")
    assert "object 1: 10 frames" in lines
    assert "  memories stored at last: [0]" in lines


def test_every_example_is_run_here() -> None:
    tested = {name.removeprefix("test_") for name in globals()}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_use_public_names_only(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 75
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sam2rl_tracker"):
            assert {alias.name for alias in node.names} <= PUBLIC[node.module]
        if isinstance(node, ast.Import):
            ours = {alias.name for alias in node.names if alias.name.startswith("sam2rl_tracker")}
            assert ours <= {"sam2rl_tracker.training"}
