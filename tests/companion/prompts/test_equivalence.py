"""Equivalence against cases that are known: equal, different, too few, too easy; and how often it errs."""

import numpy as np
import pytest
from scipy import stats

from companion.prompts.equivalence import area_difference, equivalence
from memlib import intervals
from memlib.detection import compare, evaluate


def scores(generator, count, gap=(1.5, 1.5), common=0.9):
    """Two detectors on `count` captions of each kind; `common` is the correlation of their values."""
    labels = np.arange(2 * count) < count
    shared = generator.normal(size=2 * count)
    own = (np.sqrt(common) * shared + np.sqrt(1 - common) * generator.normal(size=2 * count) for _ in gap)
    return [evaluate(values + g * labels, labels) for values, g in zip(own, gap, strict=True)]


def pair(seed, count, **given):
    return scores(np.random.default_rng(seed), count, **given)


def test_equal_detectors_on_many_captions_are_equivalent():
    found = equivalence(*pair(0, 1500, common=0.95))
    assert found.outcome == "equivalent"
    assert -0.02 < found.difference.low < found.difference.high < 0.02
    assert found.power > 0.9


def test_a_wide_interval_that_holds_zero_is_undecided_and_says_how_many_more():
    found = equivalence(*pair(1, 30))
    assert found.difference.low < 0 < found.difference.high
    assert found.outcome == "undecided"
    assert found.power < 0.2
    assert found.times > 3
    enough = equivalence(*pair(1, int(30 * found.times * 1.5)))
    assert enough.power > 0.7


def test_detectors_that_differ_are_different():
    found = equivalence(*pair(2, 300, gap=(2.0, 1.0)))
    assert found.outcome == "different"
    assert found.difference.low > 0
    assert equivalence(*reversed(pair(2, 300, gap=(2.0, 1.0)))).difference.high < 0


@pytest.mark.parametrize("count", [6, 500])
def test_at_the_ceiling_nothing_is_decided_however_many_captions(count):
    labels = np.arange(2 * count) < count
    first = second = evaluate(labels + np.linspace(0, 0.1, 2 * count), labels)
    assert (first.auc.value, compare(first, second).auc.bounds) == (1.0, (0.0, 0.0))  # no width at all
    found = equivalence(first, second)
    assert found.at_ceiling
    assert found.outcome == "undecided"
    assert found.times == np.inf
    least = first.auc.low  # of either alone, by Newcombe's interval
    assert found.difference.bounds == pytest.approx((least - 1, 1 - least))


def test_a_detector_is_equivalent_to_itself():
    first = pair(6, 100)[0]
    found = equivalence(first, first)
    assert (found.outcome, found.difference.value) == ("equivalent", 0.0)


def test_an_interval_without_width_is_undecided():
    first = evaluate(np.array([[0.0], [3.0], [1.0], [2.0]]), np.array([True, True, False, False]))
    found = equivalence(first, first)
    assert first.auc.value == 0.5
    assert found.difference.bounds == pytest.approx((0.0, 0.0), abs=1e-6)
    assert (found.outcome, found.power, found.times) == ("undecided", 0.0, np.inf)


def test_the_difference_agrees_with_a_bootstrap_where_that_holds():
    first, second = pair(3, 200, gap=(1.5, 1.2))
    closed, drawn = area_difference(first, second), compare(first, second).auc
    assert closed.value == pytest.approx(drawn.value)
    assert closed.bounds == pytest.approx(drawn.bounds, abs=0.012)


@pytest.mark.parametrize(("count", "gap"), [(25, (1.0, 1.0)), (60, (2.0, 1.6)), (60, (3.0, 3.0))])
def test_the_interval_covers_what_it_says(count, gap):
    truth = np.subtract(*stats.norm.cdf(np.array(gap) / np.sqrt(2)))
    generator, runs = np.random.default_rng(count), 300
    inside = 0
    for _ in range(runs):
        labels = np.arange(2 * count) < count
        shared = generator.normal(size=2 * count)
        both = [
            evaluate_quickly(0.8 * shared + 0.6 * generator.normal(size=2 * count) + g * labels, labels)
            for g in gap
        ]
        found = area_difference(*both)
        inside += found.low <= truth <= found.high
    assert inside >= stats.binom(runs, 0.95).ppf(0.001)


def test_detectors_that_differ_by_the_margin_are_rarely_called_equivalent():
    """The error of the test, at most 2.5 %: 200 pairs whose areas differ by just 0.02."""
    low = 1.5
    high = np.sqrt(2) * stats.norm.ppf(stats.norm.cdf(low / np.sqrt(2)) + 0.02)
    generator, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        labels = np.arange(1200) < 600
        shared = generator.normal(size=1200)
        both = [
            evaluate_quickly(0.97 * shared + 0.24 * generator.normal(size=1200) + g * labels, labels)
            for g in (high, low)
        ]
        wrong += equivalence(*both).outcome == "equivalent"
    assert wrong <= stats.binom(200, 0.025).ppf(0.999)


def evaluate_quickly(values, labels):
    """As `evaluate`, without the bootstrap of the true positive rate, which is not asked here."""
    from memlib.detection.evaluation import Evaluation

    area = intervals.auc(values[labels], values[~labels])
    return Evaluation(values[:, None], labels, True, area, area, 0.01, 0.0, 0.0)


def test_other_captions_and_margins_are_refused():
    first, second = pair(4, 10)[0], pair(4, 12)[0]
    with pytest.raises(ValueError, match="the same captions in one order, got 20 and 24"):
        equivalence(first, second)
    with pytest.raises(ValueError, match=r"margin must lie in \(0, 1\), got 0"):
        equivalence(first, first, margin=0)
