"""Every routine on the score of a diffused Gaussian mixture, against its exact Hessian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memlib.hessian.arnoldi import arnoldi
from memlib.hessian.counting import count_above
from memlib.hessian.density import density
from memlib.hessian.diagonal import diagonal
from memlib.hessian.jacobian import JacobianOperator
from memlib.hessian.lanczos import lanczos
from memlib.mixture import GaussianMixture
from memlib.sharpness import estimated_dimension, shifted_trace

from .oracles import generator

D, RANK, ALPHA, SIGMA = 40, 5, 0.9, 0.15


@pytest.fixture(scope="module", name="mixture")
def diffused_mixture() -> GaussianMixture:
    """An isolated point beside a five-dimensional Gaussian, seen at noise 0.15."""
    source = generator(1)
    means = torch.randn(2, D, dtype=torch.float64, generator=source)
    variances = torch.full((2, D), 1e-6, dtype=torch.float64)
    variances[1, :RANK] = 1.0
    weights = torch.tensor([0.05, 0.95], dtype=torch.float64)
    return GaussianMixture(weights, means, variances).diffused(ALPHA, SIGMA)


@pytest.fixture(scope="module", name="points")
def points_near_each_mode(mixture: GaussianMixture) -> Tensor:
    noise = torch.randn(2, D, dtype=torch.float64, generator=generator(2))
    return mixture.means + SIGMA * noise


@pytest.fixture(scope="module", name="H")
def exact_hessian(mixture: GaussianMixture, points: Tensor) -> Tensor:
    return mixture.hessian(points)


@pytest.fixture(params=["symmetric", "vjp", "jvp"], name="op")
def operator(request: pytest.FixtureRequest, mixture: GaussianMixture, points: Tensor) -> JacobianOperator:
    return JacobianOperator(mixture.score, points, product=request.param)


def test_eigenvalues(op: JacobianOperator, H: Tensor) -> None:
    exact = torch.linalg.eigvalsh(H)
    scale = exact.abs().max()
    torch.testing.assert_close(lanczos(op, D).eigenvalues, exact, rtol=0, atol=float(1e-11 * scale))
    found = arnoldi(op, D, which="most_negative").eigenvalues
    torch.testing.assert_close(found.real, exact, rtol=0, atol=float(1e-10 * scale))


def test_the_count_separates_the_isolated_point(op: JacobianOperator) -> None:
    """Above half the curvature of an isolated point: no direction at it, five on the Gaussian."""
    count = count_above(op, -1 / (2 * SIGMA**2), steps=D)
    assert count.value.tolist() == [0, RANK]
    assert count.settled.all()
    estimate = density(op, probes=8, steps=20).count_above(-1 / (2 * SIGMA**2))
    assert ((estimate.value - count.value).abs() <= 4 * estimate.stderr + 1e-9).all()


def test_traces_and_diagonal(op: JacobianOperator, H: Tensor) -> None:
    """sigma^2 H + I has rank five here, up to 1e-4: a dozen products leave little to estimate."""
    for method in ("hutch++", "xtrace"):
        found = shifted_trace(op, 24, SIGMA, method=method)
        exact = H.diagonal(dim1=1, dim2=2).sum(dim=1)
        assert ((found.value - exact).abs() <= 1e-3 * exact.abs()).all()
        assert ((found.value - exact).abs() <= 6 * found.stderr + 1e-9 * exact.abs()).all()
    cube = shifted_trace(op, 72, SIGMA, power=3, method="xtrace")
    exact = torch.linalg.matrix_power(H, 3).diagonal(dim1=1, dim2=2).sum(dim=1)
    assert ((cube.value - exact).abs() <= 1e-3 * exact.abs()).all()
    plain = diagonal(op, 32, method="hutchinson")
    z = (plain.value - H.diagonal(dim1=1, dim2=2)) / plain.stderr.clamp(min=1e-9)
    assert z.abs().max() < 6


def test_local_dimension(op: JacobianOperator) -> None:
    found = estimated_dimension(density(op, steps=12), SIGMA)
    expected = torch.tensor([0.0, RANK], dtype=torch.float64)
    assert ((found.value - expected).abs() <= 4 * found.stderr + 0.1).all()


def test_float32_network_in_a_float64_basis(mixture: GaussianMixture, points: Tensor, H: Tensor) -> None:
    """The precision policy: a network in float32 costs float32 accuracy of the largest eigenvalue."""

    def rounded(x: Tensor) -> Tensor:
        return mixture.score(x.double()).float()

    op = JacobianOperator(rounded, points.float(), product="symmetric")
    result = lanczos(op, D)
    scale = torch.linalg.eigvalsh(H).abs().max()
    assert result.eigenvalues.dtype == torch.float64
    error = (result.eigenvalues - torch.linalg.eigvalsh(mixture.hessian(points.float().double()))).abs().max()
    assert error <= 1e-6 * scale
    assert error > 1e-13 * scale  # the products are in float32 indeed
    assert result.converged.all()
    assert result.asymmetry.max() < 1e-6
