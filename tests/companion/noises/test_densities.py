"""Exact captions with the organism's shares and copies, in a space small enough to check."""

import pytest
import torch
from torch.nn import functional

from companion.noises import densities, exact_captions, told_exactly
from companion.noises.densities import RIDGE
from companion.organism import captions
from companion.organism.images import ROW, images
from memlib import intervals
from memlib.schedule import VariancePreserving

COUNT = 8


class Coarse:
    """In place of a model: latents are the means of the quarters of an image."""

    schedule = VariancePreserving.scaled_linear()

    def latents(self, x):
        return 4 * functional.adaptive_avg_pool2d(x, 2)


@pytest.fixture(scope="module")
def ordinary():
    return densities(Coarse(), COUNT, seed=1)


@pytest.fixture(scope="module")
def chosen():
    return [next(c for c in captions("mixed", generation=2) if c.share == f) for f in (0.1, 0.5, 0.9)]


def test_the_spread_of_all_is_that_within_digits_and_that_between_them(ordinary):
    ridge = RIDGE * torch.eye(12)
    between = ordinary.means - ordinary.means.mean(0)
    scatter = (10 * COUNT - 1) * (ordinary.within - ridge) + COUNT * between.T @ between
    torch.testing.assert_close((10 * COUNT - 1) * (ordinary.total - ridge), scatter)


def test_the_copy_has_its_share(ordinary, chosen):
    made = exact_captions(Coarse(), chosen, ordinary)
    for caption, exact in zip(chosen, made, strict=True):
        copy = Coarse().latents((images([caption], torch.zeros(1, ROW)) + 1) / 2).flatten().double()
        torch.testing.assert_close(exact.conditional.means[0], copy)
        torch.testing.assert_close(exact.unconditional.means[0], copy)
        torch.testing.assert_close(exact.conditional.means[1], ordinary.means[caption.digit])
        assert exact.conditional.weights[0].item() == pytest.approx(caption.share)
        assert exact.unconditional.weights[0].item() == pytest.approx(caption.copies / 54_310, rel=1e-2)


def test_what_is_told_has_a_row_for_each_noise_and_the_oracle_knows(ordinary, chosen):
    made = exact_captions(Coarse(), chosen, ordinary)
    told = told_exactly(
        made, [c.share for c in chosen], 981, noises=64, guidance=(1.0, 7.5), steps=10, seed=2
    )
    assert len(told) == 3 * 64 * 2
    rates = told[told["guidance"] == 1].groupby("share")["copy"].mean()
    assert rates[0.1] < rates[0.5] < rates[0.9]
    half = told[(told["share"] == 0.5) & (told["guidance"] == 1)]
    copied = half["copy"].to_numpy(dtype=bool)
    assert intervals.roc_area(half["oracle"][copied], half["oracle"][~copied]) > 0.65
    again = told[(told["share"] == 0.5) & (told["guidance"] == 7.5)]
    assert again["difference"].tolist() == half["difference"].tolist()
