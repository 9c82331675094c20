"""Noise schedules, alpha(t) and sigma(t) of x_t = alpha x_0 + sigma eps, and the score behind a prediction.

The paper's alpha_t is `alpha**2` here. Time is the integer index of a discrete variance-preserving process,
t = 0 with the least noise and t = steps - 1 with the most, or the real number t = sigma of a rectified flow
or of a variance-exploding process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

Prediction = Literal["epsilon", "v", "sample", "flow"]
Spacing = Literal["trailing", "leading"]


class Schedule(Protocol):
    """A noise process x_t = alpha x_0 + sigma eps."""

    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal scale, float64, same shape as `t`."""

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise scale, float64, same shape as `t`."""

    def timesteps(self, count: int) -> Sequence[float]:
        """The times that a sampler visits, noisiest first."""

    @property
    def noisiest(self) -> float:
        """The last time."""


@dataclass(frozen=True)
class RectifiedFlow:
    """The straight path x_t = (1 - t) x_0 + t eps, t in [0, 1] (Liu et al. 2023; Lipman et al. 2023).

    Example:
        >>> RectifiedFlow().alpha(0.25).item(), RectifiedFlow().sigma(0.25).item()
        (0.75, 0.25)
    """

    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal scale 1 - t (t a number or a tensor of any shape), float64, same shape as `t`."""
        return 1 - self.sigma(t)

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise scale, t itself, float64; `ValueError` outside [0, 1]."""
        level = torch.as_tensor(t, dtype=torch.float64)
        if not ((level >= 0) & (level <= 1)).all():
            raise ValueError(f"t of a rectified flow lies in [0, 1], its noise scale; got {t!r}")
        return level

    def timesteps(self, count: int) -> list[float]:
        """`count` times from 1 down in even strides; `ValueError` for fewer than one."""
        count = _at_least_one(count)
        return [1 - step / count for step in range(count)]

    @property
    def noisiest(self) -> float:
        """The last time, 1: pure noise."""
        return 1.0


@dataclass(frozen=True)
class VarianceExploding:
    """Noise on top of the data, x_t = x_0 + t eps, time being the noise scale (Song et al. 2021).

    Attributes:
        smallest: noise scale of the last of the times.
        largest: noise scale of the first.
        rho: exponent that concentrates the times at small noise (Karras et al. 2022, eq. 5).

    Example:
        >>> [round(t, 3) for t in VarianceExploding().timesteps(3)]
        [80.0, 2.515, 0.002]
    """

    smallest: float = 0.002
    largest: float = 80.0
    rho: float = 7.0

    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal scale 1 (t a number or a tensor of any shape), float64, same shape as `t`."""
        return torch.ones_like(self.sigma(t))

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise scale, t itself, float64; `ValueError` unless it is positive and finite."""
        level = torch.as_tensor(t, dtype=torch.float64)
        if not ((level > 0) & torch.isfinite(level)).all():
            raise ValueError(f"t is a noise scale here, positive and finite; got {t!r}")
        return level

    def timesteps(self, count: int) -> list[float]:
        """`count` times from the largest to the smallest, evenly in t^(1/rho); `ValueError` below one."""
        ends = self.largest ** (1 / self.rho), self.smallest ** (1 / self.rho)
        strides = torch.linspace(*ends, _at_least_one(count), dtype=torch.float64)
        return [float(t) for t in strides**self.rho]

    @property
    def noisiest(self) -> float:
        """The last time, with the largest noise scale."""
        return self.largest


@dataclass(frozen=True, eq=False)
class VariancePreserving:
    """A discrete variance-preserving process, alpha**2 + sigma**2 = 1 (Ho et al. 2020).

    Attributes:
        alpha_squared: `(steps,)` float64, strictly decreasing in (0, 1), the last may be 0 (zero terminal
            signal); the cumulative product of 1 - beta.

    Example:
        >>> round(VariancePreserving.linear().sigma(0).item(), 6)
        0.01
    """

    alpha_squared: Float64[Tensor, " steps"]

    def __post_init__(self) -> None:
        a = torch.as_tensor(self.alpha_squared, dtype=torch.float64)
        if a.ndim != 1 or len(a) == 0 or not ((a >= 0) & (a < 1)).all() or not (a.diff() < 0).all():
            raise ValueError(
                "alpha_squared must be a 1-D tensor, strictly decreasing inside [0, 1), "
                f"got shape {tuple(a.shape)} with values {a.flatten()[:3].tolist()}...; "
                "pass the cumulative product of 1 - beta"
            )
        object.__setattr__(self, "alpha_squared", a)

    @classmethod
    def from_betas(cls, betas: Tensor) -> VariancePreserving:
        """The process with per-step noise variances `betas (steps,)`, each in (0, 1)."""
        return cls((1.0 - betas.double()).cumprod(0))

    @classmethod
    def linear(cls, steps: int = 1000, first: float = 1e-4, last: float = 2e-2) -> VariancePreserving:
        """Betas linear in t, as in DDPM (Ho et al. 2020).

        Args:
            steps: the number of noise levels, at least 1.
            first: the beta of the least noisy step.
            last: the beta of the noisiest step.

        Raises:
            ValueError: fewer than one step, or betas outside of (0, 1).
        """
        return cls.from_betas(torch.linspace(first, last, _at_least_one(steps), dtype=torch.float64))

    @classmethod
    def scaled_linear(
        cls, steps: int = 1000, first: float = 8.5e-4, last: float = 1.2e-2
    ) -> VariancePreserving:
        """Square roots of the betas linear in t, as in Stable Diffusion 1 and 2.

        Args:
            steps: the number of noise levels, at least 1.
            first: the beta of the least noisy step.
            last: the beta of the noisiest step.

        Raises:
            ValueError: fewer than one step, or betas outside of (0, 1).
        """
        roots = torch.linspace(math.sqrt(first), math.sqrt(last), _at_least_one(steps), dtype=torch.float64)
        return cls.from_betas(roots**2)

    @classmethod
    def cosine(
        cls, steps: int = 1000, offset: float = 0.008, largest_beta: float = 0.999
    ) -> VariancePreserving:
        """Cosine schedule (Nichol & Dhariwal 2021, eq. 17), betas capped at `largest_beta`.

        Args:
            steps: the number of noise levels, at least 1.
            offset: keeps the first betas from being too small.
            largest_beta: the cap.

        Raises:
            ValueError: fewer than one step.
        """
        t = torch.arange(_at_least_one(steps) + 1, dtype=torch.float64) / steps
        bar = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
        return cls.from_betas((1 - bar[1:] / bar[:-1]).clamp(max=largest_beta))

    @property
    def steps(self) -> int:
        """Number of noise levels T."""
        return len(self.alpha_squared)

    @property
    def noisiest(self) -> int:
        """The last time."""
        return self.steps - 1

    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal scale at time `t` (an int or an integer tensor of any shape), float64, same shape as `t`."""
        return self._at(t).sqrt()

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise scale at time `t` (an int or an integer tensor of any shape), float64, same shape as `t`."""
        return (1 - self._at(t)).sqrt()

    def _at(self, t: float | Tensor) -> Tensor:
        index = torch.as_tensor(t)
        if index.dtype.is_floating_point or index.dtype == torch.bool:
            raise ValueError(
                f"t must be an integer time index, got {t!r}; the first is 0, the last {self.steps - 1}"
            )
        if index.numel() and (index.min() < 0 or index.max() >= self.steps):
            raise ValueError(
                f"t must lie in [0, {self.steps - 1}] for a schedule of {self.steps} steps, "
                f"got values from {int(index.min())} to {int(index.max())}"
            )
        return self.alpha_squared.to(index.device)[index.long()]  # torch reads uint8 indices as a mask

    def timesteps(self, count: int, spacing: Spacing = "trailing") -> list[int]:
        """The `count` time indices a sampler visits, from the noisiest down (Lin et al. 2024, table 2).

        "trailing" starts at T - 1; "leading" is what diffusers' DDIM does for Stable Diffusion (981, 961,
        ..., 1 for 50).

        Args:
            count: how many indices, in [1, T].
            spacing: "trailing" or "leading".

        Raises:
            ValueError: another count or spacing.
        """
        if not 1 <= count <= self.steps:
            raise ValueError(f"count must lie in [1, {self.steps}], got {count}")
        if spacing == "trailing":
            return [round(self.steps * (count - i) / count) - 1 for i in range(count)]
        if spacing == "leading":
            stride, offset = self.steps // count, int(count < self.steps)
            return [stride * i + offset for i in reversed(range(count))]
        raise ValueError(f"spacing must be one of {list(get_args(Spacing))}, got {spacing!r}")


def _at_least_one(steps: int) -> int:
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, got steps={steps}")
    return steps


def score_from_prediction(
    prediction: Tensor, x: Tensor, alpha: Tensor, sigma: Tensor, kind: Prediction
) -> Tensor:
    """Score of x_t = alpha x_0 + sigma eps from a network's output.

    Args:
        prediction: what the network returned, `(B, *sample_shape)`.
        x: the noisy points, same shape.
        alpha: broadcastable to `x`.
        sigma: broadcastable to `x`.
        kind: "epsilon" predicts eps; "v" predicts alpha eps - sigma x_0 and needs alpha^2 + sigma^2 = 1
            (Salimans & Ho 2022); "sample" predicts x_0; "flow" predicts eps - x_0 (rectified flow).

    Returns:
        The score, same shape as `x`.

    Raises:
        ValueError: for another shape or an unknown kind.
    """
    _check(prediction, x, kind)
    if kind == "epsilon":
        return -prediction / sigma
    if kind == "v":
        return -x - (alpha / sigma) * prediction
    if kind == "sample":
        return (alpha * prediction - x) / sigma**2
    return -(x + alpha * prediction) / (sigma * (alpha + sigma))


def denoised_from_prediction(
    prediction: Tensor, x: Tensor, alpha: Tensor, sigma: Tensor, kind: Prediction
) -> Tensor:
    """The mean of x_0 given x_t = x from a network's output.

    At alpha = 0, where every score is -x / sigma^2, it replaces the score. A noise prediction carries no
    information there, and the result is not finite.

    Args:
        prediction: what the network returned, `(B, *sample_shape)`.
        x: the noisy points, same shape.
        alpha: broadcastable to `x`.
        sigma: broadcastable to `x`.
        kind: what was predicted, as in `score_from_prediction`.

    Returns:
        The mean, same shape as `x`.

    Raises:
        ValueError: for another shape or an unknown kind.
    """
    _check(prediction, x, kind)
    if kind == "epsilon":
        return (x - sigma * prediction) / alpha
    if kind == "v":
        return alpha * x - sigma * prediction
    return prediction if kind == "sample" else (x - sigma * prediction) / (alpha + sigma)


def _check(prediction: Tensor, x: Tensor, kind: Prediction) -> None:
    if prediction.shape != x.shape:
        raise ValueError(
            f"the prediction must have the shape of x, {tuple(x.shape)}, got {tuple(prediction.shape)}"
        )
    if kind not in get_args(Prediction):
        raise ValueError(f"prediction kind must be one of {list(get_args(Prediction))}, got {kind!r}")
