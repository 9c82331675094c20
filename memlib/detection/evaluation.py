"""How well a statistic separates memorized prompts from others, and whether two statistics differ in it.

The prompt is the unit: prompts are drawn, seeds only average within one. So intervals and comparisons are
over prompts, and the values of every seed are kept beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memlib import intervals
from memlib.detection import calibration
from memlib.intervals import Interval

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The separation that a statistic reaches.

    Attributes:
        scores: `(P, n)` the values given, per prompt and seed.
        labels: `(P,)` bool, true for memorized.
        higher_is_memorized: whether larger values were taken for memorized.
        auc: probability that a memorized prompt ranks above another, ties half. Below 0.5 it ranks the wrong
            way round, which is reported as it is.
        tpr: share of memorized prompts found at the largest false positive rate not above `target`.
        target: the false positive rate asked for.
        fpr: the one reached, at most `target`: with N others it is a multiple of 1 / N.
        threshold: a prompt is called memorized if its mean score is beyond this value (not equal to it).
    """

    scores: Values
    labels: NDArray[np.bool_]
    higher_is_memorized: bool
    auc: Interval
    tpr: Interval
    target: float
    fpr: float
    threshold: float

    @property
    def mean_scores(self) -> Values:
        """`(P,)` the mean over seeds, which is what was ranked."""
        means: Values = self.scores.mean(axis=1)
        return means


@dataclass(frozen=True)
class Comparison:
    """Two statistics on the same prompts, first minus second.

    Attributes:
        auc: difference of the areas, with a paired bootstrap interval.
        tpr: difference of the shares found at the target, likewise.
    """

    auc: Interval
    tpr: Interval


def evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    higher_is_memorized: bool = True,
    target: float = 0.01,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Area under the ROC curve and true positive rate at a small false positive rate, with intervals.

    The area's interval is Newcombe's, which keeps its width where all memorized prompts rank first. The true
    positive rate's is the wider of two: a bootstrap over prompts of both kinds, which accounts for the
    threshold being an estimate but has no width at 0 and 1, and Wilson's at the threshold found. Where the
    threshold is one of the few largest values of the others, as at 1 % of 200, it covers a little less often
    than it says.

    Args:
        scores: `(P,)` or, per seed, `(P, n)`; a prompt's score is the mean over its seeds.
        labels: `(P,)` true for memorized.
        higher_is_memorized: whether larger values mean memorized.
        target: false positive rate not to be exceeded, in [0, 1).
        level: coverage of the intervals.
        seed: the seed of the bootstrap.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or fewer than 2 prompts of a kind.

    Example:
        >>> found = evaluate([[3.0, 2.0], [4.0, 4.0], [1.0, 1.0], [0.0, 2.0]], [True, True, False, False])
        >>> found.auc.value, found.tpr.value, found.fpr, found.threshold
        (1.0, 1.0, 0.0, 1.0)
    """
    given, memorized = _checked(scores, labels, target)
    sign = 1.0 if higher_is_memorized else -1.0
    ranked = sign * given.mean(axis=1)
    positive, negative = ranked[memorized], ranked[~memorized]
    threshold = float(calibration.threshold(negative, target))
    drawn = intervals.bootstrap(
        (positive, negative), lambda p, n: _tpr(p, n, target), level=level, seed=seed, vectorized=True
    )
    fixed = intervals.proportion(positive > threshold, level=level)
    tpr = Interval(drawn.value, min(drawn.low, fixed.low), max(drawn.high, fixed.high), level, drawn.n)
    return Evaluation(
        given,
        memorized,
        higher_is_memorized,
        intervals.auc(positive, negative, level=level),
        tpr,
        target,
        float((negative > threshold).mean()),
        sign * threshold,
    )


def compare(first: Evaluation, second: Evaluation, *, level: float = 0.95, seed: int = 0) -> Comparison:
    """First minus second statistic on the same prompts: area and true positive rate at the first's target.

    The bootstrap resamples prompts, memorized and others apart, and takes both statistics at the same ones.

    Args:
        first: the evaluation of one statistic.
        second: that of the other, of the same prompts in the same order.
        level: the coverage of the interval, in (0, 1).
        seed: the seed of the bootstrap.

    Raises:
        ValueError: the two were evaluated on other labels or targets.
    """
    if not np.array_equal(first.labels, second.labels) or first.target != second.target:
        raise ValueError(
            "a paired comparison needs two evaluations of the same prompts, in one order, at one target; got "
            f"{len(first.labels)} and {len(second.labels)} prompts at {first.target} and {second.target}"
        )
    a, b = (which.mean_scores * (1.0 if which.higher_is_memorized else -1.0) for which in (first, second))

    (a, b), (c, d) = ((one[first.labels], one[~first.labels]) for one in (a, b))
    ahead = _wins(a, b) - _wins(c, d)

    # Prompts are drawn by their numbers. An area is a mean over pairs, so that of a draw is a weighted one.
    def area(p: Values, n: Values) -> float:
        drawn = [
            np.bincount(i.astype(int), minlength=size) for i, size in zip((p, n), ahead.shape, strict=True)
        ]
        return float(drawn[0] @ ahead @ drawn[1] / ahead.size)

    def rate(p: Values, n: Values) -> Values:
        p, n = p.astype(int), n.astype(int)
        return _tpr(a[p], b[n], first.target) - _tpr(c[p], d[n], first.target)

    numbers = np.arange(len(a)), np.arange(len(b))
    return Comparison(
        intervals.bootstrap(numbers, area, level=level, seed=seed),
        intervals.bootstrap(numbers, rate, level=level, seed=seed, vectorized=True),
    )


def _wins(positive: Values, negative: Values) -> Values:
    """1 for each pair in which the positive is above the negative, 1/2 for ties; the mean is the area."""
    return (np.sign(positive[:, None] - negative) + 1) / 2


def _tpr(positive: Values, negative: Values, target: float) -> Values:
    """Of samples `(..., m)` and `(..., n)`, over the last axis."""
    shares: Values = (positive > calibration.threshold(negative, target)[..., None]).mean(axis=-1)
    return shares


def _checked(scores: ArrayLike, labels: ArrayLike, target: float) -> tuple[Values, NDArray[np.bool_]]:
    given, memorized = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or memorized.shape != given.shape[:1] or given.shape[1] == 0:
        raise ValueError(
            f"scores must have shape (P,) or (P, n) and labels (P,), got {given.shape} and {memorized.shape}"
        )
    if not np.isin(memorized, (0, 1)).all():
        raise ValueError(f"labels must be true (memorized) or false, got {np.unique(memorized)[:5].tolist()}")
    if not np.isfinite(given).all():
        rows = np.flatnonzero(~np.isfinite(given).all(axis=1))[:8].tolist()
        raise ValueError(f"scores have NaN or infinite values at prompts {rows}; drop or repair those first")
    memorized = memorized.astype(bool)
    if memorized.sum() < 2 or (~memorized).sum() < 2:
        raise ValueError(
            f"two prompts of each kind are needed at least, got {memorized.sum()} memorized and "
            f"{(~memorized).sum()} others"
        )
    if not 0 <= target < 1:
        raise ValueError(f"target must lie in [0, 1), got {target}")
    return given, memorized
