"""COCO's compressed run lengths, against a writer of our own and a string made by pycocotools."""

import numpy as np
import pytest
from rle import compress

from sam2rl_tracker.vot.coco import decode_coco


@pytest.mark.parametrize("density", [0, 0.001, 0.1, 0.5, 0.9, 1])
def test_round_trip(density):
    rng = np.random.default_rng(3)
    mask = rng.random((37, 210)) < density
    assert np.array_equal(decode_coco(compress(mask)), mask)


def test_forms_of_counts():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1:, 1] = True  # column by column: 4 off, 2 on, 6 off
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": [4, 2, 6]}), mask)
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": "426"}), mask)
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": b"426"}), mask)


@pytest.mark.parametrize(
    "rle", [{}, {"size": [2, 2], "counts": [3]}, {"size": [2, 2], "counts": [5, -1]}, {"size": [2, 2], "counts": "T"}]
)
def test_damaged(rle):
    with pytest.raises(ValueError, match=r"."):
        decode_coco(rle)
