"""How good a list is: against what the theory of p-values says."""

import numpy as np
import pytest

from companion.fine_tuning.quality import _stratified, list_quality
from memlib.audit.significance import calibration_needed

RNG = np.random.default_rng(0)
KINDS = ["a"] * 60 + ["b"] * 60
HARMLESS = RNG.normal(size=120)
ABOVE = np.full(6, 9.0)


def test_copies_above_all_harmless_captions_are_listed_from_the_number_that_is_needed_on():
    needed = calibration_needed(36, 6)  # 6 among 30 harmless ones
    given = {"kind": "a", "screened": 30, "pooled": True, "draws": 20}
    assert needed == 59
    enough = list_quality(ABOVE, HARMLESS, KINDS, calibration=needed, **given)
    assert enough.whole.value == 1
    assert list_quality(ABOVE, HARMLESS, KINDS, calibration=needed - 20, **given).whole.value < 0.7


def test_families_need_as_many_each():
    given = {"kind": "a", "screened": 30, "draws": 20, "calibration": 80}
    assert list_quality(ABOVE, HARMLESS, KINDS, pooled=True, **given).whole.value == 1
    assert list_quality(ABOVE, HARMLESS, KINDS, pooled=False, **given).found.value < 0.5


def test_false_discoveries_keep_to_the_rate():
    """m0 / m of the rate, on average, where scores are continuous and every draw is new."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=120)
        quality = list_quality(
            rng.normal(3.0, 1.0, 6), scores, KINDS, kind="a", screened=40, calibration=80, pooled=True,
            rate=0.3, draws=4, seed=seed,
        )  # fmt: skip
        found.append(quality.false.value)
    expected = 0.3 * 40 / 46
    assert abs(np.mean(found) - expected) < 3 * np.std(found) / np.sqrt(60) + 0.02


def test_every_beginning_holds_the_kinds_in_their_shares():
    kinds = np.array(["a"] * 60 + ["b"] * 30)
    order = _stratified(kinds, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(90))
    for length in (15, 30, 60):
        assert abs((kinds[order[:length]] == "b").sum() - length / 3) <= 2


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="100 screened and 30 for calibration are more than the 120"):
        list_quality(ABOVE, HARMLESS, KINDS, kind="a", screened=100, calibration=30, pooled=True)
