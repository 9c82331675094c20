"""p-values, lists and bounds: against brute force, and as often right as they promise."""

import doctest
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memlib.audit import significance

GUIDE = Path(__file__).parents[3] / "book/guide/audit.md"
P_VALUES = st.lists(st.integers(1, 100).map(lambda k: k / 100), min_size=1, max_size=7)


def simes(p, alpha):
    """Whether Simes' test rejects that all of them are null."""
    return any(value <= alpha * (i + 1) / len(p) for i, value in enumerate(sorted(p)))


def closed_testing(p, alpha):
    """By definition: k less the largest part of the first k whose nulls no test of a superset rejects."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    sets = [set(c) for size in range(1, len(p) + 1) for c in combinations(range(len(p)), size)]
    passing = [s for s in sets if not simes([p[i] for i in s], alpha)]
    kept = [s for s in sets if any(s <= other for other in passing)]  # not rejected by the closed test
    bounds = []
    for k in range(1, len(p) + 1):
        first = set(order[:k])
        bounds.append(k - max((len(s) for s in kept if s <= first), default=0))
    return bounds


@settings(max_examples=60, deadline=None)
@given(P_VALUES, st.sampled_from([0.05, 0.2, 0.5]))
def test_the_bound_is_that_of_closed_testing(p, alpha):
    assert significance.true_discoveries(p, level=1 - alpha).tolist() == closed_testing(p, alpha)


@settings(max_examples=60, deadline=None)
@given(P_VALUES, st.sampled_from([0.05, 0.2, 0.5]))
def test_the_list_is_the_longest_whose_largest_p_value_fits_its_length(p, rate):
    chosen = significance.rejected(p, rate)
    fitting = [k for k in range(1, len(p) + 1) if sorted(p)[k - 1] <= rate * k / len(p)]
    expected = sorted(p)[: max(fitting, default=0)]
    assert sorted(np.asarray(p)[chosen].tolist())[: len(expected)] == expected
    assert chosen.sum() >= len(expected)  # ties come together


def test_ranks_are_counted_within_a_stratum():
    p = significance.conformal(
        [5, 5, 0], [1, 2, 9, 9, 9], strata=["a", "b", "a"], calibration_strata=["a", "a", "b", "b", "b"]
    )
    np.testing.assert_allclose(p, [1 / 3, 1, 1])


def test_ties_count_against_the_caption():
    np.testing.assert_allclose(significance.conformal([2.0], [1.0, 2.0, 3.0]), [3 / 4])


def test_harmless_captions_are_listed_no_more_often_than_promised():
    """400 audits of 50 captions, 10 of them memorized; all depend on each other through the calibration."""
    rng, shares, broken = np.random.default_rng(0), [], 0
    for _ in range(400):
        memorized = np.r_[np.ones(10, bool), np.zeros(40, bool)]
        scores = rng.standard_t(3, 50) + 8 * memorized
        p = significance.conformal(scores, rng.standard_t(3, 200))
        listed = significance.rejected(p, 0.2)
        shares.append((listed & ~memorized).sum() / max(1, listed.sum()))
        true = np.cumsum(memorized[np.argsort(p, kind="stable")])
        broken += bool((significance.true_discoveries(p, 0.9) > true).any())
    # The rate is exactly 0.2 * 40 / 50 for these p-values if they were continuous; 3 standard errors above.
    assert np.mean(shares) < 0.16 + 3 * np.std(shares) / 20
    assert np.mean(shares) > 0.10
    assert broken / 400 < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 400)


def test_one_caption_less_cannot_fill_the_list():
    needed = significance.calibration_needed(1000, 20, 0.1)
    for n, listed in ((needed, 20), (needed - 1, 0)):
        scores = np.r_[np.full(20, 9.0), np.zeros(980)]
        p = significance.conformal(scores, np.linspace(1, 2, n))
        assert significance.rejected(p, 0.1).sum() == listed


def test_the_numbers_of_the_guide():
    text = GUIDE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)
    assert doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(block, {}, "guide", None, 0)) == (
        0,
        3,
    )
    assert f"{significance.calibration_needed(1000, 20)} for 20 among 1,000" in text


@pytest.mark.parametrize("overlap", [0.0, 0.001, 0.0015])
def test_with_an_overlap_the_list_takes_more_harmless_captions(overlap):
    needed = significance.calibration_needed(1000, 20, 0.1, overlap=overlap)
    fits = [(1 + overlap * n) / (n + 1) <= 0.1 * 20 / 1000 + 1e-12 for n in (needed - 1, needed)]
    assert fits == [False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: significance.conformal([1.0], []),
            "no calibration caption of the kind 0.0; there are: none",
        ),
        (
            lambda: significance.conformal([1.0], [1.0], strata=["a"], calibration_strata=["b"]),
            "kind 'a'; there are: b",
        ),
        (lambda: significance.conformal([1.0], [1.0], strata=["a", "b"]), "one stratum for each score"),
        (lambda: significance.conformal([np.nan], [1.0]), "scores must be finite"),
        (lambda: significance.rejected([1.5]), r"p-values lie in \[0, 1\]"),
        (lambda: significance.calibration_needed(10, 0), "1 <= memorized <= captions"),
        (lambda: significance.calibration_needed(10, 1, 0.0), r"rate in \(0, 1\)"),
        (
            lambda: significance.calibration_needed(10, 1, overlap=0.01),
            "no number of captions suffices",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_captions_give_empty_answers():
    assert significance.rejected([]).tolist() == []
    assert significance.true_discoveries([]).tolist() == []
