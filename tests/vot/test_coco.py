"""COCO's compressed run lengths, as pycocotools writes and reads them."""

import numpy as np
import pytest
from pycocotools import mask as pycoco

from sam2rl_tracker.vot.coco import decode_coco


@pytest.mark.parametrize("density", [0, 0.001, 0.1, 0.5, 0.9, 1])
def test_masks_are_those_of_pycocotools(density):
    rng = np.random.default_rng(3)
    mask = rng.random((37, 210)) < density
    assert np.array_equal(decode_coco(pycoco.encode(np.asfortranarray(mask, dtype=np.uint8))), mask)
    blob = np.zeros((400, 600), dtype=bool)  # long runs: several digits, negative differences
    blob[30:370, 100:590] = True
    blob[100:110, 200:500] = False
    assert np.array_equal(decode_coco(pycoco.encode(np.asfortranarray(blob, dtype=np.uint8))), blob)


def test_forms_of_counts():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1:, 1] = True  # column by column: 4 off, 2 on, 6 off
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": [4, 2, 6]}), mask)
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": "426"}), mask)
    assert np.array_equal(decode_coco({"size": [3, 4], "counts": b"426"}), mask)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({}, r"^an RLE mask needs the fields size and counts \('size'\)$"),
        ({"size": [2, 2]}, r"^an RLE mask needs the fields size and counts \('counts'\)$"),
        ({"size": [2, 2], "counts": [3]}, "^runs of 3 pixels do not fill 2x2$"),
        ({"size": [2, 2], "counts": [5, -1]}, "^runs of 4 pixels do not fill 2x2$"),
        ({"size": [2, 2], "counts": "T"}, "^the last run of a compressed mask is cut off$"),
        # Here pycocotools returns whatever lay in memory,
        ({"size": [2, 2], "counts": "3"}, "^runs of 3 pixels do not fill 2x2$"),
        # and here it crashes.
        ({"size": [100_000, 100_000], "counts": "426"}, "^runs of 12 pixels do not fill 100000x100000$"),
    ],
)
def test_damaged(rle, message):
    with pytest.raises(ValueError, match=message):
        decode_coco(rle)
