"""What light, lens and sensor do to whole pictures; all in place."""

from __future__ import annotations

import cv2
import numpy as np

from sam2rl_tracker.synthetic.filming import Pictures
from sam2rl_tracker.synthetic.motion import random_curve, random_curves
from sam2rl_tracker.synthetic.presets import Preset
from sam2rl_tracker.synthetic.textures import noise


def expose(rng: np.random.Generator, images: Pictures, preset: Preset) -> None:
    """Change brightness and tint over time, let a shadow drift by and add noise."""
    frames, size = images.shape[:2]
    gain = np.exp(random_curve(rng, frames, rng.uniform(0, preset.light), 25))  # [T]
    if rng.random() < preset.switching:
        gain[rng.integers(frames) :] *= rng.choice([rng.uniform(0.5, 0.8), rng.uniform(1.2, 1.4)])
    tint = 1 + random_curves(rng, frames, 0.3 * preset.light, 30, 3)  # [T, 3]
    ramps = np.arange(256)[:, None, None] * (gain[:, None] * tint)[:, None, None]  # [T, 256, 1, 3] value -> lit value
    ramps = np.clip(ramps, 0, 255).astype(np.uint8)
    depth = rng.choice([0, rng.uniform(50, 150)])
    shadow = cv2.merge([(255 - depth * np.clip(noise(rng, 2 * size, 6), 0, 1)).astype(np.uint8)] * 3)  # [2s, 2s, 3]
    drift = size / 2 + random_curves(rng, frames, size / 2, 40, 2)  # [T, 2]
    grain = rng.standard_normal((size + 16, size + 16, 3), dtype=np.float32)
    grain = (np.float32(rng.uniform(0, preset.noise)) * grain).astype(np.int16)
    shifts = rng.integers(17, size=(frames, 2))
    for frame, image in enumerate(images):
        (row, column), (y, x) = drift[frame].astype(int), shifts[frame]
        lit = cv2.LUT(image, ramps[frame])
        if depth:
            lit = cv2.multiply(lit, shadow[row : row + size, column : column + size], scale=1 / 255)
        cv2.add(lit, grain[y : y + size, x : x + size], dst=image, dtype=cv2.CV_8U)


def defocus(rng: np.random.Generator, images: Pictures, preset: Preset) -> None:
    """Make the pictures soft, more or less so over time."""
    if rng.random() >= preset.defocus:
        return
    frames, size = images.shape[:2]
    radii = size / 128 * (rng.uniform(0.3, 0.8) + random_curve(rng, frames, 0.5, 20))  # [T] pixels
    for image, radius in zip(images, radii, strict=True):
        if radius > 0.25:  # less cannot be seen
            cv2.GaussianBlur(image, (0, 0), float(radius), dst=image)


def compress(rng: np.random.Generator, images: Pictures, preset: Preset) -> None:
    """Leave the traces of JPEG compression."""
    if rng.random() >= preset.jpeg:
        return
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*preset.quality))]
    for image in images:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
        cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB, dst=image)
