"""Whether two detectors do equally well on the same captions, to within a margin stated beforehand.

That an interval of their difference holds 0 shows nothing: a wide one does so too. Here two detectors are
equivalent if the interval lies inside the margin (two one-sided tests: Schuirmann 1987), different if it
leaves out 0 and is not inside, and undecided otherwise. Where both separate the captions almost perfectly the
captions are too easy to tell detectors apart, and it is undecided too; so it is where both rank all captions
in the same way, which leaves no width to say how far off they might be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from companion import effects
from memlib import intervals
from memlib.detection.evaluation import Evaluation
from memlib.intervals import Interval

Outcome = Literal["equivalent", "different", "undecided"]
MARGIN = 0.02
"""Difference of two areas that matters."""
_NORMAL, _NO_WIDTH = NormalDist(), 1e-6


@dataclass(frozen=True)
class Equivalence:
    """Two detectors on the same captions, first minus second.

    Attributes:
        difference: of the areas under the ROC curve.
        margin: a smaller difference does not matter.
        at_ceiling: whether both areas are above 1 - margin: captions that could not have told them apart.
        outcome: what follows.
        power: chance that captions as many and as telling as these show two equal detectors to be equivalent.
        times: how many times as many captions give a power of 0.8; infinite where nothing varies.
    """

    difference: Interval
    margin: float
    at_ceiling: bool
    outcome: Outcome
    power: float
    times: float


def equivalence(
    first: Evaluation, second: Evaluation, *, margin: float = MARGIN, level: float = 0.95
) -> Equivalence:
    """Compare two areas under the ROC curve with a margin; the caption is the unit.

    Args:
        first: the evaluation of one detector.
        second: that of the other, of the same captions in the same order.
        margin: largest difference that does not matter, in (0, 1).
        level: coverage of the interval; an error of either one-sided test is (1 - level) / 2.

    Raises:
        ValueError: evaluations of other captions, or a margin outside of (0, 1).
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin must lie in (0, 1), got {margin}")
    found = area_difference(first, second, level=level)
    ceiling = min(first.auc.value, second.auc.value) > 1 - margin
    inside = -margin < found.low and found.high < margin
    apart = found.low > 0 or found.high < 0
    outcome: Outcome = "undecided"
    wide = found.high - found.low > _NO_WIDTH
    if wide and not ceiling:
        outcome = "equivalent" if inside else "different" if apart else "undecided"
    z = _NORMAL.inv_cdf(0.5 + level / 2)
    error = (found.high - found.low) / (2 * z)
    power = max(0.0, 2 * _NORMAL.cdf(margin / error - z) - 1) if wide else 0.0
    times = ((z + _NORMAL.inv_cdf(0.9)) * error / margin) ** 2 if wide and not ceiling else math.inf
    return Equivalence(found, margin, ceiling, outcome, power, times)


def area_difference(first: Evaluation, second: Evaluation, *, level: float = 0.95) -> Interval:
    """First minus second area, with an interval that keeps its width where both are 1.

    The distances of the two areas to the ends of their own intervals (Newcombe's) are put together with their
    correlation by the method of variance estimates recovery (Zou & Donner 2008); the correlation is that of
    DeLong, DeLong & Clarke-Pearson (1988), and 0, which is wider, where an area does not vary.

    Args:
        first: the evaluation of one detector.
        second: that of the other.
        level: coverage of the interval.

    Raises:
        ValueError: evaluations of other captions.
    """
    if not np.array_equal(first.labels, second.labels):
        raise ValueError(
            "a paired comparison needs two evaluations of the same captions in one order, got "
            f"{len(first.labels)} and {len(second.labels)}"
        )
    (a, wins_a), (b, wins_b) = (_own(which, level) for which in (first, second))
    low, high = effects.ends_of_difference(a, b, correlation=_correlation(wins_a, wins_b))
    return Interval(a.value - b.value, low, high, level, a.n).clipped(-1.0, 1.0)


def _own(which: Evaluation, level: float) -> tuple[Interval, NDArray[np.float64]]:
    """The area with its interval, and 1, 1/2 or 0 for each pair of a memorized and another caption."""
    scores = which.mean_scores * (1.0 if which.higher_is_memorized else -1.0)
    positive, negative = scores[which.labels], scores[~which.labels]
    wins: NDArray[np.float64] = (np.sign(positive[:, None] - negative) + 1) / 2
    return intervals.auc(positive, negative, level=level), wins


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Of two areas on the same captions, from the shares of pairs that each caption wins."""
    found = np.zeros((2, 2))
    for axis in (1, 0):
        shares = np.stack([first.mean(axis), second.mean(axis)])
        found += np.cov(shares) / shares.shape[1]
    scale = math.sqrt(found[0, 0] * found[1, 1])
    return float(np.clip(found[0, 1] / scale, -1, 1)) if scale > 0 else 0.0
