"""Effects with intervals against tabulated values, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from companion import effects
from memlib import intervals

from ..memlib.test_intervals import coverage


def test_rank_correlation_against_bonett_and_wright():
    """Ranks 1 to 8 with two neighbours swapped: 1 - 6 * 2 / (8 * 63); at r = 0.9762 the error is 0.5433."""
    first = np.arange(8.0)
    second = np.exp([1.0, 0.0, *range(2, 8)])
    found = effects.rank_correlation(first, second)
    r = 1 - 12 / 504
    half = 1.959964 * math.sqrt((1 + r**2 / 2) / 5)
    assert found.value == pytest.approx(r)
    assert found.low == pytest.approx(math.tanh(math.atanh(r) - half))
    assert effects.rank_correlation(first, -second).high == pytest.approx(-found.low)
    assert effects.rank_correlation(first, first).value == 1.0
    assert 0.9 < effects.rank_correlation(first, first).low < 1.0


def test_geometric_mean_has_students_interval_of_the_logarithms():
    """Logarithms 1 to 5: mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445."""
    sample = np.exp([1.0, 2.0, 3.0, 4.0, 5.0])
    found = effects.geometric_mean(sample)
    half = 2.776445105 * math.sqrt(2.5 / 5)
    assert found.value == pytest.approx(stats.gmean(sample))
    assert found.bounds == pytest.approx((math.exp(3 - half), math.exp(3 + half)), rel=1e-8)
    assert (found.n, effects.geometric_mean(sample, level=0.5).level) == (5, 0.5)


@pytest.mark.parametrize("least", [0.0, -1.0])
def test_a_geometric_mean_of_other_than_positive_draws_is_refused(least):
    with pytest.raises(ValueError, match=f"needs positive draws, got {least:g}; take `mean`"):
        effects.geometric_mean([1.0, least])


def test_rank_correlation_covers_the_truth():
    """Of bivariate normal pairs: Spearman's is 6 / pi asin(r / 2)."""

    def draw(rng):
        return rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=25).T

    truth = 6 / math.pi * math.asin(0.3)
    assert 0.92 < coverage(draw, effects.rank_correlation, truth) < 0.98


def test_ranks_need_values_that_differ():
    for first, second in (
        ([1.0] * 5, range(5)),
        (range(5), [0.0] * 5),
        (range(5), range(6)),
        (range(3), range(3)),
    ):
        with pytest.raises(ValueError, match="ranks need 4 pairs"):
            effects.rank_correlation(list(first), list(second))


def test_equal_bounded_draws_have_an_interval_of_some_width():
    all_true = intervals.proportion([True] * 6)
    assert effects.bounded_mean([1.0] * 6, 0.0, 1.0).bounds == pytest.approx(all_true.bounds)
    middle = effects.bounded_mean([0.5] * 6, 0.0, 1.0)
    assert middle.high - 0.5 == pytest.approx(0.5 - middle.low)
    varied = [0.0, 0.5, 1.0]
    assert effects.bounded_mean(varied, 0.0, 1.0) == intervals.mean(varied).clipped(0.0, 1.0)
    with pytest.raises(ValueError, match=r"draws must lie in \[0.0, 1.0\], got 0.5 to 2.0"):
        effects.bounded_mean([0.5, 2.0], 0.0, 1.0)


def test_the_bounded_mean_covers_rare_values():
    """One draw in ten differs: among six, Student's interval alone is a point half of the time."""
    draws = (np.random.default_rng(0).random((300, 6)) < 0.1).astype(float)
    found = [effects.bounded_mean(some, 0.0, 1.0) for some in draws]
    assert np.mean([f.low <= 0.1 <= f.high for f in found]) >= 0.94
    students = [intervals.mean(some) for some in draws]
    assert np.mean([f.low <= 0.1 <= f.high for f in students]) < 0.6


def test_mean_difference_has_welchs_interval():
    """Variances 1 and 4 of three draws each: 2.941176 degrees of freedom, t(0.975) = 3.2184."""
    found = effects.mean_difference([1.0, 2.0, 3.0], [0.0, 2.0, 4.0])
    assert found.value == 0
    assert found.high == pytest.approx(3.2184 * math.sqrt(5 / 3), rel=1e-3)
    assert found.low == -found.high
    assert effects.mean_difference([3.0, 4.0, 6.0], [1.0, 2.0]).n == 2


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_a_ratio_is_the_bootstrap_of_its_definition(statistic):
    rng = np.random.default_rng(0)
    first, second = rng.gamma(3.0, size=20), rng.gamma(2.0, size=30)
    found = effects.ratio(first, second, statistic, seed=3)
    naive = intervals.bootstrap((first, second), lambda a, b: statistic(a) / statistic(b), seed=3)
    assert found.value == statistic(first) / statistic(second)
    assert found.bounds == pytest.approx(naive.bounds, rel=1e-12)


def test_a_ratio_of_means_is_near_the_delta_methods():
    """The variance of log(a / b) is that of each mean over its square, summed, to first order."""
    rng = np.random.default_rng(0)
    first, second = rng.gamma(4.0, size=400), rng.gamma(9.0, size=300)
    found = effects.ratio(first, second)
    spread = math.hypot(*(s.std(ddof=1) / s.mean() / math.sqrt(len(s)) for s in (first, second)))
    expected = [found.value * math.exp(sign * 1.959964 * spread) for sign in (-1, 1)]
    # As for the mean below: percentiles of 2,000 resamples lie within a few hundredths of the width.
    assert found.bounds == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))


def around(*centres):
    """Intervals of half-width 0.1."""
    return [intervals.Interval(c, c - 0.1, c + 0.1, 0.95, 5) for c in centres]


@pytest.mark.parametrize(
    ("centres", "first"),
    [
        ((0.5, 0.7, 0.9), 1),
        ((0.9, 0.5, 0.9), 2),  # what lies before an interval that covers the null is not asked any more
        ((0.9, 0.9, 0.5), None),
        ((0.5, 0.3, 0.1), 1),
        ((0.1, 0.9), 1),  # a response of the other sign is not the same effect
        ((0.9,), 0),
        ((), None),
    ],
)
def test_first_sure(centres, first):
    assert effects.first_sure(around(*centres), 0.5) == first


@pytest.mark.parametrize(
    ("centres", "first"),
    [((0.5, 0.7, 0.9), 1), ((0.5, 0.3, 0.1), None), ((0.1, 0.9), 1), ((0.9, 0.1), None)],
)
def test_first_sure_above(centres, first):
    assert effects.first_sure(around(*centres), 0.5, above=True) == first


def test_false_starts_are_as_rare_as_one_interval_is_wrong():
    """Seven doses without effect: about 5 % of all series say that there is one, not 7 times as many."""
    rng = np.random.default_rng(0)
    series = [
        effects.first_sure([intervals.mean(rng.normal(size=5)) for _ in range(7)], 0.0) for _ in range(400)
    ]
    # Three binomial standard errors of 400 repetitions: 3.3 %.
    assert abs(np.mean([first is not None for first in series]) - 0.05) < 0.033


def test_a_difference_of_equal_draws_has_no_width():
    assert effects.mean_difference([2.0, 2.0], [1.0, 1.0]).bounds == (1.0, 1.0)


def test_welchs_interval_holds_the_truth_as_often_as_it_says():
    def draw(rng):
        return rng.normal(size=6), rng.normal(1, 3, size=9)

    # Three binomial standard errors of 400 repetitions: 3.3 %.
    assert abs(coverage(draw, effects.mean_difference, -1.0) - 0.95) < 0.033


@pytest.mark.parametrize("sample", [[1.0], [], [[1.0, 2.0]], [1.0, float("nan")], [1.0, float("inf")]])
@pytest.mark.parametrize(
    "effect",
    [
        effects.geometric_mean,
        lambda s: effects.mean_difference([1.0, 2.0], s),
        lambda s: effects.ratio([1.0, 2.0], s),
    ],
)
def test_bad_samples_are_refused(effect, sample):
    with pytest.raises(ValueError, match="one-dimensional finite sample of at least 2 draws, got shape"):
        effect(sample)
