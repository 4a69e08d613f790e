"""Bootstrap intervals of means over videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

FEW = 6
"""With fewer videos all of them may differ the same way by chance too often for an interval to prove anything."""

_RESAMPLES = 2000


def bootstrap_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the mean over videos, by resampling them; the same for the same values.

    For a difference of two trackers, give the differences by video: resampling then keeps the pairs.

    Raises:
        ValueError: There is nothing to resample.
    """
    low, high = np.percentile(_resampled_means([values])[0], (2.5, 97.5))
    return float(low), float(high)


def bootstrap_ratio(values: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the ratio of two means over the same videos.

    Where the others' mean is not above 0 the ratio counts as infinite, as it does when that mean comes close to 0
    from above: it says something where the values' mean is positive and the others' hardly ever is not.

    Raises:
        ValueError: There is nothing to resample, or the numbers of values differ.
    """
    above, below = _resampled_means([values, others])
    ratios = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
    # Between two infinities nothing can be interpolated, as SciPy's own interval would.
    low, high = np.percentile(ratios, (2.5, 97.5), method="inverted_cdf")
    return float(low), float(high)


def _resampled_means(rows: Sequence[Sequence[float] | NDArray[np.float64]]) -> NDArray[np.float64]:
    """[rows, videos] -> [rows, _RESAMPLES]; the same draws of videos for all rows."""
    values = np.stack([np.asarray(row, dtype=np.float64) for row in rows])
    if values.size == 0:
        raise ValueError("no values to resample")
    if values.shape[1] == 1:  # SciPy resamples two or more
        return np.repeat(values, _RESAMPLES, axis=1)
    drawn = bootstrap(
        tuple(values), _means, paired=True, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return np.asarray(drawn.bootstrap_distribution)


def _means(*rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.stack([row.mean(axis=axis) for row in rows])
