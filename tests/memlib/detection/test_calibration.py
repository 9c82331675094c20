"""Thresholds from prompts known not to be memorized: their intervals cover, for any distribution."""

import numpy as np
import pytest
from scipy import stats

from memlib.detection.calibration import calibrate, prompts_needed
from memlib.detection.evaluation import evaluate


@pytest.mark.parametrize("higher_is_memorized", [True, False])
def test_it_is_the_threshold_of_an_evaluation(higher_is_memorized):
    rng = np.random.default_rng(0)
    negative, positive = rng.normal(size=150), rng.normal(2.0, size=40)
    labels = np.r_[np.zeros(150), np.ones(40)]
    judged = evaluate(np.r_[negative, positive], labels, higher_is_memorized=higher_is_memorized, target=0.05)
    found = calibrate(negative, higher_is_memorized=higher_is_memorized, target=0.05)
    assert found.value.value == judged.threshold
    assert found.rate.value == judged.fpr
    assert found.beyond(positive).mean() == judged.tpr.value


@pytest.mark.parametrize(("higher_is_memorized", "target"), [(True, 0.01), (False, 0.1)])
def test_both_intervals_cover(higher_is_memorized, target):
    rng = np.random.default_rng(1)
    law = stats.lognorm(1.5)
    quantile = law.ppf(1 - target if higher_is_memorized else target)
    inside = np.zeros((2000, 2))
    for repetition, draws in zip(inside, law.rvs((2000, 400), random_state=rng), strict=True):
        found = calibrate(draws, higher_is_memorized=higher_is_memorized, target=target)
        true = law.sf(found.value.value) if higher_is_memorized else law.cdf(found.value.value)
        repetition[:] = (
            found.value.low <= quantile <= found.value.high,
            found.rate.low <= true <= found.rate.high,
        )
    assert (inside.mean(0) > 0.94).all()  # three standard errors below 0.95 are 0.935
    assert inside[:, 1].mean() < 0.97


def test_too_few_prompts_leave_an_end_open():
    found = calibrate(np.arange(50.0))
    assert (found.value.value, found.value.high, found.rate.value) == (49.0, np.inf, 0.0)
    assert 0 < found.value.low < 49
    assert calibrate(np.arange(50.0), higher_is_memorized=False).value.low == -np.inf


def test_a_target_of_zero_lets_nothing_beyond():
    found = calibrate([1.0, 2.0, 3.0], target=0.0)
    assert found.beyond([3.0, 3.1]).tolist() == [False, True]


def test_ties_at_the_threshold_are_not_beyond():
    found = calibrate([1.0] * 98 + [2.0, 2.0])
    assert (found.value.value, found.rate.value) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        ([1.0], 0.01, "2 finite scores"),
        ([1.0, np.nan], 0.01, "1 that are not finite"),
        ([[1.0, 2.0]], 0.01, "in one row"),
        ([1.0, 2.0], 1.0, r"target must lie in \[0, 1\)"),
    ],
)
def test_bad_input(scores, target, message):
    with pytest.raises(ValueError, match=message):
        calibrate(scores, target=target)


@pytest.mark.parametrize("higher_is_memorized", [True, False])
@pytest.mark.parametrize(("target", "needed"), [(0.01, 368), (0.05, 72), (0.2, 17), (0.5, 6)])
def test_the_prompts_that_a_rate_needs_close_its_interval(target, needed, higher_is_memorized):
    assert prompts_needed(target) == needed
    for count in (needed, needed - 1):
        bounds = calibrate(
            np.arange(count), higher_is_memorized=higher_is_memorized, target=target
        ).value.bounds
        assert np.isfinite(bounds).all() == (count == needed)


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1])
def test_no_number_of_prompts_shows_other_rates(target):
    with pytest.raises(ValueError, match=r"target must lie in \(0, 1\)"):
        prompts_needed(target)
