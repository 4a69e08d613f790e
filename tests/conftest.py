"""Fixtures for several folders: the packaged model, and a workspace that the real VOT toolkit has evaluated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from handwritten import made  # noqa: F401  # a fixture
from reference import DATA

from sam2rl_tracker.engine import Model, load_model, one_thread
from sam2rl_tracker.vot.results import Failure
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.workspace import Workspace, create

HEIGHT, WIDTH = 48, 64
SCRIPTED = {"Perfect": "perfect", "Mixed": "mixed", "Dies": "late-death", "Refuses": "refuse"}
DEAR = ("evaluated", "site")  # fixtures that take long: one worker runs all tests that ask for one of them


def pytest_configure(config: pytest.Config) -> None:
    """A worker of `-n` computes on one thread, and so does what it starts: all cores have a worker."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: workers that are left with fast ones end together."""
    for item in items:
        for fixture in set(DEAR) & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(fixture))
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def nano() -> Model:
    return load_model("nano", "cpu")


@pytest.fixture(scope="session")
def reference_model() -> Model:
    """The model that the golden masks were made with; it stays when nano improves."""
    return load_model(str(DATA / "model"), "cpu")


@pytest.fixture(name="one_thread")
def fixture_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@dataclass(frozen=True)
class Evaluated:
    """A workspace, and what `evaluate` said of its trackers."""

    workspace: Workspace
    failures: dict[str, Failure]


def scripted_frames(
    length: int, objects: dict[int, tuple[int, range]], ignored: bool = False, unknown: int | None = None
) -> Iterator[AnnotatedFrame]:
    """Noise in which bars with a hole move to the right.

    Args:
        length: Number of frames.
        objects: {id: (first frame, frames on which it is absent)}.
        ignored: Whether a band does not count on every other frame.
        unknown: A frame without annotation.
    """
    rng = np.random.default_rng(0)
    band = np.zeros((HEIGHT, WIDTH), dtype=bool)
    band[:, 20:26] = True
    for t in range(length):
        masks = {}
        for k, (start, gone) in objects.items():
            if t >= start and t not in gone:
                masks[k] = np.zeros((HEIGHT, WIDTH), dtype=bool)
                masks[k][5 + k * 3 : 15 + k * 3, 5 + t + k : 20 + t + k] = True
                masks[k][7 + k * 3, 8 + t + k] = False
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        yield AnnotatedFrame(image, None if t == unknown else masks, band if ignored and t % 2 else None)


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """Two sequences with all that makes measures differ, and SAM2 and four scripted trackers evaluated on them."""
    workspace = create(tmp_path_factory.mktemp("toolkit") / "work space")
    workspace.add("single", scripted_frames(30, {1: (0, range(10, 23))}))
    several = {1: (0, range(0)), 4: (0, range(5, 8)), 9: (3, range(6, 7))}
    workspace.add("several", scripted_frames(12, several, ignored=True, unknown=9))
    with (workspace.folder / "trackers.ini").open("a") as file:
        for name, mode in SCRIPTED.items():
            command = f"import scripted_tracker; scripted_tracker.main('{mode}')"
            paths = Path(__file__).parent / "vot"
            file.write(f"\n[{name}]\nprotocol = traxpython\ncommand = {command}\npaths = {paths}\n")
    failures = evaluate(workspace.folder, ["SAM2", *SCRIPTED])
    return Evaluated(workspace, {failure.tracker: failure for failure in failures})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests asserted of the golden masks, which depends on the machine, and how far they were met."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    told = [pair for report in reports for pair in getattr(report, "user_properties", [])]
    asserted = Counter(value for key, value in told if key == "golden_asserted")
    if not asserted:
        return
    terminalreporter.section("golden masks")
    for text, videos in asserted.items():
        terminalreporter.line(f"{videos} videos: {text}")
    for name, frames, pixels in (value for key, value in told if key == "golden_apart"):
        if pixels:
            terminalreporter.line(f"  {name}: {frames} frames, {pixels} pixels")
    decisions = [value for key, value in told if key == "golden_decisions"]
    equal = sum(untraced is None and parted is None for _, untraced, parted in decisions)
    terminalreporter.line(f"{equal} of {len(decisions)} videos: every decision is the trace's")
    for name, untraced, parted in decisions:
        if untraced or parted:
            terminalreporter.line(f"  {name}: no trace ({untraced})" if untraced else f"  {name}: until {parted}")
