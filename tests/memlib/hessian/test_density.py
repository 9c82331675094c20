"""Spectral density by Lanczos quadrature, counts from it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlib.hessian import draw
from memlib.hessian.arguments import NonFiniteProductError
from memlib.hessian.density import density
from memlib.hessian.operator import DenseOperator

from .oracles import DEVICES, DTYPES, SPECTRA, clustered, generator, symmetric


@pytest.mark.parametrize("name", SPECTRA)
def test_quadrature_is_exact_after_d_steps(name: str) -> None:
    """Each probe then gives v^T f(A) v itself, repeated eigenvalues and breakdowns included."""
    A = symmetric(SPECTRA[name])
    d, op = len(A), DenseOperator(A[None])
    found = density(op, probes=3, steps=d + 4, generator=generator(1))
    assert found.products == op.products == 3 * d
    values, vectors = torch.linalg.eigh(A)
    signs = draw.rademacher(op, 3, generator(1))[0]
    for f in (lambda x: x, torch.exp, lambda x: 1 / (1 + x**4)):
        if f is torch.exp and values.min() < -1e3:
            continue
        per_probe = (signs * (vectors @ torch.diag(f(values)) @ vectors.T @ signs)).sum(dim=0)
        # Rounding of f(A), and of the nodes themselves times the largest slope of f.
        rounding = 1e-12 * d * float(f(values).abs().max()) + 1e-14 * d * float(values.abs().max())
        torch.testing.assert_close(found.trace_of(f).value[0], per_probe.mean(), rtol=0, atol=rounding)


@settings(max_examples=30, deadline=None)
@given(d=st.integers(2, 20), m=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_m_nodes_integrate_polynomials_of_degree_2m_minus_1(d: int, m: int, seed: int) -> None:
    A = symmetric(torch.rand(d, dtype=torch.float64, generator=generator(seed)) * 2 - 1, seed)
    op = DenseOperator(A[None])
    found = density(op, probes=2, steps=m, generator=generator(seed))
    signs = draw.rademacher(op, 2, generator(seed))[0]
    torch.testing.assert_close(found.weights.sum(dim=2), torch.ones(1, 2, dtype=torch.float64))
    for degree in range(2 * m):
        exact = (signs * (torch.linalg.matrix_power(A, degree) @ signs)).sum(dim=0).mean()
        value = found.trace_of(lambda x, p=degree: x**p).value[0]
        torch.testing.assert_close(value, exact, rtol=0, atol=1e-11 * d)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_count_on_a_clustered_spectrum(dtype: torch.dtype, device: str) -> None:
    """20 of 300 above -50: 60 repetitions agree within their errors, which are honest."""
    A = symmetric(clustered()).to(dtype=dtype, device=device).expand(60, 300, 300)
    found = density(DenseOperator(A), probes=8, steps=40, generator=generator(3)).count_above(-50.0)
    error = found.value.cpu() - 20
    assert error.mean().abs() < 4 * error.std() / 60**0.5
    true, stated = error.square().mean().sqrt(), found.stderr.cpu().square().mean().sqrt()
    assert 0.75 < true / stated < 1.35


def test_count_cdf_and_smooth_agree() -> None:
    spectrum = torch.linspace(-3, 2, 60, dtype=torch.float64)
    A = torch.stack([symmetric(spectrum, seed=s) for s in (1, 2)])
    found = density(DenseOperator(A), probes=10, steps=60)
    grid = torch.linspace(-6, 5, 2201, dtype=torch.float64)
    cdf, smooth = found.cdf(grid), found.smooth(grid, 0.3)
    assert cdf.value.shape == smooth.value.shape == (2, 2201)
    assert (cdf.value.diff(dim=1) >= 0).all()
    torch.testing.assert_close(smooth.value.sum(dim=1) * 0.005, torch.ones(2).double(), rtol=1e-4, atol=0)
    at = 800  # grid point -2
    torch.testing.assert_close(found.count_above(float(grid[at])).value, 60 * (1 - cdf.value[:, at]))
    exact = (spectrum <= grid[at]).double().mean()
    assert ((cdf.value[:, at] - exact).abs() <= 4 * cdf.stderr[:, at]).all()
    kernel = torch.distributions.Normal(spectrum, 0.3).log_prob(grid[:, None]).exp().mean(dim=1)
    assert ((smooth.value - kernel).abs() <= 5 * smooth.stderr + 1e-3).all()


def test_thresholds_per_sample_and_default_of_zero() -> None:
    A = torch.stack([symmetric(torch.linspace(-3, 2, 30), seed=s) for s in (1, 2)])
    found = density(DenseOperator(A), probes=4, steps=30)
    both = found.count_above(torch.tensor([-10.0, 10.0]))
    torch.testing.assert_close(both.value, torch.tensor([30.0, 0.0]).double())
    torch.testing.assert_close(found.count_above().value, found.count_above(0.0).value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"probes": 1}, "probes must be at least 2"), ({"steps": 0}, "steps must be at least 1")],
)
def test_bad_arguments(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        density(DenseOperator(torch.eye(6)[None]), **options)


def test_bad_width() -> None:
    op = DenseOperator(torch.eye(6)[None])
    with pytest.raises(ValueError, match="width must be greater than zero"):
        density(op).smooth(torch.zeros(3), 0.0)


def test_non_finite_product_names_the_sample_not_the_probe() -> None:
    A = torch.eye(6, dtype=torch.float64).repeat(3, 1, 1)
    op = DenseOperator(A)
    A[1, 2, 3] = float("nan")
    with pytest.raises(NonFiniteProductError, match=r"product 1 holds NaN or infinity for sample\(s\) 1;"):
        density(op, probes=4)
