"""Sampling from any score: deterministic DDIM (Song, Meng & Ermon 2021), ancestral, guided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from memlib import checks
from memlib.mixture import GaussianMixture
from memlib.schedule import Schedule, VariancePreserving
from memlib.score import Model, Score, score_at


@dataclass(frozen=True)
class Trajectory:
    """Samples, and the states of a sampler at chosen times.

    Attributes:
        samples: `(B, *sample_shape)`, the final x_0.
        states: time index -> x_t `(B, *sample_shape)` as it entered that step, for the times to be kept.
    """

    samples: Tensor
    states: dict[float, Tensor]


def guided(conditional: Score, unconditional: Score, scale: float) -> Score:
    """Unconditional + scale (conditional - unconditional), Ho & Salimans 2022; at 1 the conditional score.

    Args:
        conditional: the score under a condition.
        unconditional: the score without it, at the same noise level.
        scale: scale of classifier-free guidance.

    Raises:
        ValueError: if the two scores are at different noise levels.
    """
    level = conditional - unconditional

    def fn(x: Tensor) -> Tensor:
        base = unconditional(x)
        return base + scale * (conditional(x) - base)

    return Score(fn, alpha=level.alpha, sigma=level.sigma, name=f"{conditional.name}, guidance {scale:g}")


def model_score(
    model: Model, label: int | Tensor | None = None, guidance: float = 1.0
) -> Callable[[int], Score]:
    """`t -> Score` of a model, guided when `guidance` is not 1.

    Args:
        model: a network with its schedule, `memlib.score.Model`.
        label: the condition, as in `memlib.score.score_at`; None for the unconditional score.
        guidance: the scale of classifier-free guidance.
    """
    if guidance == 1 or label is None:
        return lambda t: score_at(model, t, label)
    return lambda t: guided(score_at(model, t, label), score_at(model, t), guidance)


def exact_score(mixture: GaussianMixture, schedule: VariancePreserving) -> Callable[[int], Score]:
    """`t -> Score` of a mixture diffused along a schedule, exact; `model_score` is the same for a network.

    Args:
        mixture: the density of x_0.
        schedule: the noise process.

    Example:
        >>> blob = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.ones(1))
        >>> exact_score(blob, VariancePreserving.linear())(500)(torch.ones(1, 2)).round(decimals=9).tolist()
        [[-1.0, -1.0]]
    """

    def at(t: int) -> Score:
        alpha, sigma = schedule.alpha(t).item(), schedule.sigma(t).item()
        return Score(mixture.diffused(alpha, sigma).score, alpha=alpha, sigma=sigma, name=f"mixture at t={t}")

    return at


@torch.no_grad()
def ddim(
    score: Callable[[Any], Score],
    schedule: Schedule,
    noise: Float[Tensor, "B ..."],
    *,
    steps: int = 50,
    times: Sequence[float] | None = None,
    end: tuple[float, float] = (1.0, 0.0),
    keep: Sequence[int] = (),
    progress: bool = False,
) -> Trajectory:
    """Carry `noise` from the largest time to x_0 in `steps` deterministic steps.

    Each step moves the noise prediction to the next noise level; the last one returns the predicted x_0.

    Args:
        score: time index -> score at that time, for instance `model_score(model, label, guidance)` or
            `exact_score(mixture, schedule)`.
        schedule: the noise process.
        noise: x_T, `(B, *sample_shape)`, of unit variance, or that of the largest time if noise explodes.
        steps: number of times sampled, from the largest down in even strides.
        times: the time indices to sample instead, strictly decreasing; `steps` is not read then.
        end: alpha and sigma after the last step; the default is no noise.
        keep: positions among the sampled times whose states are returned; negative ones count from the end.
        progress: show a progress bar.

    Raises:
        ValueError: for bad noise, more steps than the schedule has, times that do not decrease, or a position
            outside the sampled times.

    Example:
        >>> blob = GaussianMixture(torch.ones(1), torch.ones(1, 2), torch.tensor([1e-4]))
        >>> schedule = VariancePreserving.linear()
        >>> path = ddim(exact_score(blob, schedule), schedule, torch.zeros(1, 2).double(), steps=20)
        >>> path.samples.round(decimals=1).tolist()
        [[1.0, 1.0]]
    """
    x = checks.batched("noise", noise)
    sampled: Sequence[float] = schedule.timesteps(steps) if times is None else list(times)
    if not sampled or any(later >= earlier for earlier, later in pairwise(sampled)):
        raise ValueError(f"times must be one index or more, strictly decreasing, got {sampled}")

    def step(at: Score, x: Tensor, alpha: float, sigma: float) -> Tensor:
        x0, epsilon = at.parts(x)
        return alpha * x0 + sigma * epsilon

    return _follow(step, score, schedule, x, sampled, end, keep, progress)


@torch.no_grad()
def ancestral(
    score: Callable[[int], Score],
    schedule: VariancePreserving,
    noise: Float[Tensor, "B ..."],
    generator: torch.Generator,
    *,
    steps: int = 50,
    bounds: tuple[float, float] | None = None,
    keep: Sequence[int] = (),
    progress: bool = False,
) -> Trajectory:
    """Carry `noise` to x_0 drawing fresh noise in every step (Ho et al. 2020; DDIM's family at eta = 1).

    Each step draws from the forward process between x_t and the predicted x_0, so that an error of the score
    is damped, where deterministic steps carry it on to the sample.

    Args:
        score: as in `ddim`.
        schedule: the noise process.
        noise: x_T, `(B, *sample_shape)`, of unit variance.
        generator: source of the fresh noise, which must not repeat the numbers in `noise`: give it another
            seed, or go on with the one that drew them.
        steps: number of times sampled, from the largest down in even strides.
        bounds: range of the data, to which every predicted x_0 is clipped; None clips nothing.
        keep: as in `ddim`.
        progress: show a progress bar.

    Raises:
        ValueError: for bad noise, bounds out of order, more steps than the schedule has, or a position
            outside the sampled times.
    """
    x = checks.batched("noise", noise)
    sampled = schedule.timesteps(steps)
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be (lowest, highest) value of the data, got {bounds}")

    def step(at: Score, x: Tensor, alpha: float, sigma: float) -> Tensor:
        x0 = at.denoised(x)
        if bounds is not None:
            x0 = x0.clamp(*bounds)
        epsilon = (x - at.alpha * x0) / at.sigma
        fresh = sigma * (1 - (at.alpha / alpha) ** 2) ** 0.5 / at.sigma
        drawn = torch.randn(x.shape, dtype=x.dtype, device=generator.device, generator=generator)
        after: Tensor = alpha * x0 + (sigma**2 - fresh**2) ** 0.5 * epsilon + fresh * drawn.to(x.device)
        return after

    return _follow(step, score, schedule, x, sampled, (1.0, 0.0), keep, progress)


def _follow(
    step: Callable[[Score, Tensor, float, float], Tensor],
    score: Callable[[Any], Score],
    schedule: Schedule,
    x: Tensor,
    sampled: Sequence[float],
    end: tuple[float, float],
    keep: Sequence[int],
    progress: bool,
) -> Trajectory:
    """Take `step(score, x, next alpha, next sigma)` at every time and keep the states asked for."""
    count = len(sampled)
    if any(not -count <= k < count for k in keep):
        raise ValueError(f"keep must hold positions in [{-count}, {count - 1}] for {count} steps, got {keep}")
    kept = {sampled[k] for k in keep}
    states: dict[float, Tensor] = {}
    levels = [(schedule.alpha(t).item(), schedule.sigma(t).item()) for t in sampled[1:]] + [end]
    bar = tqdm(sampled, desc="sampling", mininterval=2.0) if progress else sampled
    for t, (alpha, sigma) in zip(bar, levels, strict=True):
        if t in kept:
            states[t] = x.clone()
        x = step(score(t), x, alpha, sigma)
    return Trajectory(x, states)
