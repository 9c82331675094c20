"""The closed forms, exactly: a quadratic statistic has the mean over 2d sigma points as its expectation."""

from __future__ import annotations

import itertools

import pytest
import torch

from companion import identities
from companion.gaussians import Pair, gaussian, isolated_points, random_direction, random_mixture, random_pair
from companion.identities import IDENTITIES

KINDS = list(itertools.product((1, 2, 10, 40), (True, False), (True, False)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sigma_points(mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """2d points whose mean and covariance are the given ones, so that averages of quadratics are exact."""
    steps = torch.linalg.cholesky(covariance).mT * len(mean) ** 0.5
    return torch.cat([mean + steps, mean - steps])


def pair_of(dim: int, commuting: bool, equal_means: bool, seed: int = 0) -> Pair:
    return random_pair(dim, generator(seed), commuting=commuting, equal_means=equal_means)


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize(("dim", "commuting", "equal_means"), KINDS)
def test_closed_forms_are_the_means_of_the_statistics(name, dim, commuting, equal_means):
    pair, identity = pair_of(dim, commuting, equal_means), IDENTITIES[name]
    points = sigma_points(pair.mean_c, pair.covariance_c)
    assert identity.statistic(pair, points).mean().item() == pytest.approx(identity.closed(pair), rel=1e-9)


@pytest.mark.parametrize("dim", [1, 10])
def test_the_printed_lemma_is_negative_where_the_means_are_equal(dim):
    pair = pair_of(dim, commuting=False, equal_means=True)
    assert identities.difference_energy_printed(pair) == pytest.approx(-identities.difference_energy(pair))
    assert identities.difference_energy_printed(pair) < 0


def test_draws_are_from_the_conditional_gaussian():
    pair = pair_of(3, commuting=False, equal_means=False)
    x = pair.sample(20000, generator(1))
    # Five standard errors, with variances of at most 3: of a mean, and of an entry of a covariance.
    assert (x.mean(0) - pair.mean_c).abs().max() < 5 * (3 / 20000) ** 0.5
    assert (x.T.cov() - pair.covariance_c).abs().max() < 5 * 3 * (2 / 20000) ** 0.5


@pytest.mark.parametrize("dim", [1, 2, 25])
def test_generalized_eigenvectors(dim):
    pair = pair_of(dim, commuting=False, equal_means=True)
    P, P_c = torch.linalg.inv(pair.covariance), torch.linalg.inv(pair.covariance_c)
    values, V = identities.generalized_eigenvalues(pair.covariance, pair.covariance_c)
    assert torch.allclose(P @ V, P_c @ V * values, atol=1e-9)
    assert torch.allclose(V.mT @ P_c @ V, torch.eye(dim).double(), atol=1e-9)
    sharper = (V * (P_c @ V)).sum(0) > (V * (P @ V)).sum(0)
    assert torch.equal(values < 1, sharper)
    assert identities.generalized_energy(pair) == pytest.approx(identities.difference_energy(pair), rel=1e-9)


def test_sorted_eigenvalues_suffice_only_for_common_axes_in_one_order():
    zero, variances = torch.zeros(3).double(), torch.tensor([1.0, 2.0, 3.0]).double()
    same = Pair(zero, variances.diag(), zero, (variances**2).diag())
    assert identities.commuting_energy(same) == pytest.approx(identities.difference_energy(same))
    crossed = Pair(zero, variances.diag(), zero, variances.flip(0).diag())
    assert identities.commuting_energy(crossed) == 0
    assert identities.difference_energy(crossed) > 1


def test_distance_is_symmetric_and_invariant_and_vanishes_at_equality():
    pair = pair_of(6, commuting=False, equal_means=True)
    squared = identities.fisher_rao_squared(pair)
    swapped = Pair(pair.mean, pair.covariance_c, pair.mean, pair.covariance)
    A = torch.randn(6, 6, dtype=torch.float64, generator=generator(2))

    def moved(S):
        return 0.5 * (A @ S @ A.mT + (A @ S @ A.mT).mT)

    carried = Pair(pair.mean, moved(pair.covariance), pair.mean, moved(pair.covariance_c))
    same = Pair(pair.mean, pair.covariance, pair.mean, pair.covariance)
    assert identities.fisher_rao_squared(swapped) == pytest.approx(squared)
    assert identities.fisher_rao_squared(carried) == pytest.approx(squared, rel=1e-6)
    assert identities.whitened_energy(carried) == pytest.approx(identities.whitened_energy(pair), rel=1e-6)
    assert identities.fisher_rao_squared(same) == pytest.approx(0, abs=1e-20)


def nearby(scale: float, step: float) -> Pair:
    eye, zero = torch.eye(8).double(), torch.zeros(8).double()
    return Pair(zero, scale * eye, zero, scale * (eye + step * random_direction(8, generator(3))))


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.0, 8.0])
def test_second_order_the_weighted_energy_is_the_distance_and_the_plain_one_is_off_by_the_scale(scale):
    for step, tolerance in ((1e-2, 2e-2), (1e-3, 2e-3)):  # what is left out is of third order
        pair = nearby(scale, step)
        squared = identities.fisher_rao_squared(pair)
        assert identities.whitened_energy(pair) / squared == pytest.approx(1, abs=tolerance)
        assert identities.difference_energy(pair) / squared == pytest.approx(1 / scale, rel=tolerance)


def test_effective_dimension_counts_the_directions_that_matter():
    assert identities.effective_dimension(torch.eye(7).double()) == pytest.approx(7)
    assert identities.effective_dimension(torch.diag(torch.tensor([1.0, 0, 0]).double())) == pytest.approx(1)
    pair = pair_of(9, commuting=False, equal_means=True)
    assert 1 <= identities.effective_dimension(torch.linalg.inv(pair.covariance_c)) <= 9


def test_effective_dimension_is_the_spread_of_single_draws():
    covariance = pair_of(5, commuting=True, equal_means=True).covariance_c
    world = gaussian(torch.zeros(5).double(), covariance)
    norms = world.score(world.sample(100_000, generator(4))).square().sum(1)
    expected = (2 / identities.effective_dimension(torch.linalg.inv(covariance))) ** 0.5
    assert (norms.std() / norms.mean()).item() == pytest.approx(expected, rel=0.03)  # about 5 standard errors


def test_flipd_is_the_ambient_dimension_over_noisy_points_and_the_intrinsic_one_over_clean_points():
    variances = torch.tensor([1.0, 0.5, 1e-13, 1e-13, 1e-13, 1e-13]).double()
    data, alpha, sigma = gaussian(torch.zeros(6).double(), variances.diag()), 0.99, 0.141
    diffused = data.diffused(alpha, sigma)
    noisy = sigma_points(torch.zeros(6).double(), diffused.covariances[0])
    clean = sigma_points(torch.zeros(6).double(), (alpha**2 * variances).diag())
    q = sigma**2 / (alpha**2 * variances[:2] + sigma**2)
    assert identities.exact_flipd(diffused, noisy, sigma).mean().item() == pytest.approx(6, abs=1e-9)
    assert identities.exact_flipd(diffused, clean, sigma).mean().item() == pytest.approx(
        (1 - q**2).sum().item(), abs=1e-8
    )


def test_commuting_pairs_commute_and_others_do_not():
    for commuting in (True, False):
        pair = pair_of(5, commuting, equal_means=False)
        product = pair.covariance @ pair.covariance_c
        assert ((product - product.mT).abs().max() < 1e-12) == commuting
        assert not torch.equal(pair.mean, pair.mean_c)
        variances = torch.linalg.eigvalsh(pair.covariance)
        assert (variances > 1 / 3 - 1e-12).all()
        assert (variances < 3 + 1e-12).all()


def test_the_generator_alone_decides():
    first, second = (random_mixture(3, 4, generator(5)) for _ in range(2))
    assert torch.equal(first.means, second.means)
    assert torch.equal(first.covariances, second.covariances)
    assert torch.linalg.matrix_norm(random_direction(4, generator(5)), 2).item() == pytest.approx(1)


def test_needles_stand_apart_on_axes_of_their_own():
    world = isolated_points([0.1, 0.2], distance=4.0, width=1e-3, dim=3)
    assert world.weights.tolist() == pytest.approx([0.1, 0.2, 0.7])
    assert world.means.tolist() == [[4, 0, 0], [0, 4, 0], [0, 0, 0]]
    at_needle = torch.linalg.eigvalsh(world.diffused(1.0, 0.1).hessian(world.means[:1]))
    assert (at_needle * 0.1**2 < -0.99).all()


@pytest.mark.parametrize(("weights", "dim"), [([0.1, 0.1, 0.1], 2), ([0.5, 0.5], 3)])
def test_needles_that_do_not_fit_are_refused(weights, dim):
    with pytest.raises(ValueError, match="needles need an axis each and weights below 1 in total"):
        isolated_points(weights, distance=1.0, width=0.1, dim=dim)


def test_a_pair_of_no_gaussians_is_refused():
    zero, eye = torch.zeros(2).double(), torch.eye(2).double()
    with pytest.raises(ValueError, match="not positive definite"):
        Pair(zero, eye, zero, -eye)
    with pytest.raises(ValueError, match="not symmetric"):
        Pair(zero, torch.tensor([[1.0, 0.5], [0.0, 1.0]]).double(), zero, eye)
