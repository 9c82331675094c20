"""Denoising score matching of first and second order (Lu et al. 2022; the paper, appendix A.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from memlib.schedule import Prediction, VariancePreserving, score_from_prediction


def score_matching_loss(
    network: nn.Module,
    schedule: VariancePreserving,
    x0: Tensor,
    label: Tensor | None,
    generator: torch.Generator,
    *,
    prediction: Prediction = "epsilon",
    second_order: float = 0.0,
    projections: int = 1,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Mean over a batch of ||l_1||^2 + second_order ||sigma^2 H + I - l_1 l_1^T||_F^2, both divided by d.

    l_1 = sigma s(x_t) + eps at a uniform time, with s the network's score, H its Jacobian and eps the noise
    in x_t. l_1 is not detached: both terms train the score (the paper does not say which). Data and generator
    come on the CPU, so that one seed gives the same draws on every device.

    Args:
        network: `network(x, t, label)`.
        schedule: the noise process.
        x0: clean samples `(B, *sample_shape)`.
        label: `(B,)` or None.
        generator: draws times, noise and projections.
        prediction: what the network predicts.
        second_order: weight of the second term; 0 leaves it out.
        projections: random sign vectors v whose ||(...) v||^2 estimates the Frobenius norm without bias; 0
            sums over all d unit vectors, which is exact.
        device: where the network is.

    Returns:
        The loss, a scalar with its graph.
    """
    t = torch.randint(schedule.steps, (len(x0),), generator=generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    directions = _directions(x0, projections, generator) if second_order else []
    label = None if label is None else label.to(device)
    noise = noise.to(device)
    x, sigma, scaled_score = _noised(network, schedule, x0.to(device), label, t.to(device), noise, prediction)
    if not second_order:
        return (scaled_score(x) + noise).square().mean()
    second = x.new_zeros(())
    for v in directions:
        first, error = _residuals(scaled_score, x, noise, sigma, v.to(device))
        second = second + error.square().mean()
    # Random directions have E[v v^T] = I, so each estimates the whole norm; the d unit vectors add up to it.
    return first.square().mean() + second_order * second / max(1, projections)


def score_matching_errors(
    network: nn.Module,
    schedule: VariancePreserving,
    x0: Float[Tensor, "B ..."],
    label: int | Tensor | None,
    t: int,
    generator: torch.Generator,
    *,
    prediction: Prediction = "epsilon",
    projections: int = 4,
) -> tuple[Float64[Tensor, " B"], Float64[Tensor, " B"]]:
    """Both terms of the loss for every sample at one time t.

    ||l_1||^2 / d and ||sigma^2 H + I - l_1 l_1^T||_F^2 / d, in the notation of `score_matching_loss`. Two
    networks given generators of one seed see the same noise and directions, so that their errors pair.

    Args:
        network: `network(x, t, label)`.
        schedule: the noise process.
        x0: clean samples, on the network's device.
        label: an int, `(B,)` or None.
        t: time index.
        generator: on the CPU, of noise and projections.
        prediction: what the network predicts.
        projections: random sign vectors behind each second-order error; 0 takes all d unit vectors.
    """
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype).to(x0.device)
    directions = _directions(x0, projections, generator)
    times = torch.full((len(x0),), t, device=x0.device)
    x, sigma, scaled_score = _noised(network, schedule, x0, label, times, noise, prediction)
    second = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    with torch.no_grad():
        for v in directions:
            first, error = _residuals(scaled_score, x, noise, sigma, v.to(x0.device))
            second += error.flatten(1).double().square().mean(1)
        return first.flatten(1).double().square().mean(1), second / max(1, projections)


def _noised(
    network: nn.Module,
    schedule: VariancePreserving,
    x0: Tensor,
    label: int | Tensor | None,
    t: Tensor,
    noise: Tensor,
    prediction: Prediction,
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """x_t, sigma as a column, and z -> sigma s(z)."""
    column = (len(x0),) + (1,) * (x0.ndim - 1)
    alpha, sigma = (f(t).to(x0.dtype).view(column) for f in (schedule.alpha, schedule.sigma))

    def scaled_score(z: Tensor) -> Tensor:
        return sigma * score_from_prediction(network(z, t, label), z, alpha, sigma, prediction)

    return alpha * x0 + sigma * noise, sigma, scaled_score


def _directions(x0: Tensor, projections: int, generator: torch.Generator) -> list[Tensor]:
    if projections:
        return [
            torch.randint(2, x0.shape, generator=generator).to(x0.dtype) * 2 - 1 for _ in range(projections)
        ]
    units = torch.eye(x0[0].numel(), dtype=x0.dtype).view(-1, *x0.shape[1:])
    return [unit.expand_as(x0) for unit in units]


def _residuals(
    scaled_score: Callable[[Tensor], Tensor], x: Tensor, noise: Tensor, sigma: Tensor, v: Tensor
) -> tuple[Tensor, Tensor]:
    """l_1, and (sigma^2 H + I - l_1 l_1^T) v."""
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward-mode derivative; restored on exit
        evaluated = torch.func.jvp(scaled_score, (x,), (v,))
    value, slope = evaluated[0], evaluated[1]
    residual = value + noise
    along = (residual * v).flatten(1).sum(1).view(sigma.shape)
    return residual, sigma * slope + v - residual * along
