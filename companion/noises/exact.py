"""A caption whose noises are decided by an exact mixture: one needle, the copy, among other images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Bool, Float, Float64
from scipy import optimize
from torch import Tensor

from memlib.mixture import GaussianMixture
from memlib.sampling import ddim, exact_score, guided
from memlib.schedule import VariancePreserving
from memlib.score import Score


@dataclass(frozen=True, eq=False)
class ExactCaption:
    """What an ideal model would know of a caption under which one image has a share of the training draws.

    Attributes:
        conditional: the density under the caption; its first component is the copy.
        unconditional: the density of all captions together; its first component is the copy too.
        schedule: the noise process.
    """

    conditional: GaussianMixture
    unconditional: GaussianMixture
    schedule: VariancePreserving

    def scores(self, t: int) -> tuple[Score, Score]:
        """The conditional and the unconditional score at time index t, for `statistics`."""
        return exact_score(self.conditional, self.schedule)(t), exact_score(
            self.unconditional, self.schedule
        )(t)

    def ends(
        self, noise: Float[Tensor, "B d"], *, guidance: float = 1.0, steps: int = 50
    ) -> Bool[Tensor, " B"]:
        """Which noises the deterministic sampler carries to the copy.

        Args:
            noise: x_T, of unit variance.
            guidance: scale of classifier-free guidance.
            steps: the number of steps of DDIM.
        """

        def score(t: int) -> Score:
            conditional, unconditional = self.scores(t)
            return conditional if guidance == 1 else guided(conditional, unconditional, guidance)

        end = ddim(score, self.schedule, noise.double(), steps=steps).samples
        return self.conditional.posterior(end)[:, 0] > 0.5

    def chance(self, x: Float[Tensor, "B d"], t: int) -> Float64[Tensor, " B"]:
        """The posterior of the copy: the chance that a sampler which draws fresh noise goes on to it from x.

        It is what an oracle knows that knows the copy, and ranks noises by.
        """
        alpha, sigma = self.schedule.alpha(t).item(), self.schedule.sigma(t).item()
        return self.conditional.diffused(alpha, sigma).posterior(x)[:, 0]


def exact_caption(
    others: GaussianMixture,
    everything: GaussianMixture,
    copy: Float[Tensor, " d"],
    *,
    share: float,
    share_of_all: float,
    width: float,
    schedule: VariancePreserving,
) -> ExactCaption:
    """An exact caption with a needle of standard deviation `width` at the copy.

    Args:
        others: the density of the other images under the caption.
        everything: the density of images under all captions.
        copy: the image that is copied.
        share: of the caption's training draws that are the copy, in (0, 1).
        share_of_all: of all training draws that are the copy, in (0, 1).
        width: standard deviation of the needle along every axis, positive.
        schedule: the noise process.

    Raises:
        ValueError: a share outside of (0, 1), a width that is not positive, or shapes that do not fit.
    """

    def with_copy(rest: GaussianMixture, weight: float) -> GaussianMixture:
        if not 0 < weight < 1 or not width > 0:
            raise ValueError(
                f"shares must lie in (0, 1) and width be positive, got {weight} and {width}; a caption of "
                "which all draws are the copy has no noise that escapes it"
            )
        weights = torch.cat([torch.tensor([weight]).double(), (1 - weight) * rest.weights])
        needle = width**2 * torch.eye(rest.dim, dtype=torch.float64)[None]
        covariances = torch.cat([needle, rest.covariances])
        return GaussianMixture(weights, torch.cat([copy.double()[None], rest.means]), covariances)

    return ExactCaption(with_copy(others, share), with_copy(everything, share_of_all), schedule)


def in_half_space(
    noise: Float[Tensor, "B d"],
    copy: Float[Tensor, " d"],
    others: Float[Tensor, " d"],
    *,
    share: float,
    width: float,
    level: tuple[float, float],
) -> Bool[Tensor, " B"]:
    """Which noises end in the copy where it and the others are equally wide, in closed form.

    With two equal covariances the score differs between the two along the axis that joins their means and
    nowhere else. The flow along it is that of a mixture in one dimension, which keeps the order of points:
    the copy gets those beyond the quantile 1 - share of the mixture as it is at the noise level. Where no
    signal is left there this is the quantile of the standard normal, and the copy gets its share of all.

    Args:
        noise: x_T, of unit variance.
        copy: the mean of the copy.
        others: the mean of the others.
        share: weight of the copy, in (0, 1).
        width: standard deviation of both along every axis.
        level: alpha and sigma at the first sampling step.

    Example:
        >>> noise = torch.tensor([[0.0, 5.0], [0.1, -5.0], [-0.1, 5.0]])
        >>> copy, others = torch.tensor([3.0, 0.0]), torch.zeros(2)
        >>> in_half_space(noise, copy, others, share=0.5, width=0.1, level=(0.0, 1.0)).tolist()
        [False, True, False]
    """
    alpha, sigma = level
    apart = (copy - others).double()
    normal, way = NormalDist(0.0, math.hypot(alpha * width, sigma)), alpha * apart.norm().item()

    def beyond(border: float) -> float:
        return (1 - share) * normal.cdf(border) + share * normal.cdf(border - way) - (1 - share)

    border = optimize.brentq(beyond, -10.0, 10.0 + way)
    found: Tensor = (noise.double() - alpha * others) @ apart / apart.norm() > border
    return found
