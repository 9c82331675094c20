"""Gradient steps on a batch: a row moves until its objective is small enough or the steps are used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from tqdm import tqdm

NEVER = -1
"""The step of a row that did not reach its threshold."""

Objective = Callable[[Tensor, Tensor], Tensor]
"""`(points (b, ...), their rows (b,)) -> (b,)`; the value of a row depends on its own point alone."""
Optimizer = Callable[[list[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a batch got to.

    Attributes:
        found: `(B, ...)`, the point that was accepted, or the one of smallest objective where none was.
        objective: `(B,)`, there.
        step: `(B,)`, gradient steps until it was accepted: 0 as it came, `NEVER` if the threshold was not
            reached.
        evaluations: `(B,)`, of the objective.
        gradients: `(B,)`, of those whose gradient was used.
    """

    found: Float[Tensor, "B ..."]
    objective: Float64[Tensor, " B"]
    step: Int64[Tensor, " B"]
    evaluations: Int64[Tensor, " B"]
    gradients: Int64[Tensor, " B"]

    @property
    def reached(self) -> Tensor:
        """`(B,)` bool."""
        return self.step != NEVER


def descend(
    objective: Objective,
    start: Float[Tensor, "B ..."],
    *,
    threshold: float,
    steps: int,
    optimizer: Optimizer,
    project: Callable[[Tensor], Tensor] | None = None,
    progress: bool = False,
    label: str = "descent",
) -> Descent:
    """Minimise the objective of every row until it is at most `threshold`.

    Rows are independent: an accepted one is evaluated no more, and the optimizer must treat entries one by
    one, as Adam does.

    Args:
        objective: see `Objective`; differentiable.
        start: points.
        threshold: the value of the objective at which a row stops.
        steps: the largest number of gradient steps.
        optimizer: makes the optimizer of the parameters that it is given.
        project: applied to the points after each step.
        progress: show a progress bar.
        label: what the progress bar and messages call it.

    Raises:
        FloatingPointError: an objective is not finite.
    """
    x = start.detach().clone().requires_grad_()
    stepper = optimizer([x])
    found, best = x.detach().clone(), start.new_full((len(x),), torch.inf, dtype=torch.float64)
    step = torch.full((len(x),), NEVER, device=x.device)
    evaluations, gradients = torch.zeros_like(step), torch.zeros_like(step)
    rows = torch.arange(len(x), device=x.device)  # those not accepted yet
    for k in tqdm(range(steps + 1), desc=label, disable=not progress, leave=False):
        with torch.set_grad_enabled(k < steps):
            values = objective(x[rows], rows)
        evaluations[rows] += 1
        now = finite(values, label)
        better = now < best[rows]
        found[rows[better]], best[rows[better]] = x.detach()[rows[better]], now[better]
        met = now <= threshold
        step[rows[met]] = k
        if k == steps or met.all():
            break
        (x.grad,) = torch.autograd.grad(values[~met].sum(), x)
        rows = rows[~met]
        gradients[rows] += 1
        stepper.step()
        if project is not None:
            with torch.no_grad():
                x.copy_(project(x))
    return Descent(found, best, step, evaluations, gradients)


def finite(values: Tensor, label: str) -> Float64[Tensor, " B"]:
    """The values of an objective in float64; `FloatingPointError` if one is not finite."""
    if not torch.isfinite(values).all():
        raise FloatingPointError(
            f"{label}: the objective is {values.detach().tolist()[:8]}; take a smaller learning rate, "
            "or load the model with dtype=torch.float32"
        )
    return values.detach().double()
