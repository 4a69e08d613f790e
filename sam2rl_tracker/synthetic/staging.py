"""Who is where on every frame: targets, look-alikes and occluders as geometry, without a pixel.

Lengths are in picture sides, angles in radians, times in frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2rl_tracker.synthetic.motion import Curve, leaving_path, random_curve, smooth_curve, wander, wandering_path
from sam2rl_tracker.synthetic.shapes import Outlines, Shape, outlines, random_shape, similar_shape

FIRST_AREA = (0.01, 0.25)
"""Visible area of every target on frame 0, least and most, as a share of the picture."""

_FIRST_SHARE = 0.75  # of a target's own pixels must be in front on frame 0
_FIRST_GAP = 1.2  # look-alikes are this many times the two radii away then
_ATTEMPTS = 1000  # to place the targets; 8 in 32x32 pixels need 7 on average
_ATTEMPTS_EACH = 20  # to add one more body
_SHORTEST_PLAN = 24  # frames
_EARLIEST_MEETING = 8


@dataclass(frozen=True)
class Body:
    """Something that moves."""

    label: int  # k for target k, 0 for everything else
    looks_like: int  # the target whose surface this is, or resembles; 0 = none
    path: Curve  # [T, 2]
    angle: Curve  # [T]
    radius: Curve  # [T]
    outline: Outlines  # [T, points, 2] in radii, before turning


Box = tuple[slice, slice]  # rows, columns
Contours = NDArray[np.int32]  # [T, points, 2] x and y in sixteenths of a pixel, what cv2 draws with `shift=4`


def contours(body: Body, size: int) -> Contours:
    """The body's outlines in a picture of size x size pixels, whose centres are whole numbers."""
    turned = body.outline @ rotations(body.angle).swapaxes(1, 2)  # [T, points, 2]
    places = body.path[:, None] + body.radius[:, None, None] * turned
    return np.rint(16 * (size * places - 0.5)).astype(np.int32)


def cover(contour: Contours, size: int) -> tuple[Box, NDArray[np.uint8]]:
    """What a contour [points, 2] encloses in a picture of size x size pixels.

    Returns:
        The part of the picture to look at, and the coverage of its pixels, uint8 [h, w], 255 = wholly; may be empty.
    """
    left, top, width, height = cv2.boundingRect(contour)
    rows = slice(max(top // 16 - 1, 0), max(min((top + height) // 16 + 2, size), 0))
    columns = slice(max(left // 16 - 1, 0), max(min((left + width) // 16 + 2, size), 0))
    coverage = np.zeros((max(rows.stop - rows.start, 0), max(columns.stop - columns.start, 0)), dtype=np.uint8)
    if coverage.size:
        corner = np.array([16 * columns.start, 16 * rows.start], dtype=np.int32)
        cv2.fillPoly(coverage, [contour - corner], 255, lineType=cv2.LINE_AA, shift=4)
    return (rows, columns), coverage


def rotations(angles: Curve) -> NDArray[np.float64]:
    """The matrices [T, 2, 2] that turn a column (x, y) by angles [T]."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def stage(rng: np.random.Generator, frames: int, size: int, objects: int, distractors: int) -> list[Body]:
    """The bodies of a scene from back to front, such that frame 0 shows every target well: a prompt must be fair."""
    planned = max(frames, _SHORTEST_PLAN)  # a shorter clip is the beginning of this, not the same in a hurry
    for _ in range(_ATTEMPTS):
        shapes = [random_shape(rng) for _ in range(objects)]
        targets: list[Body] = []
        for shape in shapes:
            targets.append(_target(rng, shape, planned, objects, targets))
        if _fair_start(targets, size):
            break
    else:
        raise RuntimeError(f"no fair first frame with {objects} objects in {_ATTEMPTS} attempts")

    bodies = [targets[i] for i in rng.permutation(objects)]
    for number in range(distractors):
        k = number % objects
        for _ in range(_ATTEMPTS_EACH):
            body, depth = _look_alike(rng, targets[k], shapes[k], planned), int(rng.integers(len(bodies) + 1))
            if _apart(body, targets[k]) and _fair_start([*bodies[:depth], body, *bodies[depth:]], size):
                break
        else:
            depth = 0  # behind everything it hides nothing
        bodies.insert(depth, body)
    for _ in range(rng.choice(4, p=(0.3, 0.35, 0.25, 0.1))):
        for _ in range(_ATTEMPTS_EACH):
            body = _occluder(rng, targets[rng.integers(objects)], planned)
            if _fair_start([*bodies, body], size):
                bodies.append(body)
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


def _body(rng: np.random.Generator, shape: Shape, radius: float, frames: int) -> Body:
    """A body that turns, grows and deforms, but does not yet move."""
    growth = random_curve(rng, frames, rng.uniform(0.05, 0.35), 25)
    spin = rng.choice([0.0, rng.normal(0, 0.03)])  # per frame
    return Body(
        label=0,
        looks_like=0,
        path=np.zeros((frames, 2)),
        angle=rng.uniform(0, 2 * np.pi) + spin * np.arange(frames) + random_curve(rng, frames, 0.5, 20),
        radius=radius * np.exp(growth - growth[0]),
        outline=outlines(rng, shape, frames),
    )


def _target(rng: np.random.Generator, shape: Shape, frames: int, objects: int, others: list[Body]) -> Body:
    area = np.exp(rng.uniform(np.log(0.02), np.log(min(0.14, 0.3 / objects))))
    body = _body(rng, shape, np.sqrt(area / np.pi), frames)
    # The candidate farthest from the others, so that several targets do not start in a heap.
    candidates = rng.uniform(0.18, 0.82, (8, 2))
    starts = np.array([other.path[0] for other in others]).reshape(-1, 2)
    gaps = np.linalg.norm(candidates[:, None] - starts, axis=2).min(axis=1, initial=2)
    start = candidates[gaps.argmax()]
    speed = np.exp(rng.uniform(np.log(0.004), np.log(0.025)))
    reach = (np.linalg.norm(body.outline, axis=2).max(axis=1) * body.radius).max()
    if rng.random() < 0.4:
        path = leaving_path(rng, start, frames, speed, reach)
    else:
        path = wandering_path(rng, start, frames, speed)
    label = len(others) + 1
    return replace(body, label=label, looks_like=label, path=path)


def _look_alike(rng: np.random.Generator, target: Body, shape: Shape, frames: int) -> Body:
    """A body like `target` that keeps it company and changes sides, or that meets it once."""
    body = _body(rng, similar_shape(rng, shape, rng.random()), target.radius[0] * np.exp(rng.normal(0, 0.12)), frames)
    if rng.random() < 0.35:
        gap = rng.uniform(2.2, 4) * target.radius[0]
        keys = np.arange(0, frames + 40, rng.uniform(20, 40))
        sides = np.where(np.arange(len(keys)) % 2, -gap, gap)
        turn = rotations(rng.uniform(0, 2 * np.pi, 1))[0]
        offsets = np.stack([sides, rng.normal(0, 0.3 * gap, len(keys))], axis=1) @ turn
        path = target.path + smooth_curve(keys, offsets, frames)
    else:
        meeting = _pick_visible(rng, target, _EARLIEST_MEETING, frames)
        speed = rng.uniform(0.006, 0.02)
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


def _occluder(rng: np.random.Generator, target: Body, frames: int) -> Body:
    """A bar across the picture or a blob, which covers the target in part or wholly for a while."""
    passing = rng.uniform(8, 26)  # frames from the first touch to the last
    when = _pick_visible(rng, target, 2 + passing / 2, 0.95 * frames)
    radius = target.radius[when] * rng.uniform(0.7, 1.7)
    velocity = np.gradient(target.path, axis=0)[when]
    distance = 2 * (radius + target.radius[when])
    speed = np.linalg.norm(velocity)
    if speed > distance / 30 and rng.random() < 0.5:  # it stands still and the target passes behind
        relative = -velocity
    else:
        direction = rng.choice([0.0, np.pi / 2, np.pi, 1.5 * np.pi, rng.uniform(0, 2 * np.pi)])
        relative = distance / passing * np.array([np.cos(direction), np.sin(direction)])
    path = target.path[when] + (velocity + relative) * (np.arange(frames) - when)[:, None]
    if rng.random() < 0.4:
        return replace(_body(rng, random_shape(rng), 1.2 * radius, frames), path=path)
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
