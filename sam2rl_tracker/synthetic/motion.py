"""Random smooth motion: curves through keys, paths that wander, leave the picture and come back.

Positions are in units of the picture's side: (0, 0) is the top left corner, (1, 1) the bottom right one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curve = NDArray[np.float64]  # [T] or [T, 2]
Point = NDArray[np.float64]  # [2], x and y

LEAVING_FRAMES = 60
"""In shorter clips nothing leaves the picture: there is no time to go, be away and come back."""

_MARGIN = 0.12  # wandering objects keep their centres this far from the border


def smooth_curve(keys: ArrayLike, values: ArrayLike, frames: int) -> Curve:
    """Cubic Hermite curve through `values` at the times `keys`, sampled at 0..frames-1; constant before and after.

    Args:
        keys: [K] rising times in frames, at least 2.
        values: [K] or [K, 2].
        frames: T.

    Returns:
        float64 [T] or [T, 2].
    """
    keys, values = np.asarray(keys, dtype=np.float64), np.asarray(values, dtype=np.float64)
    columns = values.reshape(len(keys), -1)  # [K, d]
    before, after = np.maximum(np.arange(len(keys)) - 1, 0), np.minimum(np.arange(len(keys)) + 1, len(keys) - 1)
    slopes = (columns[after] - columns[before]) / (keys[after] - keys[before])[:, None]
    times = np.clip(np.arange(frames), keys[0], keys[-1])
    i = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    length = (keys[i + 1] - keys[i])[:, None]
    u = (times - keys[i])[:, None] / length
    curve = (
        (1 + 2 * u) * (1 - u) ** 2 * columns[i]
        + u * (1 - u) ** 2 * length * slopes[i]
        + u**2 * (3 - 2 * u) * columns[i + 1]
        + u**2 * (u - 1) * length * slopes[i + 1]
    )
    return curve.reshape(frames, *values.shape[1:])


def random_curve(rng: np.random.Generator, frames: int, amplitude: float, period: float) -> Curve:
    """A value that drifts between `-amplitude` and `amplitude`, float64 [T], turning about every `period` frames."""
    return random_curves(rng, frames, amplitude, period, 1)[:, 0]


def random_curves(rng: np.random.Generator, frames: int, amplitude: float, period: float, count: int) -> Curve:
    """Several such values, float64 [T, count]."""
    keys = np.arange(0, frames + period, period)
    curves = smooth_curve(keys, rng.uniform(-amplitude, amplitude, (len(keys), count)), frames)
    return np.clip(curves, -amplitude, amplitude)


def wander(
    rng: np.random.Generator, start: Point, begin: float, end: float, speed: float
) -> tuple[list[float], list[Point]]:
    """Keys from `begin` to the first one not before `end`, and the places visited then, all within the picture.

    Args:
        rng: Source of randomness.
        start: Place at `begin`.
        begin: First frame.
        end: Last frame of interest.
        speed: Mean speed in picture sides per frame.
    """
    keys, places = [begin], [start]
    while keys[-1] < end:
        gap = rng.uniform(9, 24)
        for _ in range(20):  # a straight leg of the right length that ends in the picture, or else one to the middle
            angle = rng.uniform(0, 2 * np.pi)
            place = places[-1] + speed * gap * np.array([np.cos(angle), np.sin(angle)])
            if np.all((place > _MARGIN) & (place < 1 - _MARGIN)):
                break
        else:
            place = np.clip(place, 0.3, 0.7)
        keys.append(keys[-1] + gap)
        places.append(place)
    return keys, places


def leaving_path(
    rng: np.random.Generator, start: Point, frames: int, speed: float, reach: float, absent: tuple[float, float]
) -> Curve:
    """A path that wanders, leaves the picture, and comes back elsewhere to wander on.

    Args:
        rng: Source of randomness.
        start: Place on frame 0.
        frames: T; a clip too short for leaving is wandered through.
        speed: Mean speed in picture sides per frame while wandering.
        reach: Distance from the object's centre to its farthest point, in picture sides.
        absent: Frames outside, least and most; fewer where the clip would end before the object is back.

    Returns:
        float64 [T, 2].
    """
    if frames < LEAVING_FRAMES:
        return wandering_path(rng, start, frames, speed)
    haste = max(speed, rng.uniform(0.02, 0.035))  # slow objects hurry out and in, or a clip would hold nothing else
    keys, places = wander(rng, start, 0, rng.uniform(0.1, 0.45) * frames, speed)
    keys, places = keys[:-1], places[:-1]  # the last key lies behind the time to leave
    outside = _outside(rng, places[-1], reach)
    gone = keys[-1] + np.linalg.norm(outside - places[-1]) / haste
    first = smooth_curve([*keys, gone], [*places, outside], frames)

    entry = _outside(rng, rng.uniform(0.2, 0.8, 2), reach)
    back = min(gone + rng.uniform(*absent), max(gone + 2, 0.8 * frames))
    inside = rng.uniform(0.3, 0.7, 2)
    keys, places = wander(rng, inside, back + np.linalg.norm(inside - entry) / haste, frames, speed)
    second = smooth_curve([back, *keys], [entry, *places], frames)
    # The jump from the first path to the second happens while the object is outside.
    return np.where(np.arange(frames)[:, None] < back, first, second)


def wandering_path(rng: np.random.Generator, start: Point, frames: int, speed: float) -> Curve:
    """A path within the picture, float64 [T, 2]; arguments as in `leaving_path`."""
    return smooth_curve(*wander(rng, start, 0, frames, speed), frames)


def _outside(rng: np.random.Generator, place: Point, reach: float) -> Point:
    """The point beyond the border of a random side, level with `place`, from where nothing can be seen."""
    outside = place.copy()
    outside[rng.integers(2)] = rng.choice([-1.1 * reach - 0.02, 1.02 + 1.1 * reach])
    return outside
