"""How hard generated scenes are, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from sam2rl_tracker.errors import Sam2rlError

Range = tuple[float, float]  # least and most


@dataclass(frozen=True)
class Preset:
    """Everything that makes scenes easy or hard. Lengths are in picture sides, times in frames."""

    # Targets
    area: Range  # on frame 0, as a share of the picture; several targets are smaller where they would not fit
    speed: Range  # per frame, while nothing leaves
    growth: float  # logarithm of the size: how far it drifts to either side at most
    spin: float  # standard deviation of a steady turn per frame, radians
    wobble: float  # factor of the deformations
    ageing: float  # how much of another colouring has faded in after 60 frames at most, 0 to 1

    # Disappearances
    leaving: float  # probability that a target leaves the picture
    hiding: float  # probability that something covers a target wholly
    absent: Range  # frames away, once wholly out of sight
    occluders: int  # that cover a target in part, at most

    # Look-alikes
    distractors: int
    differences: tuple[float, ...]  # to their targets, drawn from these: 0 (a twin with other markings) to 1
    company: float  # probability that one keeps its target company, instead of crossing its path once

    # Background and camera
    clutter: int  # things that lie about, at most, in and around the picture
    camera: float  # factor of pan, zoom, roll and shake

    # Light
    shading: Range  # of bodies: 0 is flat, 1 is black on the side away from the light
    shadow: Range  # darkness of the shadows that bodies cast, 0 to 1
    light: float  # logarithm of the brightness: how far it drifts to either side at most
    switching: float  # probability that the light is switched

    # Lens and sensor
    shutter: Range  # share of a frame's time in which motion smears the picture
    defocus: float  # probability that the picture is soft
    noise: float  # standard deviation, gray levels, at most
    jpeg: float  # probability of compression
    quality: Range  # of it, as libjpeg counts


PRESETS: dict[str, Preset] = {
    "easy": Preset(
        area=(0.05, 0.15),
        speed=(0.003, 0.012),
        growth=0.2,
        spin=0.015,
        wobble=0.7,
        ageing=0.3,
        leaving=0.12,
        hiding=0.1,
        absent=(2, 8),
        occluders=1,
        distractors=1,
        differences=(0.6, 0.8, 1.0),
        company=0.1,
        clutter=8,
        camera=0.5,
        shading=(0.4, 0.8),
        shadow=(0.1, 0.5),
        light=0.15,
        switching=0.05,
        shutter=(0, 0.5),
        defocus=0.15,
        noise=4,
        jpeg=0.3,
        quality=(60, 95),
    ),
    "default": Preset(
        area=(0.042, 0.15),
        speed=(0.0035, 0.014),
        growth=0.2,
        spin=0.015,
        wobble=0.8,
        ageing=0.3,
        leaving=0.25,
        hiding=0.22,
        absent=(3, 12),
        occluders=2,
        distractors=2,
        differences=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        company=0.2,
        clutter=8,
        camera=0.5,
        shading=(0.4, 0.8),
        shadow=(0.1, 0.6),
        light=0.15,
        switching=0.05,
        shutter=(0, 0.5),
        defocus=0.15,
        noise=4,
        jpeg=0.3,
        quality=(60, 95),
    ),
    "busy": Preset(
        area=(0.034, 0.15),
        speed=(0.004, 0.018),
        growth=0.25,
        spin=0.025,
        wobble=1,
        ageing=0.5,
        leaving=0.3,
        hiding=0.28,
        absent=(3, 14),
        occluders=2,
        distractors=2,
        differences=(0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        company=0.3,
        clutter=14,
        camera=1,
        shading=(0.3, 0.9),
        shadow=(0.1, 0.6),
        light=0.25,
        switching=0.15,
        shutter=(0, 0.9),
        defocus=0.25,
        noise=7,
        jpeg=0.4,
        quality=(35, 95),
    ),
    "hard": Preset(
        area=(0.012, 0.05),
        speed=(0.006, 0.026),
        growth=0.35,
        spin=0.04,
        wobble=1.2,
        ageing=0.9,
        leaving=0.5,
        hiding=0.45,
        absent=(8, 26),
        occluders=3,
        distractors=4,
        differences=(0.1, 0.1, 0.2, 0.4, 0.8),
        company=0.4,
        clutter=20,
        camera=1.2,
        shading=(0.2, 0.95),
        shadow=(0, 0.7),
        light=0.35,
        switching=0.25,
        shutter=(0, 1),
        defocus=0.4,
        noise=10,
        jpeg=0.7,
        quality=(20, 80),
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        Sam2rlError: There is none.
    """
    if name not in PRESETS:
        raise Sam2rlError(f"preset {name!r} is unknown: give one of {', '.join(PRESETS)}")
    return PRESETS[name]
