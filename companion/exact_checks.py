"""Statistics at draws from exact Gaussians and mixtures beside what the lemmas predict, with intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from companion import identities
from companion.gaussians import Pair, gaussian, random_pair
from companion.identities import IDENTITIES
from memlib import intervals, sharpness
from memlib.intervals import Interval
from memlib.mixture import GaussianMixture


def every_identity(
    dimensions: Sequence[int], pairs: int, draws: int, generator: torch.Generator, level: float = 0.95
) -> pd.DataFrame:
    """Every identity on random pairs of Gaussians, with common axes or not, with equal means or not.

    Args:
        dimensions: of the Gaussians.
        pairs: how many for each dimension and kind.
        draws: points behind each mean.
        generator: of the pairs and the points.
        level: coverage of the intervals.

    Returns:
        A row for each pair and identity: `key` and `where` of the identity, `d`, `commuting`, `equal means`,
        `pair`, the `mean` of the statistic as an interval and as `measured`, `low`, `high`, its
        `closed form`, whether the interval holds it (`covered`), and the `ratio` of measured to closed form.
    """
    kinds = itertools.product(dimensions, (True, False), (True, False), range(pairs))
    rows = []
    for dim, commuting, equal_means, _ in kinds:
        pair = random_pair(dim, generator, commuting=commuting, equal_means=equal_means)
        for key, identity in IDENTITIES.items():
            found = intervals.mean(identity.statistic(pair, pair.sample(draws, generator)), level=level)
            row = {"key": key, "where": identity.where, "d": dim, "commuting": commuting}
            row |= {"equal means": equal_means, "pair": pair, "mean": found, "measured": found.value}
            row |= {"low": found.low, "high": found.high, "closed form": identity.closed(pair)}
            rows.append(row)
    table = pd.DataFrame(rows)
    table["covered"] = table["closed form"].between(table["low"], table["high"])
    table["ratio"] = table["measured"] / table["closed form"]
    return table


def lemma_ratios(
    mixture: GaussianMixture, draws: int, generator: torch.Generator, level: float = 0.95
) -> dict[str, Interval]:
    """Left over right side of two lemmas at the same draws from a mixture.

    Returns:
        `B.2`, E||s||^2 over -E tr H, and `4.3`, E||Hs||^2 over -E tr H^3, with the interval of the difference
        of the two sides.
    """
    sides = lemma_draws(mixture, draws, generator)
    return {lemma: intervals.mean(ratios, level=level) for lemma, ratios in sides.items()}


def lemma_draws(
    mixture: GaussianMixture, draws: int, generator: torch.Generator
) -> dict[str, Float64[Tensor, " n"]]:
    """Single draws `(draws,)` whose means are the ratios of `lemma_ratios`."""
    x = mixture.sample(draws, generator)
    s, hessian = mixture.score(x), mixture.hessian(x)
    square = hessian @ hessian
    sides = {
        "B.2": (s.square().sum(1), -hessian.diagonal(dim1=1, dim2=2).sum(1)),
        "4.3": (torch.einsum("bi,bij,bj->b", s, square, s), -(square * hessian).sum((1, 2))),
    }
    return {lemma: 1 + (left - right) / right.mean() for lemma, (left, right) in sides.items()}


def draws_needed(spread: float, margin: float, level: float = 0.95, power: float = 0.95) -> int:
    """How many draws place an interval of a mean inside `margin` of a true value at its centre.

    Both ends have to lie inside, as in an equivalence test (Julious 2004, "Sample sizes for clinical trials
    with Normal data", section 5): n = (z(level) + z(power))^2 spread^2 / margin^2, z two-sided quantiles.

    Args:
        spread: standard deviation of one draw, from a pilot.
        margin: half the width of the range.
        level: coverage of the interval.
        power: chance that the interval lies inside, where the mean is what it should be.

    Example:
        >>> draws_needed(1.0, 0.1, level=0.95, power=0.9)
        1300
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf((1 + power) / 2)
    return math.ceil((quantiles * spread / margin) ** 2)


def fisher_ratios(
    pair: Pair, draws: int, generator: torch.Generator, level: float = 0.95
) -> dict[str, Interval]:
    """The mean squared score difference over the squared affine-invariant distance (appendix A.4).

    Returns:
        `plain`, and `weighted` by the conditional covariance, which makes it invariant as the distance is.
    """
    s, squared = pair.difference(pair.sample(draws, generator)), identities.fisher_rao_squared(pair)
    weighted = torch.einsum("bi,ij,bj->b", s, pair.covariance_c, s)
    return {
        "plain": intervals.mean(s.square().sum(1) / squared, level=level),
        "weighted": intervals.mean(weighted / squared, level=level),
    }


def subspace_dimension(
    variances: Float64[Tensor, " k"],
    ambient: int,
    alpha: float,
    sigma: float,
    draws: int,
    generator: torch.Generator,
    level: float = 0.95,
) -> dict[str, Interval | float]:
    """Two readings of the dimension of Gaussian data on a subspace, at one noise level, and their means.

    Args:
        variances: along the axes of the subspace; across it they are 1e-12.
        ambient: dimension of the space.
        alpha: what the noise level leaves of the data.
        sigma: standard deviation of its noise.
        draws: data points.
        generator: of the data and the noise.
        level: coverage of the intervals.

    Returns:
        FLIPD at noise-free points (`clean`) and at `noisy` ones, the `effective` dimension
        tr(sigma^2 H + I), which is the same everywhere, and what is predicted for the first and the last,
        `predicted clean` and `predicted effective`.
    """
    everywhere = torch.full((ambient,), 1e-12, dtype=torch.float64)
    everywhere[: len(variances)] = variances
    data = gaussian(torch.zeros(ambient).double(), everywhere.diag())
    diffused, x0 = data.diffused(alpha, sigma), data.sample(draws, generator)
    noisy = alpha * x0 + sigma * torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
    clean, spread = (
        intervals.mean(identities.exact_flipd(diffused, x, sigma), level=level) for x in (alpha * x0, noisy)
    )
    eigenvalues = torch.linalg.eigvalsh(diffused.hessian(noisy[:1]))
    q = sigma**2 / (alpha**2 * variances + sigma**2)
    return {
        "clean": clean,
        "noisy": spread,
        "effective": ambient + sharpness.scaled(eigenvalues, sigma).sum().item(),
        "predicted clean": (1 - q**2).sum().item(),
        "predicted effective": (1 - q).sum().item(),
    }


def effective_dimensions(variances: Float64[Tensor, " d"], alpha: float, sigma: float) -> dict[str, float]:
    """How many dimensions count in each statistic where a point stands against a Gaussian, at a noise level.

    Args:
        variances: of the unconditional data; the conditional data are one point.
        alpha: what the noise level leaves of the data.
        sigma: standard deviation of its noise.

    Returns:
        Effective dimension of the squared `norm` of the score, of the squared `difference` of scores, and of
        the paper's statistic (`gain`).
    """
    difference = 1 / (alpha**2 * variances + sigma**2) - 1 / sigma**2
    forms = {
        "norm": torch.ones(len(variances)).double() / sigma**2,
        "difference": difference**2 * sigma**2,
        "gain": difference**4 * sigma**2,
    }
    return {key: identities.effective_dimension(form.diag()) for key, form in forms.items()}
