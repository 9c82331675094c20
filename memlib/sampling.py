"""Deterministic DDIM sampling (Song, Meng & Ermon 2021) from any score, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from memlib import checks
from memlib.schedule import VariancePreserving
from memlib.score import Model, Score, score_at


@dataclass(frozen=True)
class Trajectory:
    """What a sampler passed through.

    Attributes:
        samples: `(B, *sample_shape)`, the final x_0.
        states: time index -> x_t `(B, *sample_shape)` as it entered that step, for every time asked to be
            kept.
    """

    samples: Tensor
    states: dict[int, Tensor]


def guided(conditional: Score, unconditional: Score, scale: float) -> Score:
    """Unconditional + scale (conditional - unconditional) (Ho & Salimans 2022); scale 1 is the conditional
    score.
    """
    return Score(
        lambda x: unconditional(x) + scale * (conditional(x) - unconditional(x)),
        alpha=conditional.alpha,
        sigma=conditional.sigma,
        name=f"{conditional.name}, guidance {scale:g}",
    )


def model_score(
    model: Model, label: int | Tensor | None = None, guidance: float = 1.0
) -> Callable[[int], Score]:
    """`t -> Score` of a model, guided when `guidance` is not 1."""
    if guidance == 1 or label is None:
        return lambda t: score_at(model, t, label)
    return lambda t: guided(score_at(model, t, label), score_at(model, t), guidance)


@torch.no_grad()
def ddim(
    score: Callable[[int], Score],
    schedule: VariancePreserving,
    noise: Float[Tensor, "B ..."],
    *,
    steps: int = 50,
    keep: Sequence[int] = (),
    progress: bool = False,
) -> Trajectory:
    """Carry `noise` from the largest time to x_0 in `steps` deterministic steps.

    Args:
        score: time index -> score at that time, for instance `model_score(model, label, guidance)` or an
            exact mixture's.
        noise: x_T, `(B, *sample_shape)`, of unit variance.
        keep: positions among the visited times whose states are returned; negative ones count from the end.

    Each step moves the noise prediction to the next noise level; the last one returns the predicted x_0.

    Example:
        >>> from memlib.mixture import GaussianMixture
        >>> blob, schedule = GaussianMixture(torch.ones(1), torch.ones(1, 2), torch.tensor([1e-4])), VariancePreserving.linear()
        >>> level = lambda t: dict(alpha=schedule.alpha(t).item(), sigma=schedule.sigma(t).item())
        >>> exact = lambda t: Score(blob.diffused(**level(t)).score, **level(t))
        >>> ddim(exact, schedule, torch.zeros(1, 2).double(), steps=20).samples.round(decimals=1).tolist()
        [[1.0, 1.0]]
    """
    x = checks.batched("noise", noise)
    times = schedule.timesteps(steps)
    kept = {times[k] for k in keep}
    states: dict[int, Tensor] = {}
    for t, following in zip(
        tqdm(times, desc="sampling", disable=not progress, mininterval=2.0), [*times[1:], None], strict=True
    ):
        if t in kept:
            states[t] = x.clone()
        at = score(t)
        epsilon = at.epsilon(x)
        x0 = (x - at.sigma * epsilon) / at.alpha
        if following is None:
            return Trajectory(x0, states)
        x = schedule.alpha(following).item() * x0 + schedule.sigma(following).item() * epsilon
    raise AssertionError("unreachable: a schedule has at least one step")
