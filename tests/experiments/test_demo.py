"""The demo, small: all registered trackers on one generated video."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image
from rich.console import Console

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import TRACKERS
from sam2rl_tracker.experiments.demo import SEEDS, run_demo
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.training.settings import Settings
from sam2rl_tracker.vot.registry import registered_trackers
from sam2rl_tracker.vot.workspace import open_workspace


@pytest.mark.slow
def test_objects_go_away_and_come_back() -> None:
    """The demo's scenes are the first four of those from 930001 on; see `SEEDS`."""

    def returns(seed: int) -> bool:
        seen = "".join("01"[int(present)] for present in generate_scene(seed, 60).present[:, 0])
        return "0001" in seen

    assert tuple(seed for seed in range(930001, SEEDS[-1] + 1) if returns(seed)) == SEEDS


@pytest.mark.slow
def test_all_trackers_on_one_video(tmp_path: Path) -> None:
    said = io.StringIO()
    training = Settings(iterations=1, samples=8, beam=1)
    report = run_demo(tmp_path / "demo", Console(file=said), TRACKERS, 8, SEEDS[:1], training)
    assert not report.failures
    assert list(report.analysis.trackers) == list(TRACKERS)
    assert list(registered_trackers(open_workspace(tmp_path / "demo"))) == list(TRACKERS)
    # The truth and ten trackers: in three rows in the video, in one in the picture.
    (video,) = (tmp_path / "demo").glob("*.mp4")
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (4 * 260, 3 * 282)
    assert Image.open(video.with_suffix(".png")).size == (12 * 260, 5 * 282)
    with pytest.raises(Sam2rlError, match="is not empty"):
        run_demo(tmp_path / "demo", Console(file=said))
