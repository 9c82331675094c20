"""Intervals against tabulated values, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from memlib import intervals
from memlib.intervals import Interval


def coverage(draw, interval, truth, repetitions=400):
    """Share of simulated experiments whose interval holds the truth."""
    rng = np.random.default_rng(0)
    found = [interval(*draw(rng)) for _ in range(repetitions)]
    return np.mean([i.low <= truth <= i.high for i in found])


def test_mean_has_students_interval():
    """Five draws of standard deviation sqrt(2.5): t(0.975, 4) = 2.776445."""
    found = intervals.mean([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445105 * math.sqrt(2.5 / 5)
    assert (found.value, found.n, found.level) == (3.0, 5, 0.95)
    assert found.bounds == pytest.approx((3 - half, 3 + half), rel=1e-8)
    assert intervals.mean([1.0, 2.0, 3.0], level=0.5).high < intervals.mean([1.0, 2.0, 3.0]).high


def test_an_interval_prints_itself():
    assert f"{Interval(0.5, 0.25, 0.75, 0.95, 4):.1f}" == "0.5 (0.2 to 0.8)"
    assert f"{Interval(0.5, -0.25, 0.75, 0.95, 4):+.2f}" == "+0.50 (-0.25 to +0.75)"


def test_an_interval_ends_where_its_quantity_does():
    wide = Interval(0.9, -0.2, 1.3, 0.95, 4)
    assert wide.clipped(0.0, 1.0) == Interval(0.9, 0.0, 1.0, 0.95, 4)
    assert wide.clipped(low=0.0) == Interval(0.9, 0.0, 1.3, 0.95, 4)
    assert wide.clipped(high=0.5) == Interval(0.5, -0.2, 0.5, 0.95, 4)
    assert wide.clipped() == wide


def test_mean_of_equal_draws_has_no_width():
    assert intervals.mean([2.0, 2.0]).bounds == (2.0, 2.0)


def test_proportion_has_wilsons_interval():
    """At n of n the lower end is n / (n + z^2)."""
    found = intervals.proportion([True] * 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(20 / (20 + 1.959964**2), rel=1e-6)
    half = intervals.proportion([1, 0, 1, 0])
    assert half.value == 0.5
    assert half.low == pytest.approx(1 - half.high)


def test_auc_counts_pairs():
    assert intervals.auc([3.0, 4.0], [1.0, 2.0]).value == 1.0
    assert intervals.auc([1.0, 2.0], [3.0, 4.0]).bounds[0] == 0.0
    assert intervals.auc([1.0, 3.0], [1.0, 2.0]).value == (0.5 + 0 + 1 + 1) / 4
    found = intervals.auc(np.arange(30.0) + 100, np.arange(20.0))
    assert 0.8 < found.low < 1.0  # separated samples still say little about the last percent
    assert (found.high, found.n) == (1.0, 20)


@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (1, 9), (7, 1), (12, 20)])
def test_the_area_is_the_share_of_pairs_in_order(positives, negatives):
    """Scores of five values, so that many are equal."""
    rng = np.random.default_rng(positives)
    a, b = rng.integers(0, 5, positives).astype(float), rng.integers(0, 5, negatives).astype(float)
    pairs = [1.0 if p > q else 0.5 if p == q else 0.0 for p in a for q in b]
    assert intervals.roc_area(a, b) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_an_area_without_an_interval_takes_one_score_and_no_fewer():
    with pytest.raises(ValueError, match=r"sample of at least 1 draws, got shape \(0,\)"):
        intervals.roc_area([], [1.0])


def test_auc_is_symmetric_under_exchange():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.7, size=15), rng.normal(size=15)
    forward, backward = intervals.auc(a, b), intervals.auc(b, a)
    # Both ends come from a root finder that stops at 2e-12.
    assert (forward.low, forward.high) == pytest.approx((1 - backward.high, 1 - backward.low), abs=1e-10)


def test_a_bootstrap_of_many_resamples_at_once_is_the_same():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=20), rng.normal(size=30)
    one_by_one = intervals.bootstrap(samples, lambda a, b: a.mean() - np.median(b))
    at_once = intervals.bootstrap(
        samples, lambda a, b: a.mean(axis=-1) - np.median(b, axis=-1), vectorized=True
    )
    assert at_once.bounds == pytest.approx(one_by_one.bounds)
    assert (at_once.value, at_once.n) == (one_by_one.value, one_by_one.n)


def test_bootstrap_of_a_mean_is_near_students():
    sample = np.random.default_rng(0).normal(size=200)
    boot, student = intervals.bootstrap((sample,), np.mean), intervals.mean(sample)
    # 2,000 resamples place a percentile within a few hundredths of the interval's width.
    width = student.high - student.low
    assert boot.bounds == pytest.approx(student.bounds, abs=0.1 * width)
    assert intervals.bootstrap((sample,), np.mean) == boot
    assert intervals.bootstrap((sample,), np.mean, seed=1) != boot


NORMAL_AUC = 0.5 * (1 + math.erf(1.5 / 2))  # of scores N(1.5, 1) against N(0, 1)


@pytest.mark.parametrize(
    ("draw", "interval", "truth", "least"),
    [
        (lambda rng: (rng.normal(size=5),), intervals.mean, 0.0, 0.95),
        (lambda rng: (rng.random(30) < 0.9,), intervals.proportion, 0.9, 0.95),
        (lambda rng: (rng.normal(1.5, size=25), rng.normal(size=25)), intervals.auc, NORMAL_AUC, 0.95),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(draw, interval, truth, least):
    # Three binomial standard errors of 400 repetitions: 3.3 %.
    assert abs(coverage(draw, interval, truth) - least) < 0.033


def test_the_median_has_order_statistics_as_its_ends():
    """Of 10 draws: with P(at most 1 of 10 heads) = 11/1024, the second smallest and largest hold 97.9 %."""
    found = intervals.quantile([9.0, 3.0, 1.0, 4.0, 5.0, 2.0, 6.0, 8.0, 7.0, 10.0])
    assert (found.value, found.bounds, found.n) == (5.5, (2.0, 9.0), 10)
    assert intervals.quantile([1.0, 2.0, 3.0], 0.99).high == math.inf  # three draws do not bound it
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\], got 1.5"):
        intervals.quantile([1.0, 2.0], 1.5)


def few_far_out(rng, n):
    """Scaled eigenvalues as in chapter 02 at the last step: narrow, but a few in a hundred far below zero."""
    body = -0.0021 * np.exp(0.2 * rng.normal(size=n))
    return np.where(rng.random(n) < 0.03, -(10 ** rng.uniform(-2, -0.6, size=n)), body)


def test_a_median_of_heavy_tails_is_covered_where_a_mean_is_not():
    many = few_far_out(np.random.default_rng(1), 10**6)
    ours = coverage(lambda rng: (few_far_out(rng, 60),), intervals.quantile, np.median(many), 1000)
    students = coverage(lambda rng: (few_far_out(rng, 60),), intervals.mean, many.mean(), 1000)
    assert ours > 0.93  # at least 0.95, less three binomial standard errors of 1,000 repetitions
    assert students < 0.85  # why the mean is not what chapter 02 quotes


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("law", [stats.cauchy(), stats.lognorm(2.0)], ids=["Cauchy", "log-normal"])
def test_quantiles_of_any_distribution_are_covered(law, share):
    def draw(rng):
        return (law.rvs(80, random_state=rng),)

    covered = coverage(draw, lambda s: intervals.quantile(s, share), law.ppf(share), 1000)
    assert 0.93 < covered < 0.99


@pytest.mark.parametrize("sample", [[1.0], [], [[1.0, 2.0]], [1.0, float("nan")], [1.0, float("inf")]])
@pytest.mark.parametrize(
    "interval",
    [
        intervals.mean,
        intervals.quantile,
        intervals.proportion,
        lambda s: intervals.auc(s, [1.0, 2.0]),
        lambda s: intervals.bootstrap((s,), np.mean),
    ],
)
def test_bad_samples_are_refused(interval, sample):
    with pytest.raises(ValueError, match="one-dimensional finite sample of at least 2 draws, got shape"):
        interval(sample)


def test_other_values_are_no_proportion():
    with pytest.raises(ValueError, match="a proportion counts true and false, got values such as"):
        intervals.proportion([0.5, 1.0])
