"""Random outlines that deform over time: r(angle, t) around a centre, by harmonics, corners and limbs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Outlines = NDArray[np.float64]  # [T, points, 2], x and y around the centre

_POINTS = 72
_HARMONICS = np.arange(2, 8)  # a first harmonic would only move the shape


@dataclass(frozen=True)
class Shape:
    """An outline and how it moves in itself.

    Attributes:
        aspect: Width by height.
        corners: Of the regular polygon underneath; 0 is a circle.
        amplitudes: float [harmonics], of the radius. Higher values: a more uneven outline.
        phases: float [harmonics], radians.
        limb_angles: float [limbs], where limbs stand, in radians.
        limb_lengths: float [limbs], beyond the body's radius of 1.
        limb_widths: float [limbs], radians.
        wobble: How much of all this changes over time, 0 (rigid) to 1.
        pace: Cycles of that change per frame. Higher values: it changes faster.
    """

    aspect: float
    corners: int
    amplitudes: NDArray[np.float64]
    phases: NDArray[np.float64]
    limb_angles: NDArray[np.float64]
    limb_lengths: NDArray[np.float64]
    limb_widths: NDArray[np.float64]
    wobble: float
    pace: float


def random_shape(rng: np.random.Generator) -> Shape:
    """One of four families: blob, star, rounded polygon, body with limbs."""
    family = rng.choice(["blob", "star", "polygon", "limbs"])
    amplitudes = rng.normal(0, 0.3 if family == "blob" else 0.08, len(_HARMONICS)) / (_HARMONICS - 1)
    if family == "star":
        amplitudes[rng.integers(1, len(_HARMONICS))] += rng.uniform(0.15, 0.35)
    limbs = int(rng.integers(2, 6)) if family == "limbs" else 0
    return Shape(
        aspect=float(np.exp(rng.normal(0, 0.3))),
        corners=int(rng.integers(3, 7)) if family == "polygon" else 0,
        amplitudes=amplitudes,
        phases=rng.uniform(0, 2 * np.pi, len(_HARMONICS)),
        limb_angles=rng.uniform(0, 2 * np.pi, limbs),
        limb_lengths=rng.uniform(0.4, 1.0, limbs),
        limb_widths=rng.uniform(0.15, 0.35, limbs),
        wobble=rng.choice([0.1, rng.uniform(0.2, 0.8)]),
        pace=rng.uniform(0.01, 0.05),
    )


def similar_shape(rng: np.random.Generator, shape: Shape, difference: float) -> Shape:
    """A look-alike: the same family and proportions but for `difference`, 0 to 1."""
    limbs = len(shape.limb_angles)
    return replace(
        shape,
        aspect=shape.aspect * float(np.exp(rng.normal(0, 0.15 * difference))),
        amplitudes=shape.amplitudes * (1 + rng.normal(0, 0.5 * difference, len(_HARMONICS))),
        phases=shape.phases + rng.normal(0, 0.5 * difference, len(_HARMONICS)),
        limb_angles=shape.limb_angles + rng.normal(0, 0.4 * difference, limbs),
        limb_lengths=shape.limb_lengths * (1 + rng.normal(0, 0.2 * difference, limbs)),
    )


def outlines(rng: np.random.Generator, shape: Shape, frames: int) -> Outlines:
    """The outline on every frame, float64 [T, points, 2]: around (0, 0), with an area of pi on frame 0."""
    angles = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)  # [P]
    turn = 2 * np.pi * shape.pace * np.arange(frames)[:, None]  # [T, 1]

    def swing(count: int) -> NDArray[np.float64]:  # [T, count]
        return shape.wobble * np.sin(turn * rng.uniform(0.7, 1.4, count) + rng.uniform(0, 2 * np.pi, count))

    waves = np.cos(_HARMONICS[:, None] * angles + shape.phases[:, None])  # [H, P]
    radius = 1 + (shape.amplitudes * (1 + swing(len(_HARMONICS)))) @ waves  # [T, P]
    if shape.corners:
        sector = np.pi / shape.corners
        radius *= np.minimum(np.cos(sector) / np.cos(angles % (2 * sector) - sector), 0.93)  # 0.93 rounds the corners
    limbs = len(shape.limb_angles)
    away = angles - (shape.limb_angles + 0.6 * swing(limbs))[..., None]  # [T, L, P]
    away = (away + np.pi) % (2 * np.pi) - np.pi
    radius += (shape.limb_lengths[:, None] * np.exp(-((away / shape.limb_widths[:, None]) ** 2))).sum(axis=1)
    radius = np.maximum(radius, 0.3)

    stretch = np.sqrt(shape.aspect) * np.exp(0.3 * swing(1))  # [T, 1], as if turning out of the picture's plane
    x, y = radius * np.cos(angles) * stretch, radius * np.sin(angles) / stretch
    area = 0.5 * np.sum(x[0, :-1] * y[0, 1:] - y[0, :-1] * x[0, 1:]) + 0.5 * (x[0, -1] * y[0, 0] - y[0, -1] * x[0, 0])
    return np.stack([x, y], axis=2) * np.sqrt(np.pi / area)
