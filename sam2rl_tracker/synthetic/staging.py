"""Who is where on every frame: targets, look-alikes and occluders as geometry, without a pixel.

Lengths are in picture sides, angles in radians, times in frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.synthetic.motion import Curve, leaving_path, random_curve, smooth_curve, wander, wandering_path
from sam2rl_tracker.synthetic.presets import Preset
from sam2rl_tracker.synthetic.shapes import Outlines, Shape, outlines, random_shape, similar_shape

FIRST_AREA = (0.01, 0.25)
"""Visible area of every target on frame 0, least and most, as a share of the picture."""

_FIRST_SHARE = 0.85  # of a target's own pixels must be in front on frame 0
_FIRST_GAP = 1.2  # look-alikes are this many times the two radii away then
_ATTEMPTS = 1000  # to place the targets; 8 in 32x32 pixels need 7 on average
_ATTEMPTS_EACH = 20  # to add one more body
_SHORTEST_PLAN = 24  # frames
_EARLIEST_MEETING = 8
_EARLIEST_COVER = 10
_PACE = (0.015, 0.03)  # picture sides per frame: occluders seen from their targets
_LONGEST_COVER = 40  # frames from the first touch to the last
_WIDEST = 0.3  # radius of what covers a target wholly


@dataclass(frozen=True)
class Body:
    """Something that moves.

    Attributes:
        label: k for target k, 0 for everything else.
        looks_like: The target whose surface this is, or resembles; 0 = none.
        path: float [T, 2], its centre.
        angle: float [T], radians.
        radius: float [T].
        outline: float [T, points, 2], in radii, before turning.
    """

    label: int
    looks_like: int
    path: Curve
    angle: Curve
    radius: Curve
    outline: Outlines


Box = tuple[slice, slice]  # rows, columns
Contours = NDArray[np.int32]  # [T, points, 2] x and y in sixteenths of a pixel, what cv2 draws with `shift=4`


def contours(body: Body, size: int) -> Contours:
    """The body's outlines in a picture of size x size pixels, whose centres are whole numbers."""
    turned = body.outline @ rotations(body.angle).swapaxes(1, 2)  # [T, points, 2]
    places = body.path[:, None] + body.radius[:, None, None] * turned
    return np.rint(16 * (size * places - 0.5)).astype(np.int32)


def cover(contour: Contours, size: int, margin: int = 0) -> tuple[Box, NDArray[np.uint8]]:
    """What a contour [points, 2] encloses in a picture of size x size pixels, and `margin` pixels around it.

    Returns:
        The part of the picture to look at, and the coverage of its pixels, uint8 [h, w], 255 = wholly; may be empty.
    """
    left, top, width, height = cv2.boundingRect(contour)
    around = margin + 1
    rows = slice(max(top // 16 - around, 0), max(min((top + height) // 16 + around + 1, size), 0))
    columns = slice(max(left // 16 - around, 0), max(min((left + width) // 16 + around + 1, size), 0))
    coverage = np.zeros((max(rows.stop - rows.start, 0), max(columns.stop - columns.start, 0)), dtype=np.uint8)
    if coverage.size:
        corner = np.array([16 * columns.start, 16 * rows.start], dtype=np.int32)
        cv2.fillPoly(coverage, [contour - corner], 255, lineType=cv2.LINE_AA, shift=4)
    return (rows, columns), coverage


def rotations(angles: Curve) -> NDArray[np.float64]:
    """The matrices [T, 2, 2] that turn a column (x, y) by angles [T]."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def stage(
    rng: np.random.Generator, frames: int, size: int, objects: int, distractors: int, preset: Preset
) -> list[Body]:
    """The bodies of a scene from back to front, such that frame 0 shows every target well: a prompt must be fair."""
    planned = max(frames, _SHORTEST_PLAN)  # a shorter clip is the beginning of this, not the same in a hurry
    for _ in range(_ATTEMPTS):
        shapes = [random_shape(rng) for _ in range(objects)]
        targets: list[Body] = []
        for shape in shapes:
            targets.append(_target(rng, shape, planned, objects, targets, preset))
        if _fair_start(targets, size):
            break
    else:
        raise RuntimeError(f"no fair first frame with {objects} objects in {_ATTEMPTS} attempts")

    bodies = [targets[i] for i in rng.permutation(objects)]
    for number in range(distractors):
        k = number % objects
        for _ in range(_ATTEMPTS_EACH):
            body = _look_alike(rng, targets[k], shapes[k], planned, preset)
            depth = int(rng.integers(len(bodies) + 1))
            if _apart(body, targets[k]) and _fair_start([*bodies[:depth], body, *bodies[depth:]], size):
                break
        else:
            depth = 0  # behind everything it hides nothing
        bodies.insert(depth, body)
    covers = [False] * rng.integers(preset.occluders + 1) + [True] * (rng.random() < preset.hiding)
    for wholly in covers:
        for _ in range(_ATTEMPTS_EACH):
            occluder = _occluder(rng, targets[rng.integers(objects)], planned, wholly, preset)
            if occluder and _fair_start([*bodies, occluder], size):
                bodies.append(occluder)
                break
    return [_cut(body, frames) for body in bodies]


def _fair_start(bodies: list[Body], size: int) -> bool:
    labels, whole = np.zeros((size, size), dtype=np.uint8), {}
    for body in bodies:
        box, coverage = cover(contours(_cut(body, 1), size)[0], size)
        inside = coverage >= 128
        labels[box][inside] = body.label
        whole[body.label] = np.count_nonzero(inside)
    least, most = (share * labels.size for share in FIRST_AREA)
    seen = {label: np.count_nonzero(labels == label) for label in whole if label}
    return all(max(least, _FIRST_SHARE * whole[label]) <= count <= most for label, count in seen.items())


def _apart(look_alike: Body, target: Body) -> bool:
    distance = np.linalg.norm(look_alike.path[0] - target.path[0])
    return bool(distance > _FIRST_GAP * (look_alike.radius[0] + target.radius[0]))


def _cut(body: Body, frames: int) -> Body:
    return replace(
        body,
        path=body.path[:frames],
        angle=body.angle[:frames],
        radius=body.radius[:frames],
        outline=body.outline[:frames],
    )


def _body(rng: np.random.Generator, shape: Shape, radius: float, frames: int, preset: Preset) -> Body:
    """A body that turns, grows and deforms, but does not yet move."""
    growth = random_curve(rng, frames, rng.uniform(0.2, 1) * preset.growth, 25)
    spin = rng.choice([0.0, rng.normal(0, preset.spin)])  # per frame
    return Body(
        label=0,
        looks_like=0,
        path=np.zeros((frames, 2)),
        angle=rng.uniform(0, 2 * np.pi) + spin * np.arange(frames) + random_curve(rng, frames, 0.5, 20),
        radius=radius * np.exp(growth - growth[0]),
        outline=outlines(rng, replace(shape, wobble=preset.wobble * shape.wobble), frames),
    )


def _target(
    rng: np.random.Generator, shape: Shape, frames: int, objects: int, others: list[Body], preset: Preset
) -> Body:
    most = min(preset.area[1], 0.3 / objects)
    area = _log_uniform(rng, (min(preset.area[0], 0.6 * most), most))
    body = _body(rng, shape, np.sqrt(area / np.pi), frames, preset)
    # The candidate farthest from the others, so that several targets do not start in a heap.
    candidates = rng.uniform(0.18, 0.82, (8, 2))
    starts = np.array([other.path[0] for other in others]).reshape(-1, 2)
    gaps = np.linalg.norm(candidates[:, None] - starts, axis=2).min(axis=1, initial=2)
    start = candidates[gaps.argmax()]
    speed = _log_uniform(rng, preset.speed)
    reach = (np.linalg.norm(body.outline, axis=2).max(axis=1) * body.radius).max()
    if rng.random() < preset.leaving:
        path = leaving_path(rng, start, frames, speed, reach, preset.absent)
    else:
        path = wandering_path(rng, start, frames, speed)
    label = len(others) + 1
    return replace(body, label=label, looks_like=label, path=path)


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _look_alike(rng: np.random.Generator, target: Body, shape: Shape, frames: int, preset: Preset) -> Body:
    """A body like `target` that keeps it company and changes sides, or that meets it once."""
    radius = target.radius[0] * np.exp(rng.normal(0, 0.12))
    body = _body(rng, similar_shape(rng, shape, rng.random()), radius, frames, preset)
    if rng.random() < preset.company:
        gap = rng.uniform(2.2, 4) * target.radius[0]
        keys = np.arange(0, frames + 40, rng.uniform(20, 40))
        sides = np.where(np.arange(len(keys)) % 2, -gap, gap)
        turn = rotations(rng.uniform(0, 2 * np.pi, 1))[0]
        offsets = np.stack([sides, rng.normal(0, 0.3 * gap, len(keys))], axis=1) @ turn
        path = target.path + smooth_curve(keys, offsets, frames)
    else:
        meeting = _pick_visible(rng, target, _EARLIEST_MEETING, frames)
        speed = _log_uniform(rng, preset.speed)
        before, places_before = wander(rng, target.path[meeting], 0, meeting, speed)  # backwards from the meeting
        after, places_after = wander(rng, target.path[meeting], meeting, frames, speed)
        keys = np.array([*(meeting - np.array(before[:0:-1])), *after])
        path = smooth_curve(keys, [*places_before[:0:-1], *places_after], frames)
    return replace(body, looks_like=target.looks_like, path=path)


def _pick_visible(rng: np.random.Generator, target: Body, begin: float, end: float) -> int:
    """A random frame from `begin` to `end` with the target in the picture, or the nearest thing to it."""
    inside = np.flatnonzero(np.all((target.path > 0.05) & (target.path < 0.95), axis=1))
    wanted = inside[(inside >= begin) & (inside < end)]
    return int(rng.choice(wanted)) if wanted.size else int(inside[-1])


def _occluder(rng: np.random.Generator, target: Body, frames: int, wholly: bool, preset: Preset) -> Body | None:
    """A bar across the picture or a blob, which covers the target in part or wholly; None if it would for too long."""
    when = _pick_visible(rng, target, _EARLIEST_COVER, 0.9 * frames)
    turned = target.radius[when] * target.outline[when] @ rotations(target.angle[when : when + 1])[0].T  # [points, 2]
    velocity = np.gradient(target.path, axis=0)[when]
    speed = float(np.linalg.norm(velocity))
    pace = rng.uniform(*_PACE)  # of the occluder as seen from the target
    if speed > _PACE[0] and rng.random() < 0.5:  # it stands still and the target passes behind
        relative = -velocity
    else:
        direction = rng.choice([0.0, np.pi / 2, np.pi, 1.5 * np.pi, rng.uniform(0, 2 * np.pi)])
        relative = pace * np.array([np.cos(direction), np.sin(direction)])
    pace = float(np.linalg.norm(relative))
    half = np.abs(turned @ (relative / pace)).max()  # of the target's extent in the direction of passing
    if wholly:
        radius = max(min(half + pace * rng.uniform(*preset.absent) / 2, _WIDEST), 1.1 * half)
    else:
        radius = half * rng.uniform(0.35, 0.75)
    path = target.path[when] + (velocity + relative) * (np.arange(frames) - when)[:, None]
    gaps = np.abs((path - target.path) @ (relative / pace))  # [T]
    hidden, touched = np.count_nonzero(gaps < radius - half), np.count_nonzero(gaps < radius + half)
    if hidden > preset.absent[1] or touched > _LONGEST_COVER:  # the target has turned and goes along
        return None
    if rng.random() < 0.4:
        return replace(_body(rng, random_shape(rng), 1.25 * radius, frames, preset), path=path)
    length = 3 / radius  # beyond the picture wherever the middle of the bar is in it
    bar = np.array([[-1, -length], [1, -length], [1, length], [-1, length]])
    return Body(
        label=0,
        looks_like=0,
        path=path,
        angle=np.full(frames, np.arctan2(relative[1], relative[0])),
        radius=np.full(frames, radius),
        outline=np.tile(bar, (frames, 1, 1)),
    )
