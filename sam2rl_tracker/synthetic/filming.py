"""How bodies become pixels: surface, shading, cast shadow and motion blur, drawn over what is there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.synthetic.motion import Curve, Point
from sam2rl_tracker.synthetic.staging import Body, Box, Contours, contours, cover, rotations
from sam2rl_tracker.synthetic.textures import Patch, Plane

PATCH_REACH = 1.8
"""A patch of texture covers this many radii to each side of a body's centre."""

_CELLS = 3  # of the grid that light is computed on, to a body's radius: light is soft, so coarse is enough
_KERNEL = 3  # cells to each side of the middle
_GRID_MARGIN = _KERNEL + 1  # cells around a body: how far its shadow reaches
_UNLIT = 200  # gray level that stands for a factor of 1, so that the lit side can be brighter than the surface
_SHORTEST_TRAIL = 1.2  # pixels
_LONGEST_TRAIL = 3  # cells

Pictures = NDArray[np.uint8]  # [T, size, size, 3]


@dataclass(frozen=True)
class Surface:
    """How a body looks: a patch that fades into another and slides under the outline.

    Attributes:
        start: What it looks like at first.
        end: What it fades into.
        mix: float [T], how much of `end` is seen: 0 to 1.
        slide: float [T, 2], how far the patch has slid, in radii.
    """

    start: Patch
    end: Patch
    mix: Curve
    slide: Curve


@dataclass(frozen=True)
class Light:
    """Where the light comes from, as two kernels over the coarse grid of a body.

    Attributes:
        shading: float32 [k, k], makes of an outline what the body's roundness adds to its brightness.
        flat: The brightness that it is added to, in gray levels.
        shadow: float32 [k, k], makes of an outline the darkness of what lies behind.
    """

    shading: Plane
    flat: float
    shadow: Plane


def make_light(direction: Point, shading: float, shadow: float, distance: float) -> Light:
    """Light from one side.

    Args:
        direction: Unit vector in the picture, towards the light.
        shading: 0 is flat, 1 makes the side away from the light black.
        shadow: Darkness of cast shadows, 0 to 1.
        distance: From a body to its shadow, in radii; up to 0.5.
    """
    y, x = np.mgrid[-_KERNEL : _KERNEL + 1, -_KERNEL : _KERNEL + 1].astype(np.float32)
    along = x * direction[0] + y * direction[1]
    # A dome over the outline: its height is the blurred outline, its slope towards the light the derivative of that.
    height = np.exp(-(x**2 + y**2) / (2 * 1.3**2))
    slope = -along * height
    shift_x, shift_y = _CELLS * distance * direction
    cast = np.exp(-((x - shift_x) ** 2 + (y - shift_y) ** 2) / (2 * 0.9**2))
    # At a straight edge that faces the light the slope is 1, away from it -1; height is 1 inside and 1/2 at any edge.
    dome = 0.5 * height / height.sum() + slope / np.abs(slope).sum()
    return Light(
        shading=(shading * _UNLIT / 255 * dome).astype(np.float32),
        flat=_UNLIT * (1 - 0.5 * shading),
        shadow=(-shadow * cast / cast.sum()).astype(np.float32),
    )


def film(
    images: Pictures, labels: NDArray[np.uint8], body: Body, surface: Surface, light: Light, shutter: float = 0
) -> None:
    """Draw a body into every frame, in front of what is there.

    Args:
        images: uint8 [T, s, s, 3], changed in place.
        labels: uint8 [T, s, s], changed in place; they tell where the body is in the middle of the exposure.
        body: T frames of it.
        surface: T frames of it.
        light: The scene's.
        shutter: Share of a frame's time in which the body's motion smears it.
    """
    size, n = images.shape[1], len(surface.start)
    # From pixels of the patch to pixels of the picture: scale and turn, then bring the centre to its place.
    turn = rotations(body.angle) * (body.radius * size)[:, None, None]  # [T, 2, 2] radii -> pixels
    linear = turn * (2 * PATCH_REACH / n)
    centre = size * body.path - 0.5 + (turn @ surface.slide[..., None])[..., 0]  # [T, 2]
    offset = centre - linear.sum(axis=2) * (n / 2 - 0.5)
    matrices = np.concatenate([linear, offset[..., None]], axis=2)  # [T, 2, 3]
    cell = max(1, round(size * float(body.radius.mean()) / _CELLS))  # pixels; the same throughout, or light flickers
    streaks = streak_kernels(shutter * size * body.path, _LONGEST_TRAIL * cell)
    for frame, contour in enumerate(contours(body, size)):
        grid, corner = _grid(contour, size, cell)
        if grid.size == 0:
            continue
        image = images[frame]
        (x, y), (height, width) = corner, grid.shape
        behind = slice(max(y, 0), min(y + cell * height, size)), slice(max(x, 0), min(x + cell * width, size))
        shadow = _enlarge(cv2.filter2D(grid, -1, light.shadow, delta=255), x, y, cell, behind)
        cv2.multiply(image[behind], shadow, scale=1 / 255, dst=image[behind])

        streak = streaks.get(frame)
        box, coverage = cover(contour, size, margin=0 if streak is None else len(streak) // 2)
        if coverage.size == 0:
            continue
        mix = surface.mix[frame]
        patch = cv2.addWeighted(surface.start, 1 - mix, surface.end, mix, 0)
        matrix = matrices[frame]
        matrix[:, 2] -= box[1].start, box[0].start
        skin = cv2.warpAffine(patch, matrix, coverage.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
        shading = cv2.filter2D(grid[1:-1, 1:-1], -1, light.shading, delta=light.flat)
        shade = _enlarge(shading, x + cell, y + cell, cell, box)
        cv2.multiply(skin, shade, scale=1 / _UNLIT, dst=skin)
        weight = coverage * np.float32(1 / 255)
        if streak is not None:
            skin, weight = cv2.filter2D(skin, -1, streak), cv2.filter2D(weight, -1, streak)
        image[box] = cv2.blendLinear(skin, image[box], weight, 1 - weight)
        labels[frame][box][coverage >= 128] = body.label


def streak_kernels(path: Curve, longest: float) -> dict[int, Plane]:
    """What smears pictures along a path [T, 2], given in pixels times the shutter's share.

    Returns:
        {frame: float32 [k, k] with k odd}, without the frames on which next to nothing would be smeared.
    """
    trails = np.diff(path, axis=0, prepend=path[:1])  # [T, 2]
    lengths = np.hypot(trails[:, 0], trails[:, 1])
    kernels = {}
    for frame in np.flatnonzero(lengths > _SHORTEST_TRAIL):
        half = trails[frame] * (8 * min(1, longest / lengths[frame]))  # sixteenths of a pixel
        reach = int(np.ceil(np.abs(half).max() / 16))
        kernel = np.zeros((2 * reach + 1,) * 2, dtype=np.uint8)
        start, end = (tuple(int(16 * reach + sign * v) for v in half) for sign in (-1, 1))
        cv2.line(kernel, start, end, 255, lineType=cv2.LINE_AA, shift=4)
        kernels[int(frame)] = kernel / np.float32(kernel.sum())
    return kernels


def _grid(contour: Contours, size: int, cell: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """A contour [points, 2] filled on a coarse grid that reaches beyond the picture, as light needs.

    Returns:
        uint8 [h, w] cells, 255 = inside, with a margin; empty when not even a shadow can be seen. And the grid's left
        upper corner in pixels, x and y.
    """
    reach = _GRID_MARGIN * cell
    left, top, width, height = cv2.boundingRect(contour)
    x, y = max(left // 16, -reach) - reach, max(top // 16, -reach) - reach
    columns = (min((left + width) // 16, size + reach) + reach - x) // cell + 1
    rows = (min((top + height) // 16, size + reach) + reach - y) // cell + 1
    if min(left + width, top + height) < -16 * reach or max(left, top) >= 16 * (size + reach):
        return np.zeros((0, 0), dtype=np.uint8), (x, y)
    grid = np.zeros((rows, columns), dtype=np.uint8)
    points = (contour - np.array([16 * x, 16 * y]) - 8 * (cell - 1)) / cell
    cv2.fillPoly(grid, [points.astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return grid, (x, y)


def _enlarge(grid: NDArray[np.uint8], x: int, y: int, cell: int, box: Box) -> Patch:
    """A grid whose corner is at (x, y), smoothly in pixels: the part over a box of the picture, uint8 [h, w, 3]."""
    large = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
    rows, columns = box
    part = large[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    return cv2.cvtColor(part, cv2.COLOR_GRAY2RGB)
