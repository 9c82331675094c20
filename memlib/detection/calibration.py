"""A threshold from prompts that are known not to be memorized, and the uncertainty of its error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from memlib.intervals import Interval, quantile


@dataclass(frozen=True)
class Threshold:
    """The value beyond which a prompt is called memorized.

    Attributes:
        value: the threshold, with a distribution-free interval of the quantile that it estimates: between two
            order statistics, by the binomial distribution. With too few prompts an end is infinite.
        rate: share of the calibration prompts beyond it, at most the target, with an interval of the false
            positive rate among new prompts of the same kind: that of a threshold at an order statistic is
            beta distributed, whatever the distribution of the values (Wilks 1941).
        higher_is_memorized: whether values above it are called memorized, else values below.
    """

    value: Interval
    rate: Interval
    higher_is_memorized: bool

    def beyond(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Which of the scores are called memorized."""
        given = np.asarray(scores, dtype=float)
        return given > self.value.value if self.higher_is_memorized else given < self.value.value


def calibrate(
    scores: ArrayLike, *, higher_is_memorized: bool = True, target: float = 0.01, level: float = 0.95
) -> Threshold:
    """The threshold beyond which at most the share `target` of prompts known not to be memorized lies.

    Args:
        scores: `(N,)` one per prompt, independent draws of what will be screened.
        higher_is_memorized: whether larger values mean memorized.
        target: false positive rate not to be exceeded, in [0, 1).
        level: coverage of the intervals, each on its own.

    Raises:
        ValueError: fewer than 2 scores, values that are not finite, or another target.

    Example:
        >>> found = calibrate(range(1000))
        >>> found.value.value, found.value.bounds, found.rate.value
        (989.0, (982.0, 996.0), 0.01)
    """
    given = np.asarray(scores, dtype=float)
    if given.ndim != 1 or len(given) < 2 or not np.isfinite(given).all():
        raise ValueError(
            f"a threshold needs 2 finite scores or more in one row, got shape {given.shape} with "
            f"{np.count_nonzero(~np.isfinite(given))} that are not finite"
        )
    sign, n, tail = (1.0 if higher_is_memorized else -1.0), len(given), (1 - level) / 2
    ranked = np.sort(sign * given)
    value, allowed = float(threshold(ranked, target)), exceeding(n, target)
    low, high = sorted(sign * end for end in quantile(ranked, 1 - target, level=level).bounds)
    true = stats.beta(allowed + 1, n - allowed)
    rate = float((ranked > value).mean())  # less than allowed / n where scores tie
    return Threshold(
        Interval(sign * value, float(low), float(high), level, n),
        Interval(rate, float(true.ppf(tail)), float(true.ppf(1 - tail)), level, n),
        higher_is_memorized,
    )


def prompts_needed(target: float, *, level: float = 0.95) -> int:
    """The least number of calibration prompts that a false positive rate needs.

    The largest of n scores lies beyond the quantile of the rate with probability 1 - (1 - target)^n. Below
    this n that is less than what an end of the interval of `calibrate` asks for: the interval is open on
    that side, and no score that was seen shows that the rate is kept.

    Args:
        target: false positive rate, in (0, 1).
        level: coverage of the interval.

    Raises:
        ValueError: a target outside of its range.

    Example:
        >>> prompts_needed(0.01), prompts_needed(0.1)
        (368, 36)
    """
    if not 0 < target < 1:
        raise ValueError(f"target must lie in (0, 1), got {target}; no number of prompts shows another rate")
    return math.ceil(math.log((1 - level) / 2) / math.log1p(-target))


def threshold(negative: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """The smallest value that at most the share `target` of negatives `(..., N)` exceeds, `(...)`."""
    count = negative.shape[-1]
    place = count - 1 - exceeding(count, target)
    found: NDArray[np.float64] = np.partition(negative, place, axis=-1)[..., place]
    return found


def exceeding(count: int, target: float) -> int:
    """How many of `count` may exceed a threshold at the target.

    Args:
        count: the number of scores.
        target: the false positive rate, in [0, 1).

    Raises:
        ValueError: another target.
    """
    if not 0 <= target < 1:
        raise ValueError(f"target must lie in [0, 1), got {target}")
    return math.floor(target * count + 1e-9)  # 0.29 * 100 is 28.999...
