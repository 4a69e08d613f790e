"""Generated scenes: determined by their arguments, true to their labels, varied and hard in the ways promised."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.synthetic import Scene, generate_scene
from sam2rl_tracker.synthetic.filming import Light, Surface, film, make_light, streak_kernels
from sam2rl_tracker.synthetic.motion import leaving_path, random_curve, smooth_curve, wandering_path
from sam2rl_tracker.synthetic.presets import PRESETS, Preset
from sam2rl_tracker.synthetic.shapes import outlines, random_shape
from sam2rl_tracker.synthetic.staging import Body, stage
from sam2rl_tracker.synthetic.textures import fractal_noise, paint, random_texture, similar_texture

SEEDS = range(40)
DEFAULT = PRESETS["default"]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(seed, size=64) for seed in SEEDS]


@pytest.fixture(scope="module")
def casts() -> list[list[Body]]:
    """The bodies behind the scenes of the same seeds."""
    return [stage(np.random.default_rng(seed), 80, 96, 1, 2, DEFAULT) for seed in SEEDS]


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
    for change in ({"seed": 4}, {"objects": 2}, {"distractors": 2}, {"preset": "hard"}):
        other = generate_scene(**{**base, **change})
        assert np.abs(first.images.astype(int) - other.images).mean() > 5, change


@pytest.mark.slow
def test_scenes_are_consistent(scenes):
    for scene in scenes:
        assert_consistent(scene, frames=80, size=64, objects=1)


@pytest.mark.slow
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
        steps.append(np.nanmedian(np.linalg.norm(np.diff(centres, axis=0), axis=1)) / 64)
    assert 0.008 < np.median(steps) < 0.03
    assert max(steps) < 0.06
    assert max(steps) > 3 * min(steps)


def test_more_or_less_half_of_the_targets_disappear_and_return(scenes):
    absent = np.array([~scene.present[:, 0] for scene in scenes])  # [scenes, T]
    assert 0.4 <= absent.any(axis=1).mean() <= 0.7
    assert 0.08 <= absent.mean() <= 0.12
    assert (absent.sum(axis=1) >= 10).sum() >= 8  # and not by the blink of an eye
    assert absent[:, -1].mean() < 0.1


def test_some_targets_leave_the_picture(casts):
    left = 0
    for bodies in casts:
        (target,) = (body for body in bodies if body.label)
        outside = np.any((target.path < 0) | (target.path > 1), axis=1)
        left += outside.any() and not outside[-1]
    assert 6 <= left <= 20


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
        bodies = stage(np.random.default_rng(seed), 80, 96, 3, 0, DEFAULT)
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


# ---------------------------------------------------------------- presets


def test_unknown_preset():
    with pytest.raises(Sam2rlError, match="Preset 'brutal' is unknown: give one of easy, default, busy, hard"):
        generate_scene(0, preset="brutal")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_targets_are_as_large_as_the_preset_says(name):
    least, most = PRESETS[name].area
    for seed in range(25):
        scene = generate_scene(seed, frames=1, size=128, preset=name)
        share = (scene.labels[0] == 1).mean()
        # Up to 15% may be hidden, and OpenCV draws polygons about half a pixel too large.
        assert 0.85 * least < share < (np.sqrt(most) + 1 / 128) ** 2 * 1.05


@pytest.mark.slow
def test_presets_are_ordered(scenes):
    default = np.mean([~scene.present for scene in scenes])
    easy, hard = (
        np.mean([~generate_scene(seed, size=32, preset=name).present for seed in SEEDS[:20]])
        for name in ("easy", "hard")
    )
    assert 0 < easy < 0.7 * default
    assert 1.5 * default < hard < 0.45


def test_the_preset_gives_the_number_of_look_alikes(monkeypatch):
    counts = []

    def counting(rng, frames, size, objects, distractors, preset):
        counts.append(distractors)
        return stage(rng, frames, size, objects, distractors, preset)

    monkeypatch.setattr("sam2rl_tracker.synthetic.scenes.stage", counting)
    for preset in PRESETS:
        generate_scene(0, 2, 32, preset=preset)
    generate_scene(0, 2, 32, distractors=7)
    assert counts == [1, 2, 2, 4, 7]


def test_nothing_jumps_by_more_than_its_radius():
    for seed in range(60):
        for body in stage(np.random.default_rng(seed), 80, 96, 1, 2, DEFAULT):
            if body.label:
                inside = np.all((body.path > 0) & (body.path < 1), axis=1)
                steps = np.linalg.norm(np.diff(body.path, axis=0), axis=1) / body.radius[1:]
                assert steps[inside[1:] & inside[:-1]].max() < 0.7


def test_look_alikes_of_the_easy_preset_can_be_told_apart():
    rng = np.random.default_rng(0)
    assert min(PRESETS["easy"].differences) >= 0.5
    for _ in range(60):
        texture = random_texture(rng)
        other = similar_texture(rng, texture, min(PRESETS["easy"].differences))
        patches = [paint(one, 48).reshape(-1, 3).mean(axis=0) for one in (texture, other)]
        assert np.linalg.norm(patches[0] - patches[1]) > 15 or texture.pattern != other.pattern


# ---------------------------------------------------------------- light, lens and sensor


def changed(monkeypatch: pytest.MonkeyPatch, **knobs: object) -> Scene:
    """The scene of seed 5 in the preset `PLAIN`, with some knobs turned."""
    monkeypatch.setitem(PRESETS, "test", replace(PLAIN, **knobs))
    return generate_scene(5, 12, 128, preset="test")


PLAIN: Preset = replace(
    PRESETS["busy"],
    hiding=0,
    shading=(0, 0),
    shadow=(0, 0),
    light=0,
    switching=0,
    shutter=(0, 0),
    defocus=0,
    noise=0,
    jpeg=0,
    camera=0,
    speed=(0.03, 0.03),
)


@pytest.mark.parametrize(
    ("knobs", "everywhere"),
    [
        ({"shading": (0.9, 0.9)}, False),
        ({"shadow": (0.6, 0.6)}, False),
        ({"shutter": (1, 1)}, False),
        ({"jpeg": 1, "quality": (20, 20)}, True),
        ({"noise": 90}, True),  # at most: this seed has less
        ({"defocus": 1}, True),
        ({"light": 0.3}, True),
        ({"switching": 1}, True),
        ({"camera": 1}, True),
    ],
)
def test_knobs_change_the_picture_and_not_the_truth(monkeypatch, knobs, everywhere):
    plain, other = changed(monkeypatch), changed(monkeypatch, **knobs)
    if "camera" not in knobs:  # whose shake moves everything
        np.testing.assert_array_equal(plain.labels, other.labels)
    differences = np.abs(plain.images.astype(int) - other.images).max(axis=-1)  # [T, s, s]
    assert differences.max() > 15
    share = (differences > 1).mean()
    assert share > 0.5 if everywhere else 0.01 < share < 0.9


def test_jpeg_leaves_blocks(monkeypatch):
    """Differences across the borders of 8x8 blocks grow beside those within blocks."""

    def blockiness(images):
        steps = np.abs(np.diff(images.astype(int), axis=2)).mean(axis=(0, 1, 3))  # [s - 1]
        return steps[7::8].mean() / np.delete(steps, np.s_[7::8]).mean()

    plain, compressed = changed(monkeypatch), changed(monkeypatch, jpeg=1, quality=(8, 8))
    assert blockiness(compressed.images) > 1.2 * blockiness(plain.images)


def white_disc(light: Light, path: np.ndarray, shutter: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """A white disc of radius 0.2 on grey, filmed at size 100."""
    frames, size = len(path), 100
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    body = Body(
        label=1,
        looks_like=1,
        path=path,
        angle=np.zeros(frames),
        radius=np.full(frames, 0.2),
        outline=np.tile(np.stack([np.cos(angles), np.sin(angles)], axis=1), (frames, 1, 1)),
    )
    patch = np.full((50, 50, 3), 150, dtype=np.uint8)
    images, labels = np.full((frames, size, size, 3), 100, np.uint8), np.zeros((frames, size, size), np.uint8)
    film(images, labels, body, Surface(patch, patch, np.zeros(frames), np.zeros((frames, 2))), light, shutter)
    return images[..., 0].astype(int), labels


@pytest.mark.parametrize("angle", [0, 1, 2.5, 4])
def test_bodies_are_brighter_towards_the_light_and_darken_what_is_behind_them(angle):
    towards = np.array([np.cos(angle), np.sin(angle)])
    (image,), _ = white_disc(make_light(towards, shading=0.8, shadow=0.6, distance=0.4), np.array([[0.5, 0.5]]))

    def at(radii):
        column, row = np.rint(49.5 + 20 * radii * towards).astype(int)
        return image[row, column]

    assert at(0.8) > 1.1 * at(0)
    assert at(0) > 1.3 * at(-0.8)
    assert abs(at(0) - 150) < 12
    assert at(-1.2) < 65  # in the shadow
    assert at(1.5) >= 97  # on the bright side
    assert at(-2.4) >= 97  # beyond the shadow
    ring = image[49, 71:80]
    assert np.all(np.abs(np.diff(ring)) < 40)  # soft


def test_light_comes_in_over_the_picture_s_border():
    """The shadow of a body outside falls into the picture, and a body cut by the border is lit as if it went on."""
    light = make_light(np.array([-1.0, 0.0]), shading=0.8, shadow=0.6, distance=0.5)
    (image,), (labels,) = white_disc(light, np.array([[-0.21, 0.5]]))
    assert not labels.any()
    assert image[50, 0] < 90
    (cut,), _ = white_disc(light, np.array([[0.0, 0.5]]))
    (whole,), _ = white_disc(light, np.array([[0.5, 0.5]]))
    assert np.abs(cut[30:70, 2:15] - whole[30:70, 52:65]).max() < 12  # the grids of cells lie differently


def test_moving_bodies_are_smeared_along_their_motion():
    light = make_light(np.array([0.0, -1.0]), 0, 0, 0.2)
    path = np.array([[0.4, 0.5], [0.48, 0.5]])
    sharp, labels = white_disc(light, path)
    smeared, same = white_disc(light, path, shutter=1)
    np.testing.assert_array_equal(labels, same)
    np.testing.assert_array_equal(sharp[0], smeared[0])  # it had not moved yet

    def edge(line):  # pixels neither body nor background
        return np.count_nonzero((line > 105) & (line < 145))

    assert edge(smeared[1][50]) >= edge(sharp[1][50]) + 8
    assert edge(smeared[1][:, 48]) <= edge(sharp[1][:, 48]) + 2


def test_streaks_have_the_length_of_the_motion():
    kernels = streak_kernels(np.array([[0.0, 0.0], [6.0, 0.0], [6.5, 0.0], [6.5, 40.0]]), longest=10)
    assert sorted(kernels) == [1, 3]
    assert kernels[1].sum() == pytest.approx(1)
    assert np.count_nonzero(kernels[1].sum(axis=0) > 0.05) in (6, 7)
    assert kernels[3].shape == (11, 11)


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
    flat = make_light(np.array([0.0, -1.0]), shading=0, shadow=0, distance=0.3)
    film(images, labels, body, Surface(patch, patch, mix=np.zeros(frames), slide=np.zeros((frames, 2))), flat)
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
        path = leaving_path(rng, np.array([0.5, 0.5]), 80, rng.uniform(0.004, 0.025), reach=0.2, absent=(2, 12))
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


@pytest.mark.parametrize("slope", [1.0, 1.5])
def test_fractal_noise_has_a_power_law_spectrum(slope):
    rng = np.random.default_rng(0)
    n = 128
    power = np.mean([np.abs(np.fft.fft2(fractal_noise(rng, n, slope) - 0.5)) ** 2 for _ in range(20)], axis=0)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))
    octaves = [2, 4, 8, 16, 32]
    amplitudes = [np.sqrt(power[(frequencies >= f) & (frequencies < 2 * f)].mean()) for f in octaves]
    assert np.polyfit(np.log(octaves), np.log(amplitudes), 1)[0] == pytest.approx(-slope, abs=0.25)
