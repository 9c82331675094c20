"""Effects with confidence intervals: differences, ratios, correlations, and from where on there is one.

| of                               | function             | method                                   |
|----------------------------------|----------------------|------------------------------------------|
| a difference of means            | `mean_difference`    | Welch (1947)                             |
| a mean of draws that are bounded | `bounded_mean`       | Student, cut; Hanley & Lippman-Hand 1983 |
| a difference of other estimates  | `ends_of_difference` | variance recovery (Zou & Donner 2008)    |
| a geometric mean                 | `geometric_mean`     | Student, of logarithms                   |
| a ratio of means or medians      | `ratio`              | percentiles (Efron & Tibshirani 1993)    |
| a rank correlation               | `rank_correlation`   | Bonett & Wright (2000)                   |
| the first of growing effects     | `first_sure`         | fixed sequence (Maurer et al. 1995)      |

Means, quantiles, shares and areas under ROC curves are in `memlib.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
import scipy
from numpy.typing import ArrayLike

from memlib.intervals import Interval, bootstrap, checked, mean, proportion


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
        ValueError: a draw lies outside of the range, or as in `memlib.intervals.mean`.

    Example:
        >>> f"{bounded_mean([0.0] * 6, -1.0, 1.0):.2f}"
        '0.00 (-0.39 to 0.39)'
    """
    draws = checked(sample)
    if draws.min() < low or draws.max() > high:
        raise ValueError(f"draws must lie in [{low}, {high}], got {draws.min()} to {draws.max()}")
    found = mean(draws, level=level)
    if np.ptp(draws) > 0:
        return found.clipped(low, high)
    unseen = proportion(np.zeros(len(draws)), level=level).high
    return replace(
        found, low=found.low - unseen * (found.low - low), high=found.high + unseen * (high - found.high)
    )


def geometric_mean(sample: ArrayLike, *, level: float = 0.95) -> Interval:
    """Geometric mean of independent positive draws `(n,)`, with Student's interval on their logarithms.

    Args:
        sample: `(n,)`, at least 2 draws, all above 0.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: a draw is not positive, or as in `memlib.intervals.mean`.

    Example:
        >>> round(geometric_mean([0.1, 1.0, 10.0]).value, 12)
        1.0
    """
    draws = checked(sample)
    if draws.min() <= 0:
        raise ValueError(f"a geometric mean needs positive draws, got {draws.min():g}; take `mean` of these")
    logs = mean(np.log(draws), level=level)
    return replace(logs, value=math.exp(logs.value), low=math.exp(logs.low), high=math.exp(logs.high))


def mean_difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Interval:
    """Mean of `first` minus mean of `second`, two independent samples, with Welch's interval.

    Args:
        first: `(m,)`, at least 2 draws.
        second: `(n,)`, at least 2 draws.
        level: the coverage of the interval, in (0, 1).

    Raises:
        ValueError: as in `memlib.intervals.mean`.
    """
    a, b = checked(first), checked(second)
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
        ValueError: as in `memlib.intervals.bootstrap`.

    Example:
        >>> ratio([2.0, 4.0], [1.0, 1.0]).value
        3.0
    """

    def over_last(a: np.ndarray, b: np.ndarray) -> Any:
        return statistic(a, axis=-1) / statistic(b, axis=-1)

    return bootstrap((first, second), over_last, level=level, seed=seed, vectorized=True)


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
    a, b = checked(first), checked(second)
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
