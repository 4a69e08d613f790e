"""Pictures for tests of what reads and writes them."""

from pathlib import Path

import numpy as np
from PIL import Image as PILImage


def picture(seed: int = 0, height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    PILImage.fromarray(pixels).save(path)
    return path
