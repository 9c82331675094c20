"""The sequential test: how often it warns of nothing, of something, and what it refuses."""

import pytest
import torch
from scipy.stats import binom

from memlib.monitor import SequentialTest

N = 16
MEMBER = torch.arange(N) < N // 2


def trajectories(runs, looks, seed, *, n=N, heavy=False):
    """Random walks of every row around a level of its own, `(runs, looks, n, 2)`."""
    source = torch.Generator().manual_seed(seed)
    own = 3 * torch.randn(runs, 1, n, 2, generator=source)
    steps = torch.randn(runs, looks, n, 2, generator=source)
    if heavy:
        steps = steps / torch.randn(runs, looks, n, 2, generator=source).abs().clamp(min=0.01)
    return own + 0.3 * steps.cumsum(1)


def warned(runs, **options):
    """Share of runs with a warning, each look asking for the values and their change since the first."""
    found = []
    for number, run in enumerate(runs):
        test = SequentialTest(MEMBER, seed=number, **options)
        found.append(any(test.look(torch.cat([x, x - run[0]], 1)).alarm for x in run))
    return sum(found)


@pytest.mark.parametrize(("paired", "heavy"), [(False, False), (True, False), (False, True)])
def test_false_alarms_over_all_looks_are_as_rare_as_stated(paired, heavy):
    runs = trajectories(120, 20, seed=1, heavy=heavy)
    alarms = warned(runs, level=0.1, labelings=99, paired=paired)
    assert alarms <= binom.ppf(0.999, 120, 0.1)
    assert alarms >= binom.ppf(0.001, 120, 0.1 * 20 / 30 / 2)  # and the level is made use of


def test_asked_at_a_level_for_each_look_alone_it_would_warn_in_nearly_every_run():
    runs, alone, together = torch.randn(40, 30, N, 2, generator=torch.Generator().manual_seed(2)), 0, 0
    for number, run in enumerate(runs):
        test = SequentialTest(MEMBER, level=0.1, labelings=99, seed=number)
        looks = [test.look(x) for x in run]
        alone += any(look.p_value <= 0.1 for look in looks)
        together += looks[-1].alarm
    assert alone >= 33  # 1 - 0.9^30 of 40 is 38
    assert together <= binom.ppf(0.999, 40, 0.1)


def test_never_more_labelings_are_crossed_out_than_the_level_allows():
    """The share of labelings that are crossed out is the rate of false alarms."""
    source = torch.Generator().manual_seed(0)
    test = SequentialTest(MEMBER, level=0.05, labelings=199)
    for looks in range(1, 200):
        test.look(torch.randn(N, 3, generator=source).exp() * looks)
        assert int((~test.left).sum()) <= 0.05 * 200 * looks / (looks + 10) + 1e-9
    assert int((~test.left).sum()) == 9  # of 10, which endless looks would spend


def test_ties_do_not_spend_more():
    test = SequentialTest(MEMBER, level=0.5, labelings=99, half=1)
    for _ in range(50):
        assert not test.look(torch.zeros(N, 1)).alarm  # nothing tells the labelings apart
    assert bool(test.left.all())


@pytest.mark.parametrize(("paired", "n"), [(False, 16), (True, 32)])  # 8 pairs have 256 labelings, too few
def test_a_difference_is_found_and_stays_found(paired, n):
    runs = trajectories(20, 30, seed=3, n=n)
    runs[:, 15:, : n // 2, 1] += 4.0  # a step in the middle of the training, in one of the columns
    member = torch.arange(n) < n // 2
    tests = [SequentialTest(member, paired=paired, seed=number) for number in range(20)]
    at = [
        [test.look(torch.cat([x, x - run[0]], 1)).alarm for x in run]
        for test, run in zip(tests, runs, strict=True)
    ]
    assert sum(any(of[15:]) for of in at) >= 18  # power of 9 in 10 at least
    assert sum(any(of[:15]) for of in at) <= 2
    assert all(of == sorted(of) for of in at)


def test_a_change_is_seen_through_the_levels_of_the_rows():
    """Rows that differ by far more than the effect: their change since the first look shows it at once."""
    level = 100 * torch.randn(N, 1, generator=torch.Generator().manual_seed(0))
    noise = 0.1 * torch.randn(N, 1, generator=torch.Generator().manual_seed(1))
    later = level + noise + 1.0 * MEMBER[:, None]
    test = SequentialTest(MEMBER)
    assert test.look(level).p_value > 0.01
    look = test.look(torch.cat([later, later - level], 1))
    assert look.alarm
    assert look.column == 1


def test_a_difference_of_the_wrong_sign_is_no_warning():
    test = SequentialTest(MEMBER)
    for _ in range(30):
        look = test.look(-1.0 * MEMBER[:, None])
    assert not look.alarm
    assert look.p_value > 0.99


def test_the_statistic_is_a_standardized_difference_of_means():
    x = torch.randn(N, 1, generator=torch.Generator().manual_seed(4)).double()
    look = SequentialTest(MEMBER).look(x)
    expected = (x[:8].mean() - x[8:].mean()) / (x.std() * (1 / 8 + 1 / 8) ** 0.5)
    assert look.statistic == pytest.approx(expected.item())
    pairs = SequentialTest(MEMBER, paired=True).look(x)
    difference = x[:8] - x[8:]
    assert pairs.statistic == pytest.approx((difference.sum() / difference.square().sum().sqrt()).item())


def test_the_labelings_of_pairs_exchange_within_pairs_alone():
    labels = SequentialTest(MEMBER, paired=True).labels
    assert bool((labels[:, :8] + labels[:, 8:] == 1).all())
    assert bool((labels[0] == MEMBER).all())
    assert len(labels.unique(dim=0)) > 200  # nearly all of 256


@pytest.mark.parametrize(
    ("member", "options", "message"),
    [
        (torch.ones(4, dtype=torch.bool), {}, "some not"),
        (torch.tensor([False, False, True, True]), {"paired": True}, "marked rows first"),
        (MEMBER, {"level": 0.001, "labelings": 99}, "labelings"),
        (MEMBER, {"level": 0.0}, "level"),
    ],
)
def test_what_cannot_be_tested_is_refused(member, options, message):
    with pytest.raises(ValueError, match=message):
        SequentialTest(member, **options)


@pytest.mark.parametrize("columns", [torch.zeros(N), torch.zeros(N - 1, 1), torch.full((N, 1), torch.nan)])
def test_rows_that_are_not_those_are_refused(columns):
    with pytest.raises(ValueError, match="finite"):
        SequentialTest(MEMBER).look(columns)
