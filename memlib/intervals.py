"""Confidence intervals, so that nothing random is shown without one.

| of                              | function                  | method                                   |
|---------------------------------|---------------------------|------------------------------------------|
| a mean, a difference of means   | `mean`, `mean_difference` | Student (1908), Welch (1947)             |
| a mean of draws that are bounded| `bounded_mean`            | Student, cut; Hanley & Lippman-Hand 1983 |
| a difference of other estimates | `ends_of_difference`      | variance recovery (Zou & Donner 2008)    |
| a geometric mean                | `geometric_mean`          | Student, of logarithms                   |
| a median, any quantile          | `quantile`                | order statistics (Thompson 1936)         |
| a share                         | `proportion`              | Wilson (1927)                            |
| an area under the ROC curve     | `auc`                     | Newcombe (2006), Hanley & McNeil (1982)  |
| a rank correlation              | `rank_correlation`        | Bonett & Wright (2000)                   |
| a ratio of means, anything else | `ratio`, `bootstrap`      | percentiles (Efron & Tibshirani 1993)    |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Protocol

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
    draws = _draws(sample)
    if np.ptp(draws) == 0:  # scipy warns of lost precision where nothing varies
        return Interval(float(draws[0]), float(draws[0]), float(draws[0]), level, len(draws))
    low, high = scipy.stats.ttest_1samp(draws, 0.0).confidence_interval(level)
    return Interval(float(draws.mean()), float(low), float(high), level, len(draws))


def geometric_mean(sample: ArrayLike, *, level: float = 0.95) -> Interval:
    """Geometric mean of independent positive draws `(n,)`, with Student's interval on their logarithms.

    Args:
        sample: `(n,)`, at least 2 draws, all above 0.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: a draw is not positive, or as in `mean`.

    Example:
        >>> round(geometric_mean([0.1, 1.0, 10.0]).value, 12)
        1.0
    """
    draws = _draws(sample)
    if draws.min() <= 0:
        raise ValueError(f"a geometric mean needs positive draws, got {draws.min():g}; take `mean` of these")
    logs = mean(np.log(draws), level=level)
    return replace(logs, value=math.exp(logs.value), low=math.exp(logs.low), high=math.exp(logs.high))


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
    ranked = np.sort(_draws(sample))
    n, tail = len(ranked), (1 - level) / 2
    padded = np.concatenate([[-np.inf], ranked, [np.inf]])  # rank r at position r
    below = scipy.stats.binom.ppf([tail, 1 - tail], n, share).astype(int)
    low, high = padded[below[0]], padded[below[1] + 1]
    return Interval(float(np.quantile(ranked, share)), float(low), float(high), level, n)


def bounded_mean(sample: ArrayLike, low: float, high: float, *, level: float = 0.95) -> Interval:
    """Mean of independent draws that lie in `[low, high]`, with Student's interval cut to that range.

    Where all draws are equal Student's interval has no width, which a handful of draws do not justify: draws
    that differ may exist and not have been seen. As Hanley & Lippman-Hand (1983, "If nothing goes wrong, is
    everything all right?") bound the risk of what happened in none of n cases, the share p of such draws is
    bounded by the upper end of Wilson's interval for 0 of n; each of them lies at `low` or `high` at worst.
    The interval then reaches from (1 - p) v + p low to (1 - p) v + p high, v the value of all draws.

    Args:
        sample: `(n,)`, at least 2 draws.
        low: the least value a draw can have.
        high: the largest value.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: a draw lies outside of the range, or as in `mean`.

    Example:
        >>> f"{bounded_mean([0.0] * 6, -1.0, 1.0):.2f}"
        '0.00 (-0.39 to 0.39)'
    """
    draws = _draws(sample)
    if draws.min() < low or draws.max() > high:
        raise ValueError(f"draws must lie in [{low}, {high}], got {draws.min()} to {draws.max()}")
    found = mean(draws, level=level)
    if np.ptp(draws) > 0:
        return found.clipped(low, high)
    unseen = proportion(np.zeros(len(draws)), level=level).high
    return replace(
        found, low=found.low - unseen * (found.low - low), high=found.high + unseen * (high - found.high)
    )


def mean_difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Interval:
    """Mean of `first` minus mean of `second`, two independent samples, with Welch's interval.

    Args:
        first: `(m,)`, at least 2 draws.
        second: `(n,)`, at least 2 draws.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: as in `mean`.
    """
    a, b = _draws(first), _draws(second)
    difference, n = float(a.mean() - b.mean()), min(len(a), len(b))
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return Interval(difference, difference, difference, level, n)
    low, high = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)
    return Interval(difference, float(low), float(high), level, n)


class _Bounded(Protocol):
    """An estimate with the ends of its interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def ends_of_difference(first: _Bounded, second: _Bounded, *, correlation: float = 0.0) -> tuple[float, float]:
    """The interval of first minus second from the intervals of both (MOVER, Zou & Donner 2008).

    The distances from both estimates to the ends that matter are put together as standard errors would be, so
    that skewed intervals give a skewed one, and a width is kept where an estimate does not vary.

    Args:
        first: an estimate with its interval, such as `Interval`.
        second: another, at the same level.
        correlation: of the two estimates, in [-1, 1].

    Example:
        >>> first, second = Interval(0.5, 0.2, 0.6, 0.95, 9), Interval(0.1, 0.0, 0.5, 0.95, 9)
        >>> low, high = ends_of_difference(first, second)
        >>> round(low, 6), round(high, 6)
        (-0.1, 0.541421)
    """

    def away(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))

    difference = first.value - second.value
    low = difference - away(first.value - first.low, second.high - second.value)
    return low, difference + away(first.high - first.value, second.value - second.low)


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
    draws = _draws(successes)
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
    a, b = _draws(positive, least=1), _draws(negative, least=1)
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
    a, b = _draws(positive), _draws(negative)
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


def rank_correlation(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Interval:
    """Spearman's rank correlation of independent pairs, with the interval of Bonett & Wright (2000).

    Args:
        first: `(n,)`, at least 4 values, not all the same.
        second: `(n,)`, their partners, likewise.
        level: coverage of the interval.

    Raises:
        ValueError: fewer than 4 pairs, samples of different lengths, or one whose values are all the same.

    Example:
        >>> round(rank_correlation([1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 27.0, 64.0]).value, 12)
        1.0
    """
    a, b = _draws(first), _draws(second)
    if len(a) != len(b) or len(a) < 4 or np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError(f"ranks need 4 pairs or more, and values that differ, got {len(a)} and {len(b)}")
    value = min(1.0, max(-1.0, float(scipy.stats.spearmanr(a, b).statistic)))
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt((1 + value**2 / 2) / (len(a) - 3))
    centre = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12))
    return Interval(value, math.tanh(centre - half), math.tanh(centre + half), level, len(a))


def first_sure(estimates: Sequence[Interval], null: float, *, above: bool = False) -> int | None:
    """Index of the first of the intervals, counted back from the last, that all exclude `null` on one side.

    For estimates that an effect moves more and more, such as responses to growing doses. Testing the largest
    first and stopping at the first interval that covers `null` keeps the chance of any false start at one
    minus the level, however many there are (a fixed-sequence test; Maurer, Hothorn & Lehmacher 1995).

    Args:
        estimates: in the order in which the effect should grow.
        null: the value without effect.
        above: whether intervals on the upper side of `null` alone count.

    Returns:
        The index, or None if not even the last interval counts.

    Example:
        >>> first_sure([Interval(0.5, 0.4, 0.6, 0.95, 5), Interval(0.9, 0.8, 1.0, 0.95, 5)], 0.5)
        1
    """
    first, side = None, 0
    for index, estimate in reversed(list(enumerate(estimates))):
        now = (estimate.low > null) - (estimate.high < null)
        if now in (0, -side) or (above and now < 0):
            break
        first, side = index, now
    return first


def ratio(
    first: ArrayLike,
    second: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`statistic` of `first` over that of `second`, two independent samples, by `bootstrap`.

    The statistic is NumPy's mean, median or any function of an array and an `axis`; in the second sample it
    should stay away from 0.

    Args:
        first: `(m,)`, at least 2 draws.
        second: `(n,)`, at least 2 draws.
        statistic: array and `axis` -> array.
        level: the coverage of the interval, in (0, 1).
        seed: the seed of the resampling.

    Raises:
        ValueError: as in `bootstrap`.

    Example:
        >>> ratio([2.0, 4.0], [1.0, 1.0]).value
        3.0
    """

    def over_last(a: np.ndarray, b: np.ndarray) -> Any:
        return statistic(a, axis=-1) / statistic(b, axis=-1)

    return bootstrap((first, second), over_last, level=level, seed=seed, vectorized=True)


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
    arrays = tuple(_draws(s) for s in samples)

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


def _draws(sample: ArrayLike, least: int = 2) -> np.ndarray:
    draws = np.asarray(sample, dtype=float)
    if draws.ndim != 1 or len(draws) < least or not np.isfinite(draws).all():
        raise ValueError(
            f"expected a one-dimensional finite sample of at least {least} draws, got shape {draws.shape} "
            f"with {np.count_nonzero(~np.isfinite(draws))} values that are not finite"
        )
    return draws
