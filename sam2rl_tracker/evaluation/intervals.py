"""Bootstrap intervals of means over videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ENDS = (2.5, 97.5)  # percentiles between which 95 % lie


def bootstrap_interval(values: Sequence[float] | NDArray[np.float64], resamples: int = 2000) -> tuple[float, float]:
    """The 95 % percentile interval of the mean over videos, by resampling them; the same for the same values.

    For a difference of two trackers, give the differences by video: resampling then keeps the pairs.

    Raises:
        ValueError: There is nothing to resample.
    """
    low, high = np.percentile(_resampled_means(np.asarray(values, dtype=np.float64)[None], resamples)[0], _ENDS)
    return float(low), float(high)


def bootstrap_ratio(
    values: NDArray[np.float64], others: NDArray[np.float64], resamples: int = 2000
) -> tuple[float, float]:
    """The 95 % percentile interval of the ratio of two means over the same videos.

    Where the others' mean is not above 0 the ratio counts as infinite, as it does when that mean comes close to 0
    from above: it says something where the values' mean is positive and the others' hardly ever is not.

    Raises:
        ValueError: There is nothing to resample, or the numbers of values differ.
    """
    above, below = _resampled_means(np.stack([values, others]), resamples)
    ratios = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
    low, high = np.percentile(ratios, _ENDS, method="inverted_cdf")  # between two infinities nothing is interpolated
    return float(low), float(high)


def _resampled_means(values: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """[rows, videos] -> [rows, resamples]; the same draws of videos for all rows."""
    count = values.shape[1]
    if count == 0:
        raise ValueError("no values to resample")
    draws = np.random.default_rng(0).integers(count, size=(resamples, count))
    return np.asarray(values[:, draws].mean(axis=2))
