"""Areas and rates against scikit-learn and closed forms; intervals by how often they cover."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from memlib import intervals
from memlib.detection import compare, evaluate
from memlib.intervals import Interval

NORMAL = stats.norm


def drawn(seed, separation=1.5, memorized=60, others=140, decimals=None):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(separation, 1, memorized), rng.normal(0, 1, others)])
    labels = np.repeat([True, False], [memorized, others])
    order = rng.permutation(len(labels))
    scores = scores if decimals is None else scores.round(decimals)
    return scores[order], labels[order]


def excludes_zero(interval):
    return interval.low > 0 or interval.high < 0


@pytest.mark.parametrize("decimals", [None, 0], ids=["distinct", "ties"])
@pytest.mark.parametrize("target", [0.0, 0.01, 0.05, 0.29])
def test_area_and_rate_are_scikit_learns(target, decimals):
    for seed in range(5):
        scores, labels = drawn(seed, decimals=decimals)
        found = evaluate(scores, labels, target=target)
        false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
        allowed = false_rate <= target + 1e-12
        assert found.auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert found.tpr.value == pytest.approx(true_rate[allowed].max(), abs=1e-12)
        assert found.fpr <= target + 1e-12
        assert ((scores > found.threshold) & ~labels).sum() / 140 == found.fpr
        assert (scores > found.threshold)[labels].mean() == found.tpr.value


def test_the_rate_reached_is_a_multiple_of_one_negative():
    scores, labels = drawn(0)
    assert evaluate(scores, labels, target=0.01).fpr == 1 / 140
    assert evaluate(scores, labels, target=0.005).fpr == 0


def test_shares_that_floating_point_rounds_down():
    """0.29 * 100 is 28.999...96; 29 false positives are allowed all the same."""
    scores = np.concatenate([np.arange(100.0), [200.0, 70.5]])
    labels = np.repeat([False, True], [100, 2])
    assert evaluate(scores, labels, target=0.29).fpr == 0.29


def test_seeds_are_kept_and_averaged():
    scores = np.array([[0.0, 4.0], [3.0, 1.0], [1.0, 2.0], [0.0, 1.0]])
    found = evaluate(scores, [1, 1, 0, 0])
    assert np.array_equal(found.scores, scores)
    assert found.mean_scores.tolist() == [2.0, 2.0, 1.5, 0.5]
    assert found.auc.value == 1.0


def test_the_wrong_way_round_is_reported_not_turned():
    scores, labels = drawn(1)
    ahead, behind, told = (
        evaluate(scores, labels),
        evaluate(-scores, labels),
        evaluate(-scores, labels, higher_is_memorized=False),
    )
    assert behind.auc.value == pytest.approx(1 - ahead.auc.value)
    assert behind.auc.value < 0.2
    assert behind.tpr.value < 0.1
    assert told.auc == ahead.auc
    assert told.tpr == ahead.tpr
    assert told.threshold == -ahead.threshold
    assert not told.higher_is_memorized


def test_values_of_many_draws_are_those_of_two_normals(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    scores, labels = drawn(2, memorized=5_000, others=5_000)
    found = evaluate(scores[:, None], labels, target=0.01)
    area, share = NORMAL.cdf(1.5 / np.sqrt(2)), NORMAL.cdf(1.5 - NORMAL.isf(0.01))
    assert found.auc.low < area < found.auc.high
    assert found.tpr.low < share < found.tpr.high
    assert found.auc.high - found.auc.low < 0.02


def test_intervals_keep_their_width_where_everything_is_found():
    found = evaluate([5.0] * 20 + [1.0] * 30, [1] * 20 + [0] * 30)
    assert (found.auc.value, found.tpr.value) == (1.0, 1.0)
    assert found.auc.low < 0.95
    assert found.tpr.low < 0.9


def test_the_rates_interval_covers_as_often_as_it_says(monkeypatch):
    """160 experiments: at a true coverage of 0.95, 139 or fewer successes have probability 5e-5."""
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    share = NORMAL.cdf(1.5 - NORMAL.isf(0.1))
    covered = 0
    for seed in range(160):
        found = evaluate(*drawn(seed, memorized=80, others=120), target=0.1)
        covered += found.tpr.low <= share <= found.tpr.high
    assert covered >= 140


def test_a_difference_that_is_not_there_is_seldom_found(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    found = 0
    for seed in range(60):
        scores, labels = drawn(seed)
        rng = np.random.default_rng(1000 + seed)
        pair = [evaluate(scores + rng.normal(0, 0.5, 200), labels, target=0.05) for _ in range(2)]
        found += excludes_zero(compare(*pair).auc)
    assert found <= 9  # of 60 at a chance of 0.05 each: probability 1e-3 to exceed


def test_pairing_finds_what_separate_intervals_do_not():
    scores, labels = drawn(3)
    rng = np.random.default_rng(0)
    better, worse = evaluate(scores, labels), evaluate(scores + rng.normal(0, 0.7, 200), labels)
    assert better.auc.low < worse.auc.high  # the intervals overlap
    comparison = compare(better, worse)
    assert excludes_zero(comparison.auc)
    assert comparison.auc.value == pytest.approx(better.auc.value - worse.auc.value)
    assert comparison.tpr.value == pytest.approx(better.tpr.value - worse.tpr.value)
    back = compare(worse, better)
    assert back.auc.value == -comparison.auc.value
    assert compare(better, better).auc == Interval(0.0, 0.0, 0.0, 0.95, 60)


def test_a_comparison_knows_which_way_each_statistic_points():
    scores, labels = drawn(4)
    same = compare(evaluate(scores, labels), evaluate(-scores, labels, higher_is_memorized=False))
    assert (same.auc.low, same.auc.high, same.tpr.low, same.tpr.high) == (0, 0, 0, 0)


def test_comparisons_of_other_prompts():
    scores, labels = drawn(5)
    whole = evaluate(scores, labels)
    for other in (
        evaluate(scores[:-1], labels[:-1]),
        evaluate(scores, labels, target=0.05),
        evaluate(scores, ~labels),
    ):
        with pytest.raises(ValueError, match="two evaluations of the same prompts"):
            compare(whole, other)


def test_the_same_seed_gives_the_same_interval():
    scores, labels = drawn(6)
    first, again, other = (evaluate(scores, labels, seed=seed).tpr for seed in (0, 0, 1))
    assert first == again
    assert first.value == other.value


BAD = {
    "lengths": ([1.0, 2.0, 3.0], [1, 0], "labels .P,., got"),
    "three axes": (np.zeros((2, 2, 2)), [1, 0], r"got \(2, 2, 2\)"),
    "no seeds": (np.zeros((4, 0)), [1, 1, 0, 0], r"got \(4, 0\)"),
    "NaN": ([1.0, np.nan, 0.0, 1.0], [1, 1, 0, 0], r"at prompts \[1\]"),
    "labels": ([1.0, 2.0, 3.0, 4.0], [1, 2, 0, 0], r"true \(memorized\) or false"),
    "one of a kind": ([1.0, 2.0, 3.0], [1, 0, 0], "got 1 memorized and 2 others"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    scores, labels, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        evaluate(scores, labels)


@pytest.mark.parametrize("target", [-0.1, 1.0])
def test_bad_targets(target):
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\)"):
        evaluate([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0], target=target)
