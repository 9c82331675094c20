"""What is kept of the Jacobian of a score at many points: spectrum, count, diagonal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from memlib.hessian import JacobianOperator, diagonal, lanczos
from memlib.hessian.dense import DenseSpectrum
from memlib.sharpness import norms

PROBES = 16  # random directions behind a diagonal and an asymmetry that are not computed whole


@dataclass(frozen=True, eq=False)
class Curvature:
    """Curvature of one score, at P prompts times n points.

    Attributes:
        eigenvalues: `(P, n, m)` float64 ascending, of the symmetric part: all m = d of them, or the Ritz
            values of m Krylov steps.
        count: `(P, n)` number of eigenvalues that are not negative.
        lower: `(P, n)` bound of that number from below; with m = d it is the number.
        upper: `(P, n)` bound from above.
        diagonal: `(P, n, *sample_shape)` float64, exact with m = d, else estimated from 16 products.
        norm: `(P, n)` float64 ||s||, of the score itself.
        asymmetry: `(P, n)` float64 ||J - J^T||_F / ||J||_F, exact with m = d, else estimated.
    """

    eigenvalues: Float64[Tensor, "P n m"]
    count: Int64[Tensor, "P n"]
    lower: Int64[Tensor, "P n"]
    upper: Int64[Tensor, "P n"]
    diagonal: Float64[Tensor, "P n ..."]
    norm: Float64[Tensor, "P n"]
    asymmetry: Float64[Tensor, "P n"]

    @property
    def settled(self) -> Bool[Tensor, "P n"]:
        """Where the bounds leave one number."""
        return self.lower == self.upper

    def statistics(self, sigma: float) -> dict[str, Float64[Tensor, "P n"]]:
        """What is compared between captions, in units in which an isolated point has the eigenvalue -1.

        "count" of non-negative eigenvalues; "largest", "smallest" and "mean" eigenvalue and the squared norm
        of the score over d, "score", each times sigma^2; "asymmetry".
        """
        scale, dim = sigma**2, self.diagonal[0, 0].numel()
        return {
            "count": self.count.double(),
            "largest": self.eigenvalues[..., -1] * scale,
            "smallest": self.eigenvalues[..., 0] * scale,
            "mean": self.diagonal.flatten(2).mean(2) * scale,
            "asymmetry": self.asymmetry,
            "score": self.norm**2 * scale / dim,
        }

    def changed(self, change: Callable[[Tensor], Tensor]) -> Curvature:
        """The same with every tensor changed."""
        return Curvature(**{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def with_points(self, more: Curvature) -> Curvature:
        """Further points of the same prompts after these."""
        return self.joined([self, more], axis=1)

    @classmethod
    def joined(cls, parts: Sequence[Curvature], axis: int = 0) -> Curvature:
        """Parts one after the other along an axis, the first by default."""
        named = {field.name: [getattr(part, field.name) for part in parts] for field in fields(cls)}
        return cls(**{name: torch.cat(tensors, axis) for name, tensors in named.items()})


def columns(statistics: Mapping[str, Float64[Tensor, "P n"]]) -> dict[str, NDArray[Any]]:
    """Columns of a table with a row for every caption and point, which "caption" and "noise" number."""
    captions, noises = next(iter(statistics.values())).shape
    named = {name: values.cpu().flatten().numpy() for name, values in statistics.items()}
    return named | {
        "caption": np.repeat(np.arange(captions), noises),
        "noise": np.tile(np.arange(noises), captions),
    }


def whole_curvature(found: DenseSpectrum, score: Tensor, x: Tensor) -> Curvature:
    """From matrices `(B, d, d)` and the score `(B, d)` at points `x`; the first axis is B, there is no n."""
    count = found.count_above(0.0)
    return Curvature(
        found.eigenvalues,
        count,
        count,
        count,
        found.matrices.diagonal(dim1=1, dim2=2).reshape(x.shape),
        norms.of_score(score),
        found.asymmetry,
    )


def krylov_curvature(score: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Curvature:
    """From products with the Jacobian at points `x`; the first axis is B, there is no n."""
    with JacobianOperator(score, x, product="symmetric", check=False) as op:
        found = lanczos(op, steps)
        count = found.count_above(0.0)
        return Curvature(
            found.eigenvalues.sort(dim=1).values,
            count.value,
            count.lower,
            count.upper,
            diagonal(op, PROBES).value.reshape(x.shape),
            norms.of_score(op.value),
            op.asymmetry(PROBES).ratio,
        )
