"""A scene: targets, their look-alikes and things that pass in front of them, filmed on a moving background.

What makes it hard is what makes tracking hard: look-alikes cross a target's path, occluders cover it in part or wholly,
it leaves the picture and returns, it turns, deforms and changes colour, and the light changes. How much of all this
there is, a preset says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.synthetic.filming import Light, Pictures, Surface, film, make_light, streak_kernels
from sam2rl_tracker.synthetic.motion import Curve, random_curve, random_curves
from sam2rl_tracker.synthetic.optics import compress, defocus, expose
from sam2rl_tracker.synthetic.presets import Preset, find_preset
from sam2rl_tracker.synthetic.shapes import outlines, random_shape
from sam2rl_tracker.synthetic.staging import Body, rotations, stage
from sam2rl_tracker.synthetic.textures import Texture, aged, paint, random_texture, similar_texture

MAX_OBJECTS = 8
MIN_SIZE = 32

_CANVAS = 1.7  # side of the background in picture sides: what the camera can pan over
_THINNEST = 3  # pixels; the VOT toolkit misreads masks of one pixel's width, and slivers teach nothing


@dataclass(frozen=True)
class Scene:
    """A video and its ground truth.

    Attributes:
        images: uint8 [T, size, size, 3], RGB.
        labels: uint8 [T, size, size], k where object k (from 1) is seen, 0 elsewhere.
        present: bool [T, objects], whether any pixel of an object is seen.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    present: NDArray[np.bool_]


def generate_scene(
    seed: int,
    frames: int = 80,
    size: int = 128,
    objects: int = 1,
    distractors: int | None = None,
    preset: str = "default",
) -> Scene:
    """Generate a scene. Equal arguments give equal pixels (with the same versions of numpy and OpenCV).

    Args:
        seed: Any number from 0.
        frames: Length of the video, from 1. Targets leave the picture only in videos of 60 frames and more.
        size: Side of the square picture in pixels, from 32.
        objects: Number of targets, 1 to 8. On frame 0 each is seen on 1% to 25% of the picture.
        distractors: Number of look-alikes, shared out among the targets; None takes the preset's.
        preset: A name in `presets.PRESETS`: how hard it is.

    Raises:
        Sam2rlError: An argument is out of range, or there is no such preset.
    """
    chosen = find_preset(preset)
    distractors = chosen.distractors if distractors is None else distractors
    _check("seed", seed, 0)
    _check("frames", frames, 1)
    _check("size", size, MIN_SIZE)
    _check("objects", objects, 1, MAX_OBJECTS)
    _check("distractors", distractors, 0)
    rng = np.random.default_rng(seed)
    bodies = stage(rng, frames, size, objects, distractors, chosen)
    textures = [random_texture(rng) for _ in range(objects)]
    surfaces = [_surface(rng, _texture(rng, body, textures, chosen), frames, size // 2, chosen) for body in bodies]
    side = rng.uniform(-1.2, 1.2)  # the light comes from above, more or less
    light = make_light(
        np.array([np.sin(side), -np.cos(side)]),
        shading=rng.uniform(*chosen.shading),
        shadow=rng.uniform(*chosen.shadow),
        distance=rng.uniform(0.15, 0.5),
    )
    shutter = rng.uniform(*chosen.shutter)
    moves = chosen.camera * rng.choice([0.0, rng.uniform(0.2, 1)])
    shake = random_curves(rng, frames, 0.006 * moves, 4, 2)  # [T, 2], of the hand that moves the camera
    shake -= shake[0]  # frame 0 stays fair
    images = _backgrounds(rng, textures, light, size, moves, shake, shutter, chosen)
    labels = np.zeros((frames, size, size), dtype=np.uint8)
    for body, surface in zip(bodies, surfaces, strict=True):
        film(images, labels, replace(body, path=body.path + shake), surface, light, shutter)
    defocus(rng, images, chosen)
    expose(rng, images, chosen)
    compress(rng, images, chosen)
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


def _texture(rng: np.random.Generator, body: Body, textures: list[Texture], preset: Preset) -> Texture:
    if body.label:
        return textures[body.label - 1]
    if body.looks_like:
        return similar_texture(rng, textures[body.looks_like - 1], difference=rng.choice(preset.differences))
    return random_texture(rng, fractal=0.5)


def _surface(rng: np.random.Generator, texture: Texture, frames: int, n: int, preset: Preset) -> Surface:
    change = rng.uniform(0.1, 1) * preset.ageing * min(1, frames / 60)  # a short clip is a part of a long one
    drift = change * np.linspace(0, 1, frames) + random_curve(rng, frames, 0.2 * change, 15)
    patch = paint(texture, n)
    return Surface(
        start=patch,
        end=aged(rng, patch),
        mix=np.clip(drift, 0, 1),
        slide=random_curves(rng, frames, 0.3, 30, 2),
    )


def _backgrounds(
    rng: np.random.Generator,
    textures: list[Texture],
    light: Light,
    size: int,
    moves: float,
    shake: Curve,
    shutter: float,
    preset: Preset,
) -> Pictures:
    """What the camera sees without any body: a cluttered plane that it pans over.

    Args:
        rng: Source of randomness.
        textures: The targets'; some of the clutter has their colours.
        light: The scene's.
        size: Side of the picture in pixels.
        moves: Factor of the camera's motion.
        shake: [T, 2] in picture sides.
        shutter: Share of a frame's time in which the camera's motion smears the picture.
        preset: How hard it is.

    Returns:
        uint8 [T, size, size, 3].
    """
    n, frames = round(_CANVAS * size), len(shake)
    canvas = paint(replace(random_texture(rng, fractal=0.6), markings=0), n)
    nowhere, still = np.zeros((1, n, n), dtype=np.uint8), np.zeros((1, 2))
    # Few are large and many small, as things in the world are; the large ones lie at the back.
    for radius in sorted(0.25 * rng.random(rng.integers(preset.clutter + 1)) ** 2 + 0.03, reverse=True):
        near = similar_texture(rng, textures[rng.integers(len(textures))], 1.0)
        patch = paint(near if rng.random() < 0.2 else random_texture(rng, fractal=0.5), size // 4)
        clutter = Body(
            label=0,
            looks_like=0,
            path=rng.random((1, 2)),
            angle=rng.uniform(0, 2 * np.pi, 1),
            radius=np.array([radius]),
            outline=outlines(rng, random_shape(rng), 1),
        )
        film(canvas[None], nowhere, clutter, Surface(patch, patch, still[:, 0], still), light)
    if rng.random() < 0.5:  # out of focus
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.003, 0.012) * size)

    pan = random_curves(rng, frames, 0.3 * moves, 30, 2) + shake  # [T, 2] sides
    zoom = np.exp(random_curve(rng, frames, 0.12 * moves, 30))[:, None, None]
    linear = zoom * rotations(random_curve(rng, frames, 0.12 * moves, 30))  # [T, 2, 2]
    offset = size / 2 + size * pan - linear.sum(axis=2) * n / 2
    streaks = streak_kernels(shutter * size * pan, longest=0.1 * size)
    views = np.empty((frames, size, size, 3), dtype=np.uint8)
    matrices = np.concatenate([linear, offset[..., None]], axis=2)  # [T, 2, 3]
    for frame, matrix in enumerate(matrices):
        if frame and not moves:
            views[frame] = views[0]
            continue
        cv2.warpAffine(canvas, matrix, (size, size), dst=views[frame], borderMode=cv2.BORDER_REFLECT_101)
        if frame in streaks:
            cv2.filter2D(views[frame], -1, streaks[frame], dst=views[frame])
    return views
