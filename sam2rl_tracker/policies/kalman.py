"""A constant-velocity Kalman filter over boxes, with DeepSORT's noise (Wojke et al., arXiv:1703.07402)."""

from __future__ import annotations

import numpy as np

_POSITION = 1 / 20  # standard deviations, relative to the box's height
_VELOCITY = 1 / 160
_ASPECT, _ASPECT_VELOCITY, _ASPECT_MEASURED = 1e-2, 1e-5, 1e-1  # absolute: the aspect has no unit


class BoxFilter:
    """State: centre x, centre y, aspect (width / height), height, and their velocities per frame.

    Args:
        box: (xmin, ymin, xmax, ymax), in pixels, of the first measurement.
    """

    def __init__(self, box: np.ndarray):
        measured = _to_state(box)
        self._mean = np.concatenate([measured, np.zeros(4)])
        height = measured[3]
        self._covariance = np.diag(
            _noise(2 * _POSITION * height, _ASPECT, 10 * _VELOCITY * height, _ASPECT_VELOCITY) ** 2
        )
        self._motion = np.eye(8) + np.eye(8, k=4)

    def predict(self) -> np.ndarray:
        """Move one frame on; the expected box (xmin, ymin, xmax, ymax)."""
        height = self._mean[3]
        noise = _noise(_POSITION * height, _ASPECT, _VELOCITY * height, _ASPECT_VELOCITY)
        self._mean = self._motion @ self._mean
        self._covariance = self._motion @ self._covariance @ self._motion.T + np.diag(noise**2)
        return _to_box(self._mean[:4])

    def update(self, box: np.ndarray) -> None:
        """Correct the state by a measured box."""
        height = self._mean[3]
        position = _POSITION * height
        noise = np.array([position, position, _ASPECT_MEASURED, position])
        projected = self._covariance[:4, :4] + np.diag(noise**2)
        gain = np.linalg.solve(projected, self._covariance[:4]).T
        self._mean = self._mean + gain @ (_to_state(box) - self._mean[:4])
        self._covariance = self._covariance - gain @ projected @ gain.T


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes (xmin, ymin, xmax, ymax); 0 where both are empty."""
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap
    return float(overlap / union) if union > 0 else 0.0


def _noise(position: float, aspect: float, velocity: float, aspect_velocity: float) -> np.ndarray:
    return np.array([position, position, aspect, position, velocity, velocity, aspect_velocity, velocity])


def _to_state(box: np.ndarray) -> np.ndarray:
    xmin, ymin, xmax, ymax = (float(value) for value in box)
    width, height = xmax - xmin, ymax - ymin or 1.0  # a flat box is taken as one pixel high
    return np.array([xmin + width / 2, ymin + height / 2, width / height, height])


def _to_box(state: np.ndarray) -> np.ndarray:
    x, y, aspect, height = state
    width = aspect * height
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
