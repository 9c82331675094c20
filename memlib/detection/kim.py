"""Where conditioning sharpens: coordinate-wise curvature differences (Kim & Lee 2026, 2605.26756)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from memlib.detection import statistic
from memlib.hessian import JacobianOperator, diagonal
from memlib.text_to_image import Generation


@dataclass(frozen=True)
class CurvatureDifference:
    """Spatial mean of the map of diag(-H(x, c)) - diag(-H(x)) at the last step (Kim & Lee 2026).

    Attributes:
        probes: sign vectors of Hutchinson's estimate; 16 as published.
        seed: the seed of the sign vectors.
    """

    probes: int = 16
    seed: int = 0
    higher_is_memorized: bool = True
    first_steps: int | None = None
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean over pixels, in units of the noise prediction."""
        return curvature_map(generation, probes=self.probes, seed=self.seed).mean(dim=(2, 3))


@dataclass(frozen=True)
class Curvature(CurvatureDifference):
    """Spatial mean of the map of diag(-H(x, c)) at the last step: sharpness under the prompt alone."""

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean over pixels, in units of the noise prediction."""
        alone = curvature_map(generation, probes=self.probes, seed=self.seed, relative=False)
        return alone.mean(dim=(2, 3))


@dataclass(frozen=True)
class LateScoreDifference:
    """Spatial mean of the squared score difference at the last step, without a Hessian (Kim & Lee 2026)."""

    higher_is_memorized: bool = True
    first_steps: int | None = None
    attention: bool = False

    def __call__(self, generation: Generation) -> Float64[Tensor, "P n"]:
        """The mean over pixels, in score units."""
        return score_map(generation).mean(dim=(2, 3))


def curvature_map(
    generation: Generation, *, probes: int = 16, seed: int = 0, relative: bool = True
) -> Float64[Tensor, "P n h w"]:
    """The map sigma (diag(-H(x, c)) - diag(-H(x))) where positive, summed over channels, on the CPU.

    The diagonals come from one Hutchinson estimate of the difference, with products in reverse mode, at the
    state that enters the last step.

    Args:
        generation: whole trajectories.
        probes: sign vectors.
        seed: the seed of the sign vectors.
        relative: False leaves out the unconditional term.

    Raises:
        ValueError: an unfinished trajectory or fewer than 2 probes.
    """
    statistic.complete(generation, "the curvature difference")
    t, x = generation.times[-1], generation.states[-2].flatten(0, 1)
    generator = torch.Generator(x.device).manual_seed(seed)
    model = generation.model
    score = (model.difference if relative else model.score)(t, generation.prompts)
    with JacobianOperator(score, x, product="vjp", check=False) as op:
        estimate = -score.sigma * diagonal(op, probes, generator=generator).value
    found: Tensor = estimate.clamp(min=0).reshape(generation.samples.shape).sum(2)
    return found.cpu()


def score_map(generation: Generation) -> Float64[Tensor, "P n h w"]:
    """The squared score difference at the last step, summed over channels: their proxy without a Hessian.

    Raises:
        ValueError: an unfinished trajectory.
    """
    statistic.complete(generation, "the score difference at the last step")
    return generation.differences(slice(-1, None))[0].square().sum(2)
