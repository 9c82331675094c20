"""Bootstrap confidence intervals, so that nothing random is shown without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with a bootstrap interval.

    Attributes:
        value: the statistic of the data.
        low, high: ends of the percentile interval.
        level: its coverage, such as 0.95.
        n: number of independent draws behind it (the smaller sample where there are two).
    """

    value: float
    low: float
    high: float
    level: float
    n: int

    @property
    def bounds(self) -> tuple[float, float]:
        """`(low, high)`."""
        return self.low, self.high


def bootstrap(
    samples: tuple[ArrayLike, ...],
    statistic: Callable[..., float],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of `statistic(*samples)`; several samples are resampled independently of one another.

    Each sample is one-dimensional, of independent draws. A sample of one draw has no interval: it is refused.

    Raises:
        ValueError: a sample has fewer than 2 draws, more than one axis, or a value that is not finite.

    Example:
            >>> bootstrap(([1.0, 1.0, 1.0],), np.mean).bounds
            (1.0, 1.0)
    """
    arrays = tuple(np.asarray(s, dtype=float) for s in samples)
    for a in arrays:
        if a.ndim != 1 or len(a) < 2 or not np.isfinite(a).all():
            raise ValueError(
                f"a bootstrap needs one-dimensional finite samples of at least 2 draws, got shape {a.shape} "
                f"with {np.count_nonzero(~np.isfinite(a))} values that are not finite"
            )
    value = float(statistic(*arrays))
    if all(np.ptp(a) == 0 for a in arrays):  # nothing varies: resampling would return the value itself
        return Interval(value, value, value, level, min(map(len, arrays)))
    result = stats.bootstrap(
        arrays,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(value, float(low), float(high), level, min(map(len, arrays)))


def mean(sample: ArrayLike, **options: float) -> Interval:
    """Mean of independent draws, with its interval."""
    return bootstrap((sample,), np.mean, **options)  # type: ignore[arg-type]


def mean_difference(first: ArrayLike, second: ArrayLike, **options: float) -> Interval:
    """Mean of `first` minus mean of `second`, two independent samples, with its interval."""
    return bootstrap((first, second), lambda a, b: float(np.mean(a) - np.mean(b)), **options)  # type: ignore[arg-type]


def auc(positive: ArrayLike, negative: ArrayLike, **options: float) -> Interval:
    """Probability that a positive scores above a negative, ties counted half (the area under the ROC curve)."""
    return bootstrap((positive, negative), _mann_whitney, **options)  # type: ignore[arg-type]


def _mann_whitney(positive: np.ndarray, negative: np.ndarray) -> float:
    statistic = stats.mannwhitneyu(positive, negative, method="asymptotic").statistic
    return float(statistic / (len(positive) * len(negative)))
