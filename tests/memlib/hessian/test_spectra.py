"""Spectra in parts against the dense ones, and what is held meanwhile."""

import pytest
import torch

from memlib.hessian import JacobianOperator, dense, spectra


def score(x):
    """A Jacobian that differs from point to point and is not symmetric."""
    return torch.stack([-(x[:, 0] ** 3) + x[:, 1], torch.sin(x[:, 1]) - x[:, 2], x[:, 0] * x[:, 2]], dim=1)


@pytest.fixture
def x():
    return torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
@pytest.mark.parametrize("product", ["vjp", "symmetric"])
def test_parts_are_the_whole(x, at_once, product):
    found = spectra(score, x, at_once=at_once, product=product)
    whole = dense(JacobianOperator(score, x, product=product))
    assert torch.equal(found.eigenvalues, whole.eigenvalues)
    assert torch.equal(found.asymmetry, whole.asymmetry)
    assert found.asymmetry.max() > 0.1 or product == "symmetric"


def test_no_more_than_the_part_is_evaluated_together(x):
    rows = []

    def watched(points):
        rows.append(len(points))
        return score(points)

    spectra(watched, x, at_once=2, product="difference")
    assert {2, 1} <= set(rows)  # the score itself, at two points a time and the odd one
    assert max(rows) <= 2 * 3  # d = 3 directions for each of two points


@pytest.mark.parametrize("at_once", [0, -1])
def test_parts_have_at_least_one_sample(x, at_once):
    with pytest.raises(ValueError, match=f"at_once must be at least 1, got {at_once}"):
        spectra(score, x, at_once=at_once)


def test_bad_points_are_named():
    with pytest.raises(ValueError, match="x has NaN or infinite entries in rows"):
        spectra(score, torch.full((2, 3), torch.nan))
