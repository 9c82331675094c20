"""Exact mixtures against autograd, finite differences, sampling and the algebra of Gaussians."""

import ast
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memlib.mixture
from memlib.mixture import GaussianMixture

EPS = torch.finfo(torch.float64).eps


def orthogonal(d, generator):
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))[0]


def random_mixture(components, d, condition=10.0, seed=0):
    """Components with eigenvalues log-uniform in [1 / condition, 1], the ends included where d > 1."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(components, dtype=torch.float64, generator=generator) + 0.1
    means = torch.randn(components, d, dtype=torch.float64, generator=generator)
    covariances = []
    for _ in range(components):
        exponents = torch.rand(d, dtype=torch.float64, generator=generator)
        exponents[0], exponents[-1] = 1.0, 0.0
        Q = orthogonal(d, generator)
        S = Q @ torch.diag(condition**-exponents) @ Q.T
        covariances.append((S + S.T) / 2)
    return GaussianMixture(weights / weights.sum(), means, torch.stack(covariances))


def points(mixture, count=4, seed=1):
    return mixture.sample(count, torch.Generator().manual_seed(seed))


def plain_log_prob(mixture, x):
    """torch.distributions on the same numbers, through Cholesky factors rather than eigenvectors."""
    D = torch.distributions
    components = D.MultivariateNormal(mixture.means, covariance_matrix=mixture.covariances)
    return D.MixtureSameFamily(D.Categorical(probs=mixture.weights), components).log_prob(x)


def autograd_score_and_hessian(mixture, x):
    scores, hessians = [], []
    for row in x:

        def log_prob(z):
            return plain_log_prob(mixture, z[None])[0]

        scores.append(torch.autograd.functional.jacobian(log_prob, row))
        hessians.append(torch.autograd.functional.hessian(log_prob, row))
    return torch.stack(scores), torch.stack(hessians)


def relative(found, expected):
    """Frobenius error of each sample relative to the size of the expected."""
    return ((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max().item()


# Both routes to S^-1 (eigenvectors here, Cholesky there) are backward stable: their errors are at most about
# d eps cond(S) of the largest entry, a hundred for constants.
def tolerance(d, condition):
    return 100 * d * condition * EPS


@pytest.mark.parametrize("d", [1, 2, 10, 100])
@pytest.mark.parametrize("condition", [10.0, 1e6])
def test_log_prob_score_and_hessian_against_autograd(d, condition):
    mixture = random_mixture(3, d, condition, seed=d)
    x = points(mixture, 3)
    scores, hessians = autograd_score_and_hessian(mixture, x)
    assert relative(mixture.log_prob(x)[:, None], plain_log_prob(mixture, x)[:, None]) < tolerance(
        d, condition
    )
    assert relative(mixture.score(x), scores) < tolerance(d, condition)
    assert relative(mixture.hessian(x), hessians) < tolerance(d, condition)


@pytest.mark.parametrize("d", [2, 10])
def test_condition_number_of_ten_billion(d):
    """One component has the closed form s = -S^-1 (x - mu), H = -S^-1, known exactly in its own axes."""
    generator = torch.Generator().manual_seed(d)
    variances = torch.logspace(0, -10, d, dtype=torch.float64)
    Q = orthogonal(d, generator)
    S = Q @ torch.diag(variances) @ Q.T
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, d), ((S + S.T) / 2)[None])
    z = torch.randn(5, d, dtype=torch.float64, generator=generator)
    x = (z * variances.sqrt()) @ Q.T
    precision = Q @ torch.diag(1 / variances) @ Q.T
    bound = 10 * d * 1e10 * EPS  # forming S already moves its smallest eigenvalue by eps ||S||
    assert relative(mixture.score(x), -x @ precision) < bound
    assert relative(mixture.hessian(x), -precision.expand(5, d, d)) < bound


@pytest.mark.parametrize("d", [1, 2, 10, 100])
def test_score_and_hessian_against_finite_differences(d):
    """Central differences along random directions: off by h^2 of a third derivative and eps / h."""
    mixture = random_mixture(4, d, seed=d + 7).diffused(0.8, 0.6)
    x = points(mixture, 3)
    generator = torch.Generator().manual_seed(0)
    v = torch.nn.functional.normalize(torch.randn(3, d, dtype=torch.float64, generator=generator))
    h = EPS ** (1 / 3)
    slope = (mixture.log_prob(x + h * v) - mixture.log_prob(x - h * v)) / (2 * h)
    along = (mixture.score(x + h * v) - mixture.score(x - h * v)) / (2 * h)
    # h^2 = 4e-11 times third derivatives, which are of order sigma^-3 = 5 and grow with |x| and d.
    assert ((mixture.score(x) * v).sum(1) - slope).abs().max() < 1e-8 * d
    product = torch.einsum("bij,bj->bi", mixture.hessian(x), v)
    assert (product - along).abs().max() < 1e-8 * d


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    d=st.sampled_from([1, 2, 5]),
    components=st.integers(1, 5),
    angle=st.floats(0.01, 1.57),
    scale=st.floats(0.0, 30.0),
)
def test_properties_of_any_mixture_at_any_level(seed, d, components, angle, scale):
    alpha, sigma = math.cos(angle), math.sin(angle)
    mixture = random_mixture(components, d, condition=100.0, seed=seed).diffused(alpha, sigma)
    x = scale * torch.randn(4, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    posterior, hessian = mixture.posterior(x), mixture.hessian(x)
    assert ((posterior.sum(1) - 1).abs() <= 8 * components * EPS).all()
    assert torch.equal(hessian, hessian.mT)
    # Diffused by sigma, every covariance is at least sigma^2 I, so no curvature is sharper than -1 / sigma^2.
    smallest = torch.linalg.eigvalsh(hessian)[:, 0]
    size = torch.linalg.matrix_norm(hessian, 2) + sigma**-2
    assert (smallest >= -(sigma**-2) - 100 * d * EPS * size).all()


def test_diffusion_of_means_and_covariances():
    mixture = random_mixture(2, 3)
    diffused = mixture.diffused(
        torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    )
    assert torch.allclose(diffused.means, 0.6 * mixture.means, rtol=4 * EPS)
    expected = 0.36 * mixture.covariances + 0.64 * torch.eye(3, dtype=torch.float64)
    assert torch.allclose(diffused.covariances, expected, rtol=4 * EPS, atol=4 * EPS)
    again = diffused.diffused(1.0, 0.0)
    assert torch.equal(again.log_prob(points(mixture)), diffused.log_prob(points(mixture)))


def test_an_isolated_point_has_scaled_curvature_minus_one():
    """A component much narrower than the noise: sigma^2 H = -I up to variance / sigma^2."""
    tiny = GaussianMixture(torch.ones(1), torch.zeros(1, 4), torch.tensor([1e-12])).diffused(0.9, 0.1)
    scaled = 0.01 * tiny.hessian(torch.zeros(1, 4))[0]
    assert torch.allclose(scaled, -torch.eye(4).double(), atol=1e-10 + 1e-12 / 0.01)


def test_isotropic_diagonal_and_full_covariances_agree():
    weights, means = torch.tensor([0.25, 0.75]), torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    variances = torch.tensor([0.5, 2.0])
    diagonal = variances[:, None].expand(2, 3)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found = [
        GaussianMixture(weights, means, covariances).hessian(x)
        for covariances in (variances, diagonal, torch.diag_embed(diagonal))
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_density_integrates_to_one():
    grid = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    mixture = GaussianMixture(
        torch.tensor([0.3, 0.7000005]), torch.tensor([[-1.0], [2.0]]), torch.tensor([0.1, 1.0])
    )
    total = torch.trapezoid(mixture.log_prob(grid[:, None]).exp(), grid)
    # For a smooth density that vanishes at both ends the trapezoid rule beats any power of its step.
    assert total.item() == pytest.approx(1.0, abs=1e-12)


def test_far_from_every_component_the_nearest_decides():
    mixture = GaussianMixture(
        torch.tensor([0.5, 0.5]), torch.tensor([[-1.0], [1.0]]), torch.tensor([1.0, 1.0])
    )
    x = torch.tensor([[1e6]], dtype=torch.float64)
    assert mixture.posterior(x)[0].tolist() == [0.0, 1.0]
    assert mixture.score(x).item() == pytest.approx(-(1e6 - 1), rel=1e-12)
    assert mixture.hessian(x).item() == pytest.approx(-1.0, rel=1e-12)


def test_moments_of_samples():
    mixture = random_mixture(3, 2)
    n = 40_000
    x = mixture.sample(n, torch.Generator().manual_seed(0))
    mean = mixture.weights @ mixture.means
    centred = mixture.means - mean
    covariance = torch.einsum(
        "k,kde->de", mixture.weights, mixture.covariances + torch.einsum("kd,ke->kde", centred, centred)
    )
    # Five standard errors, of a mean and of a covariance (of variance below 3 / n of its scale squared).
    deviation = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 5 * deviation / math.sqrt(n)).all()
    assert ((x.T.cov() - covariance).abs() < 5 * math.sqrt(3 / n) * torch.outer(deviation, deviation)).all()


def test_samples_follow_the_generator_alone():
    mixture = random_mixture(3, 2)
    state = torch.get_rng_state()
    first, second = points(mixture, seed=5), points(mixture, seed=5)
    assert torch.equal(first, second)
    assert not torch.equal(first, points(mixture, seed=6))
    assert torch.equal(state, torch.get_rng_state())


def test_float32_points_give_float64_results():
    mixture = random_mixture(2, 3)
    x = torch.zeros(2, 3)
    results = (mixture.log_prob(x), mixture.score(x), mixture.hessian(x), mixture.posterior(x))
    assert all(result.dtype == torch.float64 for result in results)


HALF, MEANS = torch.tensor([0.5, 0.5]), torch.zeros(2, 2)
EYES = torch.eye(2).expand(2, 2, 2)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        (torch.tensor([0.5, 0.6]), MEANS, EYES, "sum to 1, got .* sum 1.1; divide them"),
        (torch.tensor([1.5, -0.5]), MEANS, EYES, "must be positive"),
        (torch.tensor([1.0, 0.0]), MEANS, EYES, "must be positive"),
        (torch.tensor([1, 1]), MEANS, EYES, "weights must have a floating dtype"),
        (HALF, MEANS.long(), EYES, "means must have a floating dtype"),
        (HALF, MEANS, EYES.long(), "covariances must have a floating dtype"),
        (HALF, torch.tensor([[0.0, 0.0], [float("nan"), 0.0]]), EYES, r"means has NaN .* rows \[1\]"),
        (HALF, MEANS, EYES * float("nan"), r"covariances has NaN"),
        (torch.tensor([float("nan"), 0.5]), MEANS, EYES, r"weights has NaN"),
        (
            HALF,
            torch.zeros(3, 2),
            EYES,
            r"weights must be \(K,\) and means \(K, d\), got \(2,\) and \(3, 2\)",
        ),
        (HALF, torch.zeros(2, 2, 2), EYES, r"means \(K, d\), got \(2,\) and \(2, 2, 2\)"),
        (HALF, MEANS, torch.ones(2, 3), r"shape \(2,\), \(2, 2\) or \(2, 2, 2\), got \(2, 3\)"),
        (
            HALF,
            MEANS,
            torch.tensor([[[1.0, 0.5], [0.4, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]),
            r"\[0\] are not symmetric.*0\.5",
        ),
        (HALF, MEANS, torch.tensor([[1.0, 1.0], [1.0, 0.0]]), r"\[1\] are not positive definite"),
        (
            HALF,
            MEANS,
            torch.tensor([[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]),
            r"\[0\] are not positive definite.*-1",
        ),
    ],
)
def test_bad_mixtures_are_refused(weights, means, covariances, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covariances)


@pytest.mark.parametrize("method", ["log_prob", "score", "hessian", "posterior"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2), r"shape \(B, 2\)"),
        (torch.zeros(3, 4), r"shape \(B, 2\), batch first, got \(3, 4\)"),
        (torch.zeros(0, 2), "empty"),
        (torch.zeros(3, 2, dtype=torch.int32), "floating dtype"),
        (torch.tensor([[0.0, float("inf")]]), r"rows \[0\]"),
    ],
)
def test_bad_points_are_refused(method, x, message):
    with pytest.raises(ValueError, match=message):
        getattr(GaussianMixture(HALF, MEANS, EYES), method)(x)


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, -0.1), (float("nan"), 1.0), (1.0, float("inf"))])
def test_bad_levels_are_refused(alpha, sigma):
    with pytest.raises(ValueError, match="alpha must be finite and sigma finite and >= 0"):
        GaussianMixture(HALF, MEANS, EYES).diffused(alpha, sigma)


def test_a_mixture_without_any_noise_or_width_is_refused():
    with pytest.raises(ValueError, match="not positive definite"):
        GaussianMixture(HALF, MEANS, EYES).diffused(0.0, 0.0)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        GaussianMixture(HALF, MEANS, EYES).sample(0)


def test_the_room_knows_no_torch_modules():
    """Import contracts see whole packages only, so that torch.nn is looked for here."""
    tree = ast.parse(Path(memlib.mixture.__file__).read_text())
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [
        f"{node.module}.{a.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for a in node.names
    ]
    used = [
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "torch"
    ]
    assert not [name for name in imported if name.startswith("torch.nn")]
    assert "nn" not in used
