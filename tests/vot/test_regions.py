"""Regions: round trips, and the toolkit's own reader and writer as the judge."""

import io
import struct

import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.vot.regions import EMPTY, UNKNOWN, Region, bounding_box, encode, parse_line, read_trajectory

SIZE = (24, 33)


def random_masks(count: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    masks = [rng.random(SIZE) < density for density in np.linspace(0.002, 0.99, count)]
    full, row, column = np.ones(SIZE, bool), np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    row[5, 3:9], column[2:7, 32] = True, True
    return [*masks, full, row, column, np.zeros(SIZE, bool)]


@pytest.mark.parametrize("mask", random_masks())
def test_lines_round_trip_and_the_toolkit_reads_them(mask):
    from vot.region.io import parse_region

    region = encode(mask)
    assert parse_line(region.line()) == region
    assert np.array_equal(region.full(SIZE), mask)
    assert region.empty == (not mask.any())

    theirs = parse_region(region.line())
    canvas = np.zeros(SIZE, dtype=bool)
    x, y = theirs.offset
    canvas[y : y + theirs.mask.shape[0], x : x + theirs.mask.shape[1]] = theirs.mask
    box = bounding_box(mask)
    if box is not None and box[2] > 1:  # the toolkit drops masks that are one pixel wide
        assert np.array_equal(canvas, mask)


def test_trajectories_written_by_the_toolkit():
    from vot.region import Rectangle, Special
    from vot.region.io import write_trajectory
    from vot.region.shapes import Mask

    masks = random_masks(6)
    regions = [Special(1), Rectangle(2, 3, 4, 5), Rectangle(0, 0, 0, 0), *(Mask(mask, (1, 2)) for mask in masks)]
    binary, text = io.BytesIO(), io.StringIO()
    write_trajectory(binary, regions)
    write_trajectory(text, regions)
    for data in (binary.getvalue(), text.getvalue().encode()):
        found = read_trajectory(data)
        assert found[0] == 1
        assert found[1] == Region(2, 3, 4, 5, (0, 20))
        assert found[2] == EMPTY
        for region, mask in zip(found[3:], masks, strict=True):
            assert (region.x, region.y) == (1, 2)
            assert np.array_equal(region.crop(), mask)


def test_a_trajectory_that_is_cut_off_is_an_error():
    from vot.region.io import write_trajectory
    from vot.region.shapes import Mask

    binary = io.BytesIO()
    write_trajectory(binary, [Mask(np.ones((3, 3)))])
    with pytest.raises(Sam2rlError, match="damaged"):
        read_trajectory(binary.getvalue()[:-1])


def test_what_lies_outside_the_image_is_cut_off():
    region = Region(-2, -1, 4, 3, (0, 12))
    assert region.full((3, 3)).sum() == 4
    assert Region(30, 30, 2, 2, (0, 4)).full((3, 3)).sum() == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "could not convert string to float: ''"),
        ("x", "could not convert string to float: 'x'"),
        ("m1,2", "not enough values to unpack"),
        ("m0,0,2,2,9", "^runs of 9 pixels do not fit 2x2$"),
        ("m0,0,2,2,-1,5", "^runs of 4 pixels do not fit 2x2$"),
        ("inf,1,2,3", "^infinity is no number of pixels$"),
        ("1,2,3", "^3 numbers are neither a mask nor a rectangle nor a polygon$"),
        ("0,0,9,0,9,9", "^6 numbers are neither a mask nor a rectangle nor a polygon$"),
    ],
)
def test_damaged_lines(line, message):
    with pytest.raises(ValueError, match=message):
        parse_line(line)


def test_boxes_and_polygons_keep_their_numbers():
    """The pixels inside are for overlaps; the numbers for measures of boxes, and to be written again."""
    box = parse_line("1.25,2.5,10,8")
    assert (box.x, box.y, box.width, box.height, box.box) == (1, 2, 10, 8, (1.25, 2.5, 10, 8))
    assert box.line() == "1.25,2.5,10,8"
    diamond = parse_line("5,0,10,5,5,10,0,5")
    assert diamond.line() == "5,0,10,5,5,10,0,5"
    assert (diamond.x, diamond.y, diamond.width, diamond.height) == (0, 0, 11, 11)
    assert diamond.box == (0, 0, 11, 11)
    assert 50 <= sum(diamond.runs[1::2]) <= 61  # an area of 50, and the pixels on its edges
    assert parse_line("-5,-5,5,-5,5,5,-5,5").full((10, 10)).sum() == 36
    assert parse_line("nan,nan,nan,nan,nan,nan,nan,nan") == UNKNOWN
    assert Region(3, 4, 2, 2, (1, 1, 2)).box == (4, 4, 1, 1)
    assert EMPTY.box is None


def test_polygons_are_what_the_toolkit_fills():
    from vot.region.shapes import Polygon

    rng = np.random.default_rng(3)
    for _ in range(20):
        middle, half, angle = rng.uniform(20, 40, 2), rng.uniform(4, 15, 2), rng.uniform(0, np.pi)
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * half[:, None]
        corners = [middle + a * axes[0] + b * axes[1] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        ours = parse_line(",".join(f"{number:.2f}" for corner in corners for number in corner)).full((60, 60))
        theirs = Polygon([tuple(np.round(corner, 2)) for corner in corners]).rasterize((0, 0, 59, 59)) > 0
        assert np.array_equal(ours, theirs)


def test_answers_of_a_tracker_that_got_lost():
    """The toolkit stores them in binary: boxes of no numbers, and boxes that no memory could hold as masks."""
    nan, inf = float("nan"), float("inf")
    data = struct.pack("<hI", 1, 4)
    data += b"".join(
        struct.pack("<Bffff", 1, *box) for box in [(nan, nan, nan, nan), (0, 0, inf, 9), (-1e6, 1, 2e7, 2)]
    )
    data += struct.pack("<BH8f", 2, 4, *[nan] * 8)
    unknown, endless, huge, polygon = read_trajectory(data)
    assert [unknown, endless, polygon] == [EMPTY] * 3
    assert huge.full((3, 4)).tolist() == [[False] * 4, [True] * 4, [True] * 4]
