"""How hard generated scenes are, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from sam2rl_tracker.errors import Sam2rlError

Range = tuple[float, float]  # least and most


@dataclass(frozen=True)
class Preset:
    """Everything that makes scenes easy or hard. Lengths are in picture sides, times in frames.

    Attributes:
        area: Of a target on frame 0, as a share of the picture. Lower values: smaller targets. Several targets are
            smaller where they would not fit.
        speed: Of a target per frame, while nothing leaves. Higher values: faster targets.
        growth: How far the logarithm of a target's size drifts to either side at most. Higher values: sizes change
            more.
        spin: Standard deviation of a steady turn per frame, in radians. Higher values: targets turn faster.
        wobble: Factor of the deformations. Higher values: outlines change more; 0 is rigid.
        ageing: How much of another colouring has faded in after 60 frames at most, 0 to 1. Higher values: the first
            frame tells less of the later ones.

        leaving: Probability that a target leaves the picture. Higher values: more targets come back from outside.
        hiding: Probability that something covers a target wholly. Higher values: more targets vanish in the picture.
        absent: Frames that a target is away, once wholly out of sight. Higher values: longer absences.
        occluders: Things that cover a target in part, at most. Higher values: less of it is seen.

        distractors: Look-alikes in a scene of one target. Higher values: more to mistake it for.
        differences: From a look-alike to its target, drawn from these: 0 (a twin with other markings) to 1. Lower
            values: easier to mistake.
        company: Probability that a look-alike keeps its target company, instead of crossing its path once. Higher
            values: easier to mistake.

        clutter: Things that lie about, at most, in and around the picture. Higher values: a busier background.
        camera: Factor of pan, zoom, roll and shake. Higher values: the picture moves more.

        shading: Of bodies: 0 is flat, 1 is black on the side away from the light. Higher values: colours change more
            over a body.
        shadow: Darkness of the shadows that bodies cast, 0 to 1. Higher values: darker.
        light: How far the logarithm of the brightness drifts to either side at most. Higher values: it changes more.
        switching: Probability that the light is switched. Higher values: more videos in which all colours jump.

        shutter: Share of a frame's time in which motion smears the picture. Higher values: more blur.
        defocus: Probability that the picture is soft. Higher values: more videos with blurred outlines.
        noise: Standard deviation of the sensor's noise at most, in gray levels. Higher values: grainier pictures.
        jpeg: Probability of compression. Higher values: more videos with artefacts.
        quality: Of the compression, as libjpeg counts. Lower values: more artefacts.
    """

    # Targets
    area: Range
    speed: Range
    growth: float
    spin: float
    wobble: float
    ageing: float

    # Disappearances
    leaving: float
    hiding: float
    absent: Range
    occluders: int

    # Look-alikes
    distractors: int
    differences: tuple[float, ...]
    company: float

    # Background and camera
    clutter: int
    camera: float

    # Light
    shading: Range
    shadow: Range
    light: float
    switching: float

    # Lens and sensor
    shutter: Range
    defocus: float
    noise: float
    jpeg: float
    quality: Range


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
        raise Sam2rlError(f"Preset {name!r} is unknown: give one of {', '.join(PRESETS)}.")
    return PRESETS[name]
