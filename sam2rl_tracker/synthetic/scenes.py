"""A scene: targets, their look-alikes and things that pass in front of them, filmed on a moving background.

What makes it hard is what makes tracking hard: look-alikes cross a target's path, occluders cover it in part or wholly,
it leaves the picture and returns, it turns, deforms and changes colour, and the light changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.synthetic.motion import Curve, random_curve
from sam2rl_tracker.synthetic.shapes import outlines, random_shape
from sam2rl_tracker.synthetic.staging import Body, contours, cover, rotations, stage
from sam2rl_tracker.synthetic.textures import (
    Patch,
    Texture,
    aged_texture,
    noise,
    paint,
    random_texture,
    similar_texture,
)

MAX_OBJECTS = 8
MIN_SIZE = 32

_PATCH_REACH = 1.8  # a patch of texture covers this many radii to each side of a body's centre
_CANVAS = 1.7  # side of the background in picture sides: what the camera can pan over
_THINNEST = 3  # pixels; the VOT toolkit misreads masks of one pixel's width, and slivers teach nothing

Pictures = NDArray[np.uint8]  # [T, size, size, 3]


@dataclass(frozen=True)
class Scene:
    """A video and its ground truth."""

    images: NDArray[np.uint8]  # [T, size, size, 3] RGB
    labels: NDArray[np.uint8]  # [T, size, size]: k where object k (from 1) is seen, 0 elsewhere
    present: NDArray[np.bool_]  # [T, objects]: any pixel seen


def generate_scene(seed: int, frames: int = 80, size: int = 128, objects: int = 1, distractors: int = 2) -> Scene:
    """Generate a scene. Equal arguments give equal pixels (with the same versions of numpy and OpenCV).

    Args:
        seed: Any number from 0.
        frames: Length of the video, from 1. Targets leave the picture only in videos of 60 frames and more.
        size: Side of the square picture in pixels, from 32.
        objects: Number of targets, 1 to 8. On frame 0 each is seen on 1% to 25% of the picture.
        distractors: Number of look-alikes, shared out among the targets.

    Raises:
        Sam2rlError: An argument is out of range.
    """
    _check("seed", seed, 0)
    _check("frames", frames, 1)
    _check("size", size, MIN_SIZE)
    _check("objects", objects, 1, MAX_OBJECTS)
    _check("distractors", distractors, 0)
    rng = np.random.default_rng(seed)
    bodies = stage(rng, frames, size, objects, distractors)
    textures = [random_texture(rng) for _ in range(objects)]
    surfaces = [_surface(rng, _texture(rng, body, textures), frames, size // 2) for body in bodies]
    images = _backgrounds(rng, textures, frames, size)
    labels = np.zeros((frames, size, size), dtype=np.uint8)
    for body, surface in zip(bodies, surfaces, strict=True):
        _film(images, labels, body, surface)
    if rng.random() < 0.3:
        _soften(images, rng.uniform(0.3, 0.8) * size / 128)
    _light(rng, images)
    present = [[_seen(frame, k) for k in range(1, objects + 1)] for frame in labels]
    return Scene(images, labels, np.array(present))


def _check(name: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        raise Sam2rlError(f"A scene cannot have {name}={value}, expected {limits}.")


def _seen(labels: NDArray[np.uint8], k: int) -> bool:
    """Whether object k is seen; a sliver of it is erased from `labels`."""
    mask = cv2.compare(labels, k, cv2.CMP_EQ)
    width, height = cv2.boundingRect(mask)[2:]
    if 0 < min(width, height) < _THINNEST:
        labels[mask > 0] = 0
    return min(width, height) >= _THINNEST


# ---------------------------------------------------------------- surfaces


@dataclass(frozen=True)
class _Surface:
    """How a body looks: a patch that fades from `start` to `end` and slides under the outline."""

    start: Patch
    end: Patch
    mix: Curve  # [T] 0..1
    slide: Curve  # [T, 2] in radii


def _texture(rng: np.random.Generator, body: Body, textures: list[Texture]) -> Texture:
    if body.label:
        return textures[body.label - 1]
    if body.looks_like:
        return similar_texture(rng, textures[body.looks_like - 1], difference=rng.choice([0.1, 0.4, 0.8]))
    return random_texture(rng)


def _surface(rng: np.random.Generator, texture: Texture, frames: int, n: int) -> _Surface:
    change = rng.uniform(0.1, 0.9) * min(1, frames / 60)  # a short clip is a part of a long one, not a fast one
    drift = change * np.linspace(0, 1, frames) + random_curve(rng, frames, 0.2 * change, 15)
    return _Surface(
        start=paint(texture, n),
        end=paint(aged_texture(rng, texture), n),
        mix=np.clip(drift, 0, 1),
        slide=np.stack([random_curve(rng, frames, 0.3, 30) for _ in range(2)], axis=1),
    )


def _film(images: Pictures, labels: NDArray[np.uint8], body: Body, surface: _Surface) -> None:
    """Draw a body into every frame, in front of what is there: images [T, s, s, 3], labels [T, s, s]."""
    size, n = images.shape[1], len(surface.start)
    # From pixels of the patch to pixels of the picture: scale and turn, then bring the centre to its place.
    turn = rotations(body.angle) * (body.radius * size)[:, None, None]  # [T, 2, 2] radii -> pixels
    linear = turn * (2 * _PATCH_REACH / n)
    centre = size * body.path - 0.5 + (turn @ surface.slide[..., None])[..., 0]  # [T, 2]
    offset = centre - linear.sum(axis=2) * (n / 2 - 0.5)
    matrices = np.concatenate([linear, offset[..., None]], axis=2)  # [T, 2, 3]
    for frame, contour in enumerate(contours(body, size)):
        box, coverage = cover(contour, size)
        if coverage.size == 0:
            continue
        mix = surface.mix[frame]
        patch = cv2.addWeighted(surface.start, 1 - mix, surface.end, mix, 0)
        matrix = matrices[frame]
        matrix[:, 2] -= box[1].start, box[0].start
        skin = cv2.warpAffine(patch, matrix, coverage.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
        weight = coverage * np.float32(1 / 255)
        images[frame][box] = cv2.blendLinear(skin, images[frame][box], weight, 1 - weight)
        labels[frame][box][coverage >= 128] = body.label


# ---------------------------------------------------------------- camera and light


def _backgrounds(rng: np.random.Generator, textures: list[Texture], frames: int, size: int) -> Pictures:
    """What the camera sees without any body, uint8 [T, size, size, 3]: a cluttered plane that it pans over."""
    n = round(_CANVAS * size)
    canvas = paint(random_texture(rng), n)
    for _ in range(rng.integers(0, 12)):
        near = similar_texture(rng, textures[rng.integers(len(textures))], 1.0)  # clutter in the targets' own colours
        patch = paint(near if rng.random() < 0.3 else random_texture(rng), size // 2)
        still = np.zeros((1, 2))
        clutter = Body(
            label=0,
            looks_like=0,
            path=rng.random((1, 2)),
            angle=rng.uniform(0, 2 * np.pi, 1),
            radius=rng.uniform(0.03, 0.13, 1),
            outline=outlines(rng, random_shape(rng), 1),
        )
        _film(canvas[None], np.zeros((1, n, n), dtype=np.uint8), clutter, _Surface(patch, patch, still[:, 0], still))
    if rng.random() < 0.5:  # out of focus
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.003, 0.015) * size)

    moves = rng.choice([0.0, rng.uniform(0.2, 1)])
    pan = np.stack([random_curve(rng, frames, 0.3 * moves * size, 30) for _ in range(2)], axis=1)  # [T, 2] pixels
    zoom = np.exp(random_curve(rng, frames, 0.12 * moves, 30))[:, None, None]
    linear = zoom * rotations(random_curve(rng, frames, 0.12 * moves, 30))  # [T, 2, 2]
    offset = size / 2 + pan - linear.sum(axis=2) * n / 2
    views = np.empty((frames, size, size, 3), dtype=np.uint8)
    for view, matrix in zip(views, np.concatenate([linear, offset[..., None]], axis=2), strict=True):
        cv2.warpAffine(canvas, matrix, (size, size), dst=view, borderMode=cv2.BORDER_REFLECT_101)
    return views


def _soften(images: Pictures, radius: float) -> None:
    for image in images:
        cv2.GaussianBlur(image, (0, 0), radius, dst=image)


def _light(rng: np.random.Generator, images: Pictures) -> None:
    """Change brightness and tint over time, let a shadow drift by and add noise; in place."""
    frames, size = images.shape[:2]
    gain = np.exp(random_curve(rng, frames, rng.uniform(0, 0.25), 25))  # [T]
    if rng.random() < 0.2:  # the light is switched
        gain[rng.integers(frames) :] *= rng.choice([rng.uniform(0.5, 0.8), rng.uniform(1.25, 1.6)])
    tint = 1 + np.stack([random_curve(rng, frames, 0.08, 30) for _ in range(3)], axis=1)  # [T, 3]
    ramps = np.arange(256)[:, None, None] * (gain[:, None] * tint)[:, None, None]  # [T, 256, 1, 3] value -> lit value
    depth = float(rng.choice([0.0, rng.uniform(0.2, 0.6)]))
    shadow = cv2.merge([1 - depth * np.clip(noise(rng, 2 * size, 6), 0, 1)] * 3)  # [2 size, 2 size, 3]
    drift = size / 2 + np.stack([random_curve(rng, frames, size / 2, 40) for _ in range(2)], axis=1)  # [T, 2]
    grain = rng.uniform(0, 8) * rng.standard_normal((size + 32, size + 32, 3), dtype=np.float32)
    shifts = rng.integers(32, size=(frames, 2))
    for frame, image in enumerate(images):
        (row, column), (y, x) = drift[frame].astype(int), shifts[frame]
        lit = cv2.LUT(image, ramps[frame].astype(np.float32))
        lit = cv2.multiply(lit, shadow[row : row + size, column : column + size])
        cv2.add(lit, grain[y : y + size, x : x + size], dst=image, dtype=cv2.CV_8U)
