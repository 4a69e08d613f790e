"""Overlaps are the VOT toolkit's on the same masks; many predictions at once give those of one after the other."""

import numpy as np
import pytest
import torch
from masks import HEIGHT, WIDTH, random_masks, regions, video
from vot.region import Rectangle, Special
from vot.region.raster import calculate_overlap, calculate_overlaps
from vot.region.shapes import Mask

from sam2rl_tracker.evaluation.measures import count_frames
from sam2rl_tracker.evaluation.overlaps import batch_overlaps, frame_overlaps


def test_overlaps_are_the_toolkits():
    rng = np.random.default_rng(1)
    prediction, truth, ignored = (random_masks(rng, 300, absent) for absent in (0.2, 0.2, 0.5))
    expected = calculate_overlaps(regions(prediction), regions(truth), (WIDTH, HEIGHT))
    np.testing.assert_allclose(frame_overlaps(prediction, truth), expected, atol=1e-6)
    expected = calculate_overlaps(regions(prediction), regions(truth), (WIDTH, HEIGHT), ignore=regions(ignored))
    np.testing.assert_allclose(frame_overlaps(prediction, truth, ignored=ignored), expected, atol=1e-6)


def test_special_codes_of_the_toolkit_are_our_empty_and_unknown():
    empty, full = video("... ... ...", "##. ##. ..."), video("##. ##. ...", "##. ##. ...")
    for absent in (Special(1), Rectangle(0, 0, 0, 0), Mask(np.zeros((0, 0)))):
        for ours, theirs in ((empty[0], Mask(empty[0], optimize=True)), (full[0], Mask(full[0], optimize=True))):
            expected = calculate_overlap(absent, theirs, (3, 3))
            assert frame_overlaps(np.zeros((1, 3, 3), dtype=bool), ours[None])[0] == expected


def test_ignored_area_does_not_count():
    truth, prediction = video("##. ##. ..."), video("### ### ...")
    ignored = video("..# ..# ...")
    assert frame_overlaps(prediction, truth)[0] == pytest.approx(4 / 6)
    assert frame_overlaps(prediction, truth, ignored=ignored)[0] == 1
    hidden = video("##. ##. ...")  # all that is there is ignored: overlap 0, in the toolkit too
    assert frame_overlaps(truth, truth, ignored=hidden)[0] == 0
    (theirs,) = calculate_overlaps(regions(truth), regions(truth), (3, 3), ignore=regions(hidden))
    assert theirs == 0


def test_thin_masks_count_here_and_not_in_the_toolkit():
    """Defects of the toolkit's rasteriser that are documented and not imitated; this fails when they are mended."""
    upper, lower = video(".#. .#. ... ..."), video("... ... .#. .#.")
    assert frame_overlaps(upper, lower)[0] == 0
    assert calculate_overlaps(regions(upper), regions(lower), (3, 4)) == [1.0]
    assert count_frames(np.repeat(upper, 2, axis=0), np.repeat(upper, 2, axis=0)).tracked == 1
    assert regions(upper)[0].is_empty()
    at_the_edge = video("#.. #.. #.. ...")
    assert frame_overlaps(at_the_edge, at_the_edge)[0] == 1
    assert regions(at_the_edge)[0].mask.size == 0


@pytest.mark.parametrize("some_ignored", [False, True])
def test_batches_are_compared_as_frames_are(some_ignored: bool) -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((40, 3, 4)) < rng.choice([0.0, 0.1, 0.5, 1.0], (40, 1, 1))
    truths = rng.random((40, 3, 4)) < rng.choice([0.0, 0.1, 0.5], (40, 1, 1))
    ignored = rng.random((3, 4)) < 0.4 if some_ignored else None
    every = None if ignored is None else np.repeat(ignored[None], len(masks), 0)
    for truth in truths:
        expected = frame_overlaps(masks, np.repeat(truth[None], len(masks), 0), None, every)
        found = batch_overlaps(
            torch.from_numpy(masks), torch.from_numpy(truth), None if ignored is None else torch.from_numpy(ignored)
        )
        assert found.dtype == torch.float32
        assert found.numpy() == pytest.approx(expected)
