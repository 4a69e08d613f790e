"""Random surfaces: a pattern, three colours and markings, described by a small record and painted by numpy."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Patch = NDArray[np.uint8]  # [n, n, 3] RGB
Plane = NDArray[np.float32]  # [n, n]


@dataclass(frozen=True)
class Texture:
    """How a surface looks; `paint` makes pixels of it.

    Attributes:
        pattern: A name in `_PATTERNS`.
        colors: float [3, 3], RGB from 0 to 255: those of the pattern's low, middle and high values.
        cycles: Periods or cells across the patch. Higher values: a finer pattern.
        angle: Of the pattern, radians.
        bend: How far noise displaces the pattern, as a share of the patch. Higher values: less regular.
        dirt: How far 1/f noise changes the brightness from place to place, 0 to 1.
        grain: Standard deviation of the finest detail, in gray levels.
        markings: Spots of the third colour that the pattern alone would not have.
        seed: Of everything random within the pattern.
    """

    pattern: str
    colors: NDArray[np.float64]
    cycles: float
    angle: float
    bend: float
    dirt: float
    grain: float
    markings: int
    seed: int


def random_texture(rng: np.random.Generator, fractal: float = 0.3) -> Texture:
    """Any surface at all; with probability `fractal` one with the power-law spectrum that most of the world has."""
    return Texture(
        pattern="fractal" if rng.random() < fractal else str(rng.choice(list(_PATTERNS))),
        colors=_random_colors(rng),
        cycles=float(np.exp(rng.uniform(np.log(1.5), np.log(9)))),
        angle=rng.uniform(0, np.pi),
        bend=rng.choice([0.0, rng.uniform(0.02, 0.2)]),
        dirt=rng.choice([0.0, rng.uniform(0.1, 0.4)]),
        grain=rng.uniform(0, 10),
        markings=int(rng.integers(0, 5)),
        seed=int(rng.integers(1 << 31)),
    )


def similar_texture(rng: np.random.Generator, texture: Texture, difference: float) -> Texture:
    """A look-alike: it resembles `texture` but for `difference`, 0 (a twin with other markings) to 1.

    At 1 it is clearly of another colour, and often of another pattern: related, but nobody would take it for the same.
    """
    tint = rng.normal(0, 1, 3)  # shared by all colours, as another paint would be
    tint *= 80 * difference / np.linalg.norm(tint)
    if np.abs(texture.colors + tint - 127.5).mean() > np.abs(texture.colors - tint - 127.5).mean():
        tint = -tint  # away from black and white, where it would be cut off
    return replace(
        texture,
        pattern=str(rng.choice(list(_PATTERNS))) if rng.random() < 0.5 * difference - 0.2 else texture.pattern,
        colors=np.clip(texture.colors + tint + rng.normal(0, 12 * difference, (3, 3)), 0, 255),
        cycles=texture.cycles * float(np.exp(rng.normal(0, 0.3 * difference))),
        angle=texture.angle + rng.normal(0, 0.5 * difference),
        markings=(texture.markings + int(rng.integers(2, 4))) % 5,
        seed=int(rng.integers(1 << 31)),
    )


def aged(rng: np.random.Generator, patch: Patch) -> Patch:
    """The same surface later: other colours, same pattern and markings in the same places."""
    change = np.eye(3, 4) + rng.normal(0, 0.12, (3, 4)) * (1, 1, 1, 0)
    change[:, 3] = rng.normal(0, 30) + rng.normal(0, 15, 3)
    return cv2.transform(patch, change)


def _random_colors(rng: np.random.Generator) -> NDArray[np.float64]:
    """Three colours around one hue or around two; most palettes are dull, as most of the world is."""
    hue, dull = rng.random(), rng.random() < 0.6
    spread = rng.choice([0.03, 0.12, 0.5])
    colors = []
    for value in rng.permutation([rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.8), rng.uniform(0.6, 1.0)]):
        saturation = rng.uniform(0, 0.35) if dull else rng.uniform(0.35, 1)
        colors.append(colorsys.hsv_to_rgb((hue + rng.normal(0, spread)) % 1, saturation, value))
    return 255 * np.array(colors)


def paint(texture: Texture, n: int) -> Patch:
    """The pixels of a texture, uint8 [n, n, 3]."""
    rng = np.random.default_rng(texture.seed)
    line = np.linspace(-0.5, 0.5, n, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    cos, sin = np.float32(np.cos(texture.angle)), np.float32(np.sin(texture.angle))
    x, y = cos * x + sin * y, cos * y - sin * x  # [n, n] each
    if texture.bend:
        x = x + np.float32(texture.bend) * (noise(rng, n, 4) - 0.5)
        y = y + np.float32(texture.bend) * (noise(rng, n, 4) - 0.5)
    values = np.clip(_PATTERNS[texture.pattern](x, y, texture.cycles, rng), 0, 1)  # [n, n]

    ramp = np.linspace(0, 1, 256)
    lookup = np.stack([np.interp(ramp, (0, 0.5, 1), texture.colors[:, c]) for c in range(3)], axis=1)  # [256, 3]
    patch = cv2.LUT(cv2.merge([(255 * values).astype(np.uint8)] * 3), lookup.astype(np.uint8)[:, None])
    for _ in range(texture.markings):
        centre = tuple(int(v) for v in n * rng.uniform(0.25, 0.75, 2))
        axes = tuple(int(v) for v in 1 + n * rng.uniform(0.02, 0.09, 2))
        color = texture.colors[rng.integers(3)] * rng.choice([0.4, 1.0]) + rng.choice([0, 70])
        cv2.ellipse(patch, centre, axes, rng.uniform(0, 180), 0, 360, color.tolist(), -1, cv2.LINE_AA)
    if texture.dirt:
        brightness = (127 * (1 + 2 * texture.dirt * (fractal_noise(rng, n, 1.2) - 0.5))).astype(np.uint8)
        patch = cv2.multiply(patch, cv2.merge([brightness] * 3), scale=1 / 127)
    grain = (np.float32(texture.grain) * rng.standard_normal((n, n), dtype=np.float32)).astype(np.int16)
    return cv2.add(patch, cv2.merge([grain] * 3), dtype=cv2.CV_8U)


def noise(rng: np.random.Generator, n: int, cells: float) -> Plane:
    """Smooth noise, float32 [n, n] around 0.5, with about `cells` bumps along a side."""
    grid = rng.random((max(2, round(cells) + 2),) * 2, dtype=np.float32)
    return cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC)


def fractal_noise(rng: np.random.Generator, n: int, slope: float) -> Plane:
    """Noise whose amplitude falls with frequency as 1/f^slope, float32 [n, n] of mean 0.5 and deviation 0.2.

    Photographs of nature have a slope of about 1 (Field 1987, Relations between the statistics of natural images).
    """
    total, side = rng.random((4, 4), dtype=np.float32), 4
    while side < n:  # octaves of equal strength together have a slope of 1 in two dimensions
        side = min(2 * side, n)
        total = cv2.resize(total, (side, side), interpolation=cv2.INTER_CUBIC)
        total += np.float32((side / 4) ** (1 - slope)) * rng.random((side, side), dtype=np.float32)
    mean, deviation = cv2.meanStdDev(total)
    return np.asarray((total - mean[0, 0]) * (0.2 / deviation[0, 0]) + 0.5, dtype=np.float32)


def _octaves(rng: np.random.Generator, n: int, cells: float) -> Plane:
    total = noise(rng, n, cells) + noise(rng, n, 2 * cells) / 2 + noise(rng, n, 4 * cells) / 4
    return np.asarray(total / 1.75, dtype=np.float32)


def _stripes(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    wave = np.sin(2 * np.pi * cycles * x)
    return 0.5 + 0.5 * np.clip(wave * float(rng.choice([1.0, 4.0])), -1, 1)  # soft or hard edges


def _rings(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    return _stripes(np.hypot(x - rng.uniform(-0.2, 0.2), y - rng.uniform(-0.2, 0.2)), y, cycles, rng)


def _checker(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    wave = np.sin(np.pi * cycles * x) * np.sin(np.pi * cycles * y)
    return 0.5 + 0.5 * np.clip(wave * 6, -1, 1)


def _dots(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    wave = np.cos(2 * np.pi * cycles * x) + np.cos(2 * np.pi * cycles * y)
    return np.clip(2 * (wave - rng.uniform(0.2, 1.0)), 0, 1)


def _noise(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    return 0.5 + 1.6 * (_octaves(rng, len(x), cycles) - 0.5)


def _fractal(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    return fractal_noise(rng, len(x), rng.uniform(1.0, 1.7))


def _blotches(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    field = noise(rng, len(x), cycles)
    return 0.5 * (field > rng.uniform(0.35, 0.5)).astype(np.float32) + 0.5 * (field > rng.uniform(0.55, 0.7))


def _gradient(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    return 0.5 + x * rng.uniform(0.7, 1.6) + 0.15 * (_octaves(rng, len(x), cycles) - 0.5)


def _patchwork(x: Plane, y: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    cells = rng.random((16, 16), dtype=np.float32)
    side = cycles / 1.5
    column, row = np.floor(x * side).astype(np.intp) % 16, np.floor(y * side).astype(np.intp) % 16
    return cells[row, column]


_PATTERNS: dict[str, Callable[[Plane, Plane, float, np.random.Generator], Plane]] = {
    "stripes": _stripes,
    "rings": _rings,
    "checker": _checker,
    "dots": _dots,
    "noise": _noise,
    "fractal": _fractal,
    "blotches": _blotches,
    "gradient": _gradient,
    "patchwork": _patchwork,
}
