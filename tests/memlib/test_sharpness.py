"""Statistics against their definitions and the paper's lemmas on Gaussians."""

import pytest
import torch

from companion.measures import conditional_estimates, estimates
from memlib import hessian, sharpness
from memlib.hessian import DenseOperator
from memlib.mixture import GaussianMixture
from memlib.score import Score
from memlib.sharpness.dimension import flipd_from_trace

from .hessian.oracles import generator, symmetric

EIGENVALUES = torch.tensor([[-4.0, -1.0, 0.0, 2.0], [-9.0, -9.0, -9.0, -9.0]], dtype=torch.float64)
EPS = torch.finfo(torch.float64).eps


def gaussian_score(variances):
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, len(variances)), torch.tensor([variances]))
    return mixture, Score(mixture.score, alpha=1.0, sigma=1.0)


def test_counts_and_traces():
    assert sharpness.nonnegative_count(EIGENVALUES).tolist() == [2, 0]
    assert sharpness.trace(EIGENVALUES).tolist() == [-3.0, -36.0]
    assert sharpness.trace(EIGENVALUES, 3).tolist() == [-64.0 - 1 + 8, -4 * 729.0]
    assert sharpness.scaled(EIGENVALUES, 1 / 3)[1].tolist() == pytest.approx([-1.0] * 4)


@pytest.mark.parametrize("product", ["jvp", "vjp", "symmetric", "difference"])
def test_hessian_score_norm_of_a_gaussian(product):
    """s = -x / v, H = -1 / v: ||H s|| = ||x / v^2||."""
    variances = [0.5, 1.0, 2.0]
    _, score = gaussian_score(variances)
    x = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    expected = (x / torch.tensor(variances).double() ** 2).norm(dim=1)
    # A forward difference of a linear score rounds to sqrt(eps) of its size; the others to eps.
    tolerance = 1e-7 if product == "difference" else 16 * EPS
    found = sharpness.hessian_score_norm(score, x, product)
    assert torch.allclose(found, expected, rtol=tolerance, atol=0)


def test_lemmas_on_samples_of_a_gaussian():
    """Lemma 4.1: E ||s||^2 = -tr H; lemma 4.3: E ||H s||^2 = -tr H^3."""
    variances = [0.5, 1.0, 2.0]
    mixture, score = gaussian_score(variances)
    n = 4000
    x = mixture.sample(n, torch.Generator().manual_seed(0))
    H = mixture.hessian(x[:1])
    eigenvalues = torch.linalg.eigvalsh(H)
    for squares, power in (
        (sharpness.score_norm(score, x) ** 2, 1),
        (sharpness.hessian_score_norm(score, x) ** 2, 3),
    ):
        error = squares.std() / n**0.5
        assert (squares.mean() + sharpness.trace(eigenvalues, power)[0]).abs() < 5 * error


def test_local_dimension_counts_what_is_flat_at_the_scale_of_the_noise():
    """Values of -1 / (sigma^2 + w^2): two directions far wider than sigma, one 3 sigma, one none."""
    sigma = 0.1
    widths = torch.tensor([[10.0, 5.0, 0.3, 0.0]], dtype=torch.float64)
    found = sharpness.local_dimension(-1 / (sigma**2 + widths**2), sigma)
    # (w / sigma)^2 + 1 = 10 is half a direction by definition of the cut-off; none at all adds cutoff^4.
    assert found.item() == pytest.approx(2.5 + 1e-4, abs=1e-5)
    matrix = DenseOperator(torch.diag_embed(EIGENVALUES))
    estimate = sharpness.estimated_dimension(hessian.density(matrix, probes=4000, steps=4), 0.5)
    assert torch.all(
        (estimate.value - sharpness.local_dimension(EIGENVALUES, 0.5)).abs() <= 5 * estimate.stderr + 1e-9
    )
    with pytest.raises(ValueError, match="cutoff and exponent must be greater than zero, got 0 and 4"):
        sharpness.local_dimension(EIGENVALUES, 0.5, cutoff=0)
    with pytest.raises(ValueError, match="sigma must be greater than zero, got -1"):
        sharpness.estimated_dimension(hessian.density(matrix), -1)


def test_differences_use_the_difference_of_scores():
    matrices = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[-1.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)
    conditional, unconditional = (Score(lambda x, M=M: x @ M.T, alpha=0.6, sigma=0.8) for M in matrices)
    delta, J = conditional - unconditional, matrices[0] - matrices[1]
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    s = J @ x[0]
    assert sharpness.difference_norm(delta, x).item() == pytest.approx(s.norm().item())
    # J is not symmetric: the products are told apart.
    assert sharpness.curvature_gain(delta, x).item() == pytest.approx((J @ s).norm().item())
    assert sharpness.curvature_gain(delta, x, "vjp").item() == pytest.approx((J.T @ s).norm().item())
    assert (J @ s).norm() != (J.T @ s).norm()


@pytest.mark.parametrize(
    "statistic",
    [
        sharpness.nonnegative_count,
        sharpness.trace,
        lambda e: sharpness.scaled(e, 1.0),
        lambda e: sharpness.local_dimension(e, 1.0),
    ],
)
@pytest.mark.parametrize(
    ("eigenvalues", "message"),
    [
        (torch.tensor([[float("nan"), 1.0]]), r"NaN or infinite entries in rows \[0\]"),
        (torch.ones(3), r"shape \(B, \.\.\.\)"),
        (torch.ones(1, 2, 2), r"eigenvalues must have shape \(B, d\), got \(1, 2, 2\)"),
        (torch.ones(1, 2, dtype=torch.int64), "floating dtype"),
    ],
)
def test_bad_spectra_are_refused(statistic, eigenvalues, message):
    """A NaN compares as negative: uncaught, it would make a point look memorized."""
    with pytest.raises(ValueError, match=message):
        statistic(eigenvalues)


VARIANCES = [0.5, 1.0, 2.0, 4.0]


@pytest.fixture
def points():
    return torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_estimates_are_exact_where_lanczos_ends(points):
    """As many steps as dimensions give a whole spectral measure; of a Gaussian H = -1 / v, s = -x / v."""
    sigma, v = 0.5, torch.tensor(VARIANCES, dtype=torch.float64)
    score = Score(lambda x: -x / v, alpha=1.0, sigma=sigma)
    found = estimates(score, points, probes=400, steps=4)
    assert torch.allclose(found.score_norm, sigma * (points / v).norm(dim=1))
    assert torch.allclose(found.hessian_score_norm, sigma**3 * (points / v**2).norm(dim=1))
    # 400 probes of unit length: the relative error of a mean over a spectrum of this width is below a tenth.
    trace = (1 / v).sum()
    assert torch.allclose(found.sharpness, sigma**2 * trace.expand(3), rtol=0.1)
    assert torch.equal(found.nonnegative_count, torch.zeros(3, dtype=torch.float64))
    eigenvalues = -(1 / v).expand(3, -1)
    assert torch.allclose(found.local_dimension, sharpness.local_dimension(eigenvalues, sigma), rtol=0.2)
    expected = 4 - found.sharpness + found.score_norm**2
    assert torch.allclose(found.flipd, expected)


def test_conditional_estimates_are_those_of_each_definition(points):
    sigma, v = 0.5, torch.tensor(VARIANCES, dtype=torch.float64)
    conditional = Score(lambda x: -x / v, alpha=1.0, sigma=sigma)
    unconditional = Score(lambda x: -x / 5, alpha=1.0, sigma=sigma)
    found = conditional_estimates(conditional, unconditional, points, probes=4)
    slope = 1 / v - 1 / 5
    # Signs as probes give the trace of a diagonal matrix exactly.
    assert torch.allclose(found.sharpness, (sigma**2 * (1 / v).sum() / 4).expand(3))
    assert torch.allclose(found.difference_norm, sigma * (slope * points).norm(dim=1))
    assert torch.allclose(found.curvature_gain, sigma**3 * (slope**2 * points).norm(dim=1), rtol=1e-6)
    flipd = 4 - sigma**2 * (1 / v).sum() + sigma**2 * (points / v).norm(dim=1) ** 2
    assert torch.allclose(sharpness.flipd(conditional, points, probes=4).value, flipd)


def test_spectral_filter_counts_directions_along_the_data() -> None:
    """A point on a k-plane at noise sigma: scaled eigenvalues 0 along, -1 across; each of those adds c^4."""
    sigma, k, d = 0.05, 6, 50
    H = symmetric(torch.cat([torch.zeros(k), torch.full((d - k,), -1 / sigma**2)]))
    spectrum = hessian.density(DenseOperator(H.expand(100, d, d)), steps=8, generator=generator(2))
    found = sharpness.estimated_dimension(spectrum, sigma)
    error = found.value - (k + (d - k) * 1e-4 / (1 + 1e-4))
    assert error.mean().abs() < 4 * error.std() / 10
    assert 0.7 < error.square().mean().sqrt() / found.stderr.square().mean().sqrt() < 1.4


def test_flipd_of_a_gaussian_on_a_plane() -> None:
    """At the mean of a k-dimensional Gaussian of variance w^2 the score is 0: k w^2 / (w^2 + sigma^2)."""
    sigma, k, d, w = 0.1, 5, 30, 2.0
    variances = torch.cat([torch.full((k,), w**2 + sigma**2), torch.full((d - k,), sigma**2)]).double()
    estimate = sharpness.shifted_trace(DenseOperator(symmetric(-1 / variances)[None]), 20, sigma)
    found = flipd_from_trace(estimate, torch.zeros(1), sigma, d)
    torch.testing.assert_close(found.value, torch.tensor([k * w**2 / (w**2 + sigma**2)]).double())
    assert found.stderr < 1e-10
    torch.testing.assert_close(
        flipd_from_trace(estimate, torch.ones(1), sigma, d).value, found.value + sigma**2
    )
    with pytest.raises(ValueError, match="one entry per sample"):
        flipd_from_trace(estimate, torch.zeros(3), sigma, d)
