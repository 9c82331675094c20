"""Gaussian densities with exact scores, to check claims on: pairs, mixtures, narrow peaks; in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.mixture import GaussianMixture
from memlib.score import Score, ScoreDifference


@dataclass(frozen=True, eq=False)
class Pair:
    """An unconditional and a conditional Gaussian.

    Attributes:
        mean, mean_c: `(d,)`.
        covariance, covariance_c: `(d, d)`, symmetric positive definite.

    Raises:
        ValueError: where the numbers make no Gaussian (see `GaussianMixture`).
    """

    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]
    mean_c: Float64[Tensor, " d"]
    covariance_c: Float64[Tensor, "d d"]

    def __post_init__(self) -> None:
        gaussian(self.mean, self.covariance)
        gaussian(self.mean_c, self.covariance_c)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float64[Tensor, "count d"]:
        """Draws from the conditional Gaussian."""
        return gaussian(self.mean_c, self.covariance_c).sample(count, generator)

    @property
    def conditional(self) -> Score:
        """The exact conditional score s_c."""
        return _exact_score(self.mean_c, self.covariance_c, "conditional")

    @property
    def difference(self) -> ScoreDifference:
        """The exact score difference s_Delta."""
        return self.conditional - _exact_score(self.mean, self.covariance, "unconditional")


def gaussian(mean: Tensor, covariance: Tensor) -> GaussianMixture:
    """One Gaussian, as a mixture of one component."""
    return GaussianMixture(torch.ones(1), mean[None], covariance[None])


def random_covariance(
    dim: int,
    generator: torch.Generator,
    spread: float = 3.0,
    axes: Float64[Tensor, "d d"] | None = None,
) -> Float64[Tensor, "d d"]:
    """A covariance with variances log-uniform in [1/spread, spread] along `axes`, or along random ones."""
    if axes is None:
        axes = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=generator)).Q
    exponents = 2 * torch.rand(dim, dtype=torch.float64, generator=generator) - 1
    return _symmetric(axes @ (spread**exponents).diag() @ axes.mT)


def random_pair(
    dim: int, generator: torch.Generator, *, commuting: bool, equal_means: bool, spread: float = 3.0
) -> Pair:
    """A pair of random covariances, with common axes if `commuting`; means a unit normal apart, or equal."""
    axes = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=generator)).Q
    mean, shift = torch.randn(2, dim, dtype=torch.float64, generator=generator)
    return Pair(
        mean,
        random_covariance(dim, generator, spread, axes),
        mean if equal_means else mean + shift,
        random_covariance(dim, generator, spread, axes if commuting else None),
    )


def random_direction(dim: int, generator: torch.Generator) -> Float64[Tensor, "d d"]:
    """A random symmetric matrix of spectral norm 1, a direction in which a covariance can change."""
    direction = _symmetric(torch.randn(dim, dim, dtype=torch.float64, generator=generator))
    norm: Tensor = torch.linalg.matrix_norm(direction, 2)
    return direction / norm


def random_mixture(
    components: int, dim: int, generator: torch.Generator, separation: float = 1.0
) -> GaussianMixture:
    """Equal weights, random covariances, means drawn with standard deviation `separation` per axis."""
    means = separation * torch.randn(components, dim, dtype=torch.float64, generator=generator)
    covariances = torch.stack([random_covariance(dim, generator) for _ in range(components)])
    return GaussianMixture(torch.full((components,), 1 / components), means, covariances)


def isolated_points(weights: Sequence[float], distance: float, width: float, dim: int) -> GaussianMixture:
    """Needles of standard deviation `width`, one per weight, `distance` from 0 along an axis of its own.

    The rest of the mass is a standard normal in the middle. A needle stands for one data point, and its
    weight for how often the point occurs.

    Raises:
        ValueError: for more needles than axes, or weights that leave nothing for the middle.
    """
    if len(weights) > dim or sum(weights) >= 1:
        raise ValueError(
            f"needles need an axis each and weights below 1 in total, got {len(weights)} for {dim} axes "
            f"with weights of sum {sum(weights):.4g}; add axes or lower the weights"
        )
    means = torch.zeros(len(weights) + 1, dim, dtype=torch.float64)
    means[: len(weights), : len(weights)] = distance * torch.eye(len(weights), dtype=torch.float64)
    variances = torch.tensor([width**2] * len(weights) + [1.0], dtype=torch.float64)
    return GaussianMixture(torch.tensor([*weights, 1 - sum(weights)], dtype=torch.float64), means, variances)


def _exact_score(mean: Tensor, covariance: Tensor, name: str) -> Score:
    # A pair stands for diffused densities at some t; no statistic of `IDENTITIES` depends on its noise level.
    return Score(gaussian(mean, covariance).score, alpha=1.0, sigma=1.0, name=name)


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)
