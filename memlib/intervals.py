"""Confidence intervals, so that nothing random is shown without one.

| of                          | function     | method                                  |
|-----------------------------|--------------|-----------------------------------------|
| a mean                      | `mean`       | Student (1908)                          |
| a median, any quantile      | `quantile`   | order statistics (Thompson 1936)        |
| a share                     | `proportion` | Wilson (1927)                           |
| an area under the ROC curve | `auc`        | Newcombe (2006), Hanley & McNeil (1982) |
| anything else               | `bootstrap`  | percentiles (Efron & Tibshirani 1993)   |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import scipy  # loads the parts that are used, when they are: statistics take a second
from numpy.typing import ArrayLike

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
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

    def clipped(self, low: float = -math.inf, high: float = math.inf) -> Interval:
        """The interval cut to `[low, high]`, outside which the quantity cannot lie.

        Example:
            >>> Interval(0.9, 0.7, 1.1, level=0.95, n=4).clipped(0.0, 1.0).bounds
            (0.7, 1.0)
        """
        value, lower, upper = (min(max(number, low), high) for number in (self.value, self.low, self.high))
        return replace(self, value=value, low=lower, high=upper)

    def __format__(self, spec: str) -> str:
        """The estimate and its bounds, each as `spec` says.

        Example:
            >>> f"{Interval(0.5, 0.25, 0.75, level=0.95, n=4):.2f}"
            '0.50 (0.25 to 0.75)'
        """
        value, low, high = (format(number, spec) for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


def mean(sample: ArrayLike, *, level: float = 0.95) -> Interval:
    """Mean of independent draws `(n,)` with Student's interval, which a handful of draws need.

    Args:
        sample: `(n,)`, at least 2 draws.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: fewer than 2 draws, more than one axis, or a value that is not finite.

    Example:
        >>> mean([1.0, 1.0, 1.0]).bounds
        (1.0, 1.0)
    """
    draws = checked(sample)
    if np.ptp(draws) == 0:  # scipy warns of lost precision where nothing varies
        return Interval(float(draws[0]), float(draws[0]), float(draws[0]), level, len(draws))
    low, high = scipy.stats.ttest_1samp(draws, 0.0).confidence_interval(level)
    return Interval(float(draws.mean()), float(low), float(high), level, len(draws))


def quantile(sample: ArrayLike, share: float = 0.5, *, level: float = 0.95) -> Interval:
    """The quantile below which a share of a distribution lies, the median by default, of independent draws.

    The interval reaches from one order statistic to another and holds the quantile of *every* distribution at
    least as often as `level` says, because the number of draws below it is binomial (Thompson 1936). Take it
    where single draws are far out: Student's interval of a mean misses what such draws add as long as none of
    them was drawn. With too few draws for the level an end is infinite.

    Args:
        sample: `(n,)`, at least 2 draws.
        share: of the distribution below the quantile, in [0, 1].
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: another share, or as in `mean`.

    Example:
        >>> quantile(range(101)).bounds
        (40.0, 60.0)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    ranked = np.sort(checked(sample))
    n, tail = len(ranked), (1 - level) / 2
    padded = np.concatenate([[-np.inf], ranked, [np.inf]])  # rank r at position r
    below = scipy.stats.binom.ppf([tail, 1 - tail], n, share).astype(int)
    low, high = padded[below[0]], padded[below[1] + 1]
    return Interval(float(np.quantile(ranked, share)), float(low), float(high), level, n)


def proportion(successes: ArrayLike, *, level: float = 0.95) -> Interval:
    """Share of true values among draws `(n,)` with Wilson's interval, which keeps its width at 0 and 1.

    Args:
        successes: `(n,)`, each true or false, or 1 or 0.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: another value, or as in `mean`.

    Example:
        >>> proportion([True] * 20).high
        1.0
    """
    draws = checked(successes)
    if not np.isin(draws, (0.0, 1.0)).all():
        raise ValueError(f"a proportion counts true and false, got values such as {draws[:3].tolist()}")
    found = scipy.stats.binomtest(int(draws.sum()), len(draws)).proportion_ci(level, method="wilson")
    return Interval(float(draws.mean()), float(found.low), float(found.high), level, len(draws))


def roc_area(positive: ArrayLike, negative: ArrayLike) -> float:
    """The value of `auc` without its interval, for which one score `(1,)` on a side is enough.

    Args:
        positive: scores `(m,)`.
        negative: scores `(n,)`.

    Raises:
        ValueError: no score on one side, or one that is not finite.

    Example:
        >>> roc_area([2.0], [1.0, 2.0])
        0.75
    """
    a, b = checked(positive, least=1), checked(negative, least=1)
    return float(scipy.stats.mannwhitneyu(a, b, method="asymptotic").statistic / (len(a) * len(b)))


def auc(positive: ArrayLike, negative: ArrayLike, *, level: float = 0.95) -> Interval:
    """Probability that a positive scores above a negative, ties half: the area under the ROC curve.

    The interval is Newcombe's (2006, part 2, method 5): all values theta whose distance to the estimate is at
    most z standard errors at theta, with the variance of Hanley and McNeil (1982). It keeps its width where
    all positives score above all negatives, where a bootstrap has none.

    Args:
        positive: scores of independent draws `(m,)`.
        negative: scores of independent draws `(n,)`.
        level: coverage of the interval.

    Raises:
        ValueError: as in `mean`.

    Example:
        >>> auc([3.0, 4.0], [1.0, 2.0]).value
        1.0
    """
    a, b = checked(positive), checked(negative)
    m, n, z = len(a), len(b), NormalDist().inv_cdf(0.5 + level / 2)
    value = roc_area(a, b)

    def outside(theta: float) -> float:
        pairs = (m + n) / 2 - 1
        inflation = 1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(value - theta) - z * math.sqrt(theta * (1 - theta) * inflation / (m * n))

    # The standard error vanishes at 0 and 1; just inside it exceeds any distance, so both ends are bracketed.
    low = scipy.optimize.brentq(outside, 0.0, min(value, 1 - 1e-12)) if value > 0 else 0.0
    high = scipy.optimize.brentq(outside, max(value, 1e-12), 1.0) if value < 1 else 1.0
    return Interval(value, float(low), float(high), level, min(m, n))


def bootstrap(
    samples: tuple[ArrayLike, ...],
    statistic: Callable[..., Any],
    *,
    level: float = 0.95,
    seed: int = 0,
    vectorized: bool = False,
) -> Interval:
    """Percentile bootstrap of `statistic(*samples)`, for what has no interval of its own above.

    Args:
        samples: each `(n,)`, of independent draws, resampled independently of the others.
        statistic: as many arrays as there are samples -> a number.
        level: coverage of the interval.
        seed: the seed of the resampling.
        vectorized: whether the statistic takes arrays `(..., n)`, many resamples in one call, faster.

    Raises:
        ValueError: a sample has fewer than 2 draws, more than one axis, or a value that is not finite.

    Example:
        >>> bootstrap(([1.0, 2.0, 3.0],), np.median).value
        2.0
    """
    arrays = tuple(checked(s) for s in samples)

    def over_last(*drawn: np.ndarray, axis: int) -> Any:  # noqa: ARG001 - scipy names the axis: the last
        return statistic(*drawn)

    found = scipy.stats.bootstrap(
        arrays,
        over_last if vectorized else statistic,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        vectorized=vectorized,
        rng=np.random.default_rng(seed),
    )
    low, high = found.confidence_interval
    return Interval(float(statistic(*arrays)), float(low), float(high), level, min(map(len, arrays)))


def checked(sample: ArrayLike, least: int = 2) -> np.ndarray:
    """A sample as an array `(n,)` of floats.

    Args:
        sample: independent draws.
        least: how many of them there must be.

    Raises:
        ValueError: fewer draws, more than one axis, or a value that is not finite.
    """
    draws = np.asarray(sample, dtype=float)
    if draws.ndim != 1 or len(draws) < least or not np.isfinite(draws).all():
        raise ValueError(
            f"expected a one-dimensional finite sample of at least {least} draws, got shape {draws.shape} "
            f"with {np.count_nonzero(~np.isfinite(draws))} values that are not finite"
        )
    return draws
