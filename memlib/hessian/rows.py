"""Whether row i of a score depends on row i alone and on nothing random, as every product here assumes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

_MOVE = 3.0  # how far a row is moved, in units of its root mean square (at least 1)
_REMEDY = (
    "call .eval() on the network; check=False lets it pass, and what is computed is then not its Jacobian"
)


def require_independent(
    score: Callable[[Tensor], Tensor], x: Float[Tensor, "B ..."], value: Float[Tensor, "B d"]
) -> None:
    """Move the first row: the others must keep their `value`; a single sample is doubled for it.

    Raises:
        ValueError: the score is random, or its rows depend on one another.
    """
    kept = value if len(x) > 1 else value.repeat(2, 1)
    at = x if len(x) > 1 else x.repeat(2, *[1] * (x.ndim - 1))
    moved = at.clone()
    moved[0] += _MOVE * at[0].square().mean().sqrt().clamp(min=1)
    with torch.no_grad():
        change = _change(score(moved).flatten(1)[1:], kept[1:])
        if change <= _tolerance(value):
            return
        again = _change(score(x).flatten(1), value)
    if again > _tolerance(value):
        _refuse_random(again)
    raise ValueError(
        f"the rows of the score are coupled: others change by {change:.1e} of the largest value when one is "
        f"moved, as under batch normalisation in training mode; {_REMEDY}"
    )


def require_repeated(found: Float[Tensor, "B*copies d"], value: Float[Tensor, "B d"]) -> None:
    """Raise `ValueError` unless the score of a repeated batch is the value of the batch, row by row."""
    change = _change(found, value.repeat_interleave(len(found) // len(value), 0))
    if change > _tolerance(value):
        _refuse_random(change)


def _change(found: Tensor, value: Tensor) -> float:
    """Largest difference over the largest value."""
    largest = value.abs().max().clamp(min=torch.finfo(value.dtype).tiny)
    return float((found - value).abs().max() / largest)


def _tolerance(value: Tensor) -> float:
    """Half of the digits: rounding in another order is far below, dropout far above."""
    return float(torch.finfo(value.dtype).eps ** 0.5)


def _refuse_random(change: float) -> None:
    raise ValueError(
        f"the score has other values at the same points, by {change:.1e} of the largest: it is random, as "
        f"with dropout in training mode, or the value given is not the score at x; {_REMEDY}"
    )
