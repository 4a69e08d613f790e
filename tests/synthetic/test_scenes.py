"""Generated scenes: determined by their arguments, true to their labels, varied and hard in the ways promised."""

import cv2
import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.synthetic import Scene, generate_scene
from sam2rl_tracker.synthetic.motion import leaving_path, random_curve, smooth_curve, wandering_path
from sam2rl_tracker.synthetic.scenes import _film, _Surface
from sam2rl_tracker.synthetic.shapes import outlines, random_shape
from sam2rl_tracker.synthetic.staging import Body, stage
from sam2rl_tracker.synthetic.textures import paint, random_texture, similar_texture

SEEDS = range(30)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(seed, size=96) for seed in SEEDS]


@pytest.fixture(scope="module")
def casts() -> list[list[Body]]:
    """The bodies behind the scenes of the same seeds."""
    return [stage(np.random.default_rng(seed), 80, 96, objects=1, distractors=2) for seed in SEEDS]


def assert_consistent(scene: Scene, frames: int, size: int, objects: int) -> None:
    assert (scene.images.shape, scene.images.dtype) == ((frames, size, size, 3), np.uint8)
    assert (scene.labels.shape, scene.labels.dtype) == ((frames, size, size), np.uint8)
    assert (scene.present.shape, scene.present.dtype) == ((frames, objects), np.bool_)
    assert scene.labels.max() <= objects
    for k in range(1, objects + 1):
        np.testing.assert_array_equal(scene.present[:, k - 1], (scene.labels == k).any(axis=(1, 2)))
        share = (scene.labels[0] == k).mean()
        assert 0.01 <= share <= 0.25, f"object {k} covers {share:.1%} of frame 0"


# ---------------------------------------------------------------- what every scene is


def test_same_arguments_same_pixels():
    once, again = generate_scene(7, frames=20, objects=2), generate_scene(7, frames=20, objects=2)
    for name in vars(once):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))


def test_every_argument_matters():
    base = {"seed": 3, "frames": 10, "size": 64, "objects": 1, "distractors": 1}
    first = generate_scene(**base)
    for change in ({"seed": 4}, {"objects": 2}, {"distractors": 2}):
        other = generate_scene(**{**base, **change})
        assert np.abs(first.images.astype(int) - other.images).mean() > 5, change


def test_scenes_are_consistent(scenes):
    for scene in scenes:
        assert_consistent(scene, frames=80, size=96, objects=1)


@pytest.mark.parametrize(
    ("frames", "size", "objects", "distractors"),
    [(1, 64, 1, 2), (2, 64, 2, 0), (12, 64, 3, 3), (12, 256, 1, 2), (8, 32, 8, 8), (30, 97, 2, 5), (60, 32, 1, 0)],
)
def test_other_sizes_lengths_and_numbers(frames, size, objects, distractors):
    for seed in range(4):
        scene = generate_scene(seed, frames, size, objects, distractors)
        assert_consistent(scene, frames, size, objects)
        assert scene.present[0].all()


@pytest.mark.parametrize(
    "argument", [{"seed": -1}, {"frames": 0}, {"size": 31}, {"objects": 0}, {"objects": 9}, {"distractors": -1}]
)
def test_arguments_out_of_range(argument):
    ((name, value),) = argument.items()
    with pytest.raises(Sam2rlError, match=f"{name}={value}"):
        generate_scene(**{"seed": 0, **argument})


def test_no_slivers(scenes):
    """The VOT toolkit takes masks of one pixel's width for empty."""
    for scene in scenes:
        for labels in scene.labels:
            _, _, width, height = cv2.boundingRect(labels)
            assert min(width, height) == 0 or min(width, height) >= 3


def test_labels_follow_what_is_seen():
    """Without noise the picture changes abruptly at an object's edge far more often than elsewhere."""
    edges, elsewhere = [], []
    for seed in range(10):
        scene = generate_scene(seed, frames=3, size=128, distractors=0)
        image, mask = scene.images[2].astype(np.int64), scene.labels[2] == 1
        steps = np.abs(np.diff(image, axis=1)).sum(axis=2)  # [h, w - 1]
        border = mask[:, 1:] != mask[:, :-1]
        edges.append(steps[border].mean())
        elsewhere.append(steps[~border].mean())
    assert np.mean(edges) > 2 * np.mean(elsewhere)


# ---------------------------------------------------------------- what scenes are about


def test_targets_move_smoothly_by_a_few_percent(scenes):
    steps = []
    for scene in scenes:
        centres = np.array(
            [np.argwhere(labels).mean(axis=0) if labels.any() else (np.nan,) * 2 for labels in scene.labels]
        )
        steps.append(np.nanmedian(np.linalg.norm(np.diff(centres, axis=0), axis=1)) / 96)
    assert 0.008 < np.median(steps) < 0.03
    assert max(steps) < 0.06
    assert max(steps) > 3 * min(steps)


def test_some_targets_disappear_and_return(scenes):
    returns, lasting, whole = 0, 0, 0
    for scene in scenes:
        present = scene.present[:, 0]
        absent = np.flatnonzero(~present)
        whole += absent.size == 0
        if absent.size and present[absent[0] :].any():
            returns += 1
            lasting += absent.size >= 5
    assert returns >= 8
    assert lasting >= 5
    assert whole >= 5  # and some are seen throughout


def test_some_targets_leave_the_picture(casts):
    left = 0
    for bodies in casts:
        (target,) = (body for body in bodies if body.label)
        outside = np.any((target.path < 0) | (target.path > 1), axis=1)
        left += outside.any() and not outside[-1]
    assert 5 <= left <= 20


def test_targets_are_seen_most_of_the_time(scenes):
    assert np.mean([scene.present.mean() for scene in scenes]) > 0.8
    assert np.mean([scene.present[-5:].any() for scene in scenes]) > 0.8
    assert min(scene.present.mean() for scene in scenes) > 0.3


def test_some_targets_are_covered_in_part(scenes):
    covered = 0
    for scene in scenes:
        areas = np.count_nonzero(scene.labels, axis=(1, 2))
        covered += np.count_nonzero((areas > 0) & (areas < 0.5 * np.median(areas[areas > 0]))) >= 4
    assert covered >= 10


def test_look_alikes_come_close_but_start_apart(casts):
    closest = []
    for bodies in casts:
        (target,) = (body for body in bodies if body.label)
        others = [body for body in bodies if body.looks_like and not body.label]
        assert len(others) == 2
        for other in others:
            distances = np.linalg.norm(other.path - target.path, axis=1) / (target.radius + other.radius)
            closest.append(distances.min())
            assert distances[0] > 1
            assert 0.5 < other.radius[0] / target.radius[0] < 2
    assert np.mean(np.array(closest) < 0.7) > 0.8  # overlapping at some time


def test_objects_cover_each_other():
    """With nothing else in the picture, an object that loses pixels while inside is behind another one."""
    hidden = 0
    for seed in range(12):
        bodies = stage(np.random.default_rng(seed), 80, 96, objects=3, distractors=0)
        paths = np.stack([body.path for body in bodies if body.label])  # [3, T, 2]
        radii = np.stack([body.radius for body in bodies if body.label])
        for a, b in ((0, 1), (0, 2), (1, 2)):
            gaps = np.linalg.norm(paths[a] - paths[b], axis=1)
            hidden += bool((gaps < np.maximum(radii[a], radii[b])).any())
    assert hidden >= 6


def test_appearance_and_light_change(scenes):
    changes = []
    for scene in scenes:
        last = np.flatnonzero(scene.present[:, 0])[-1]
        means = [scene.images[t][scene.labels[t] == 1].mean(axis=0) for t in (0, last)]
        changes.append(np.abs(means[1] - means[0]).max())
    assert np.median(changes) > 10


def test_scenes_differ_widely(scenes):
    colours = np.array([scene.images[0].mean(axis=(0, 1)) for scene in scenes])
    targets = np.array([scene.images[0][scene.labels[0] == 1].mean(axis=0) for scene in scenes])
    areas = np.array([np.count_nonzero(scene.labels[0]) for scene in scenes])
    assert colours.std(axis=0).min() > 15
    assert targets.std(axis=0).min() > 25
    assert areas.max() > 3 * areas.min()


# ---------------------------------------------------------------- parts


def test_surface_moves_and_turns_with_its_body():
    """A disc, red on its left and green on its right, that shifts, grows and makes half a turn in 9 frames."""
    frames, size = 9, 80
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    disc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    body = Body(
        label=3,
        looks_like=3,
        path=np.stack([np.linspace(0.3, 0.7, frames), np.linspace(0.6, 0.4, frames)], axis=1),
        angle=np.linspace(0, np.pi, frames),
        radius=np.linspace(0.15, 0.25, frames),
        outline=np.tile(disc, (frames, 1, 1)),
    )
    patch = np.zeros((40, 40, 3), dtype=np.uint8)
    patch[:, :20, 0] = patch[:, 20:, 1] = 200
    images, labels = np.zeros((frames, size, size, 3), dtype=np.uint8), np.zeros((frames, size, size), dtype=np.uint8)
    _film(images, labels, body, _Surface(patch, patch, mix=np.zeros(frames), slide=np.zeros((frames, 2))))
    for t in range(frames):
        radius = body.radius[t] * size  # OpenCV draws polygons about half a pixel too large, to each side
        assert np.pi * radius**2 < np.count_nonzero(labels[t] == 3) < np.pi * (radius + 1) ** 2
        assert not images[t][cv2.erode((labels[t] == 0).astype(np.uint8), np.ones((5, 5))) > 0].any()
        forward = body.radius[t] * np.array([np.cos(body.angle[t]), np.sin(body.angle[t])]) / 2
        for place, color in ((body.path[t] - forward, [200, 0, 0]), (body.path[t] + forward, [0, 200, 0])):
            column, row = np.rint(place * size - 0.5).astype(int)
            np.testing.assert_array_equal(images[t, row, column], color)


def test_smooth_curve_passes_through_its_keys():
    values = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 0.5]])
    curve = smooth_curve([2, 6, 9], values, 14)
    np.testing.assert_allclose(curve[[2, 6, 9]], values)
    np.testing.assert_allclose(curve[:2], values[[0, 0]])
    np.testing.assert_allclose(curve[10:], np.repeat(values[-1:], 4, axis=0))
    np.testing.assert_allclose(smooth_curve([0, 4, 8], [0, 4, 8], 9), np.arange(9))  # a line stays a line


def test_random_curve_keeps_its_amplitude():
    rng = np.random.default_rng(0)
    curves = np.array([random_curve(rng, 50, 0.3, 10) for _ in range(50)])
    assert 0.25 < np.abs(curves).max() <= 0.3


def test_leaving_path_leaves_once_and_returns():
    rng = np.random.default_rng(0)
    for _ in range(50):
        path = leaving_path(rng, np.array([0.5, 0.5]), 80, rng.uniform(0.004, 0.025), reach=0.2)
        outside = np.any((path < -0.2) | (path > 1.2), axis=1)
        assert 2 <= outside.sum() < 40
        assert np.count_nonzero(np.diff(outside.astype(int)) == 1) == 1
        assert not outside[0]
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)[~(outside[1:] & outside[:-1])]
        assert steps.max() < 0.12  # it jumps only where it is not seen


def test_wandering_path_stays_inside():
    rng = np.random.default_rng(0)
    for _ in range(50):
        path = wandering_path(rng, rng.uniform(0.2, 0.8, 2), 80, rng.uniform(0.004, 0.025))
        assert path.min() > 0
        assert path.max() < 1


def test_outlines_have_unit_area_and_deform():
    rng = np.random.default_rng(0)
    for _ in range(30):
        outline = outlines(rng, random_shape(rng), 40)
        x, y = outline[0].T
        area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
        assert area == pytest.approx(np.pi)
        assert 0.02 < np.abs(outline - outline[0]).max() < 2.5


def test_textures_differ_and_look_alikes_resemble():
    rng = np.random.default_rng(0)

    def colour(texture):
        return paint(texture, 48).reshape(-1, 3).mean(axis=0)

    near, far = [], []
    for _ in range(40):
        texture = random_texture(rng)
        near.append(np.abs(colour(texture) - colour(similar_texture(rng, texture, 0.1))).mean())
        far.append(np.abs(colour(texture) - colour(random_texture(rng))).mean())
    assert np.median(far) > 3 * np.median(near)
