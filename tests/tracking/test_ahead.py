"""Images that are encoded ahead, beside the tracking of those before: masks and bits are the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sam2rl_tracker.engine import Model
from sam2rl_tracker.media.overlap import read_ahead
from sam2rl_tracker.synthetic import generate_scene
from sam2rl_tracker.tracking.stopwatch import Stopwatch
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker

SCENE = generate_scene(seed=5, frames=12, size=128, objects=2)
MASKS = np.stack([SCENE.labels[0] == 1, SCENE.labels[0] == 2])


def tracked(tracker: Tracker, ahead: bool) -> tuple[list[np.ndarray], list[TraceLine]]:
    def made_ready() -> Iterator[np.ndarray]:
        for image in SCENE.images[1:]:
            tracker.expect(image)
            if ahead:
                tracker.encode_ahead(image)
            yield image

    with tracker.threads():
        masks, lines = [tracker.initialize(SCENE.images[0], MASKS)], []
        with read_ahead(made_ready()) as images:
            for image in images:
                masks.append(tracker.track(image))
                lines += tracker.trace_lines()
    return masks, lines


@pytest.mark.parametrize("policy", ["recency", "samurai", "dam4sam"])
@pytest.mark.parametrize("exact", [True, False])
def test_masks_are_the_same(policy: str, exact: bool, nano: Model) -> None:
    there, those = tracked(Tracker(nano, policy, exact=exact), ahead=False)
    masks, lines = tracked(Tracker(nano, policy, exact=exact), ahead=True)
    assert all(np.array_equal(one, other) for one, other in zip(there, masks, strict=True))
    assert lines == those


def test_a_small_models_bits_do_not_depend_on_the_machines_threads(nano: Model) -> None:
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            results.append(tracked(Tracker(nano, "recency"), ahead=False)[1])
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
    assert results[0] == results[1]


def test_time_in_two_threads_counts_once() -> None:
    watch = Stopwatch()
    start = time.perf_counter()
    with watch:
        time.sleep(0.02)
        with read_ahead(_timed(watch)) as items:
            list(items)
    passed = time.perf_counter() - start
    assert 0.06 <= watch.seconds <= passed


def _timed(watch: Stopwatch) -> Iterator[None]:
    for _ in range(2):
        with watch:
            time.sleep(0.02)
        yield
