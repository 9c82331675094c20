"""The whole spectra of many samples, with a few Jacobians in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from tqdm import tqdm

from memlib import checks
from memlib.hessian.dense import dense
from memlib.hessian.graph import Product
from memlib.hessian.jacobian import JacobianOperator


@dataclass(frozen=True)
class Spectra:
    """What is kept of every Jacobian.

    Attributes:
        eigenvalues: `(B, d)` float64 ascending, of the symmetric part.
        asymmetry: `(B,)` float64, exact ||J - J^T||_F / ||J||_F.
    """

    eigenvalues: Float64[Tensor, "B d"]
    asymmetry: Float64[Tensor, " B"]


def spectra(
    score: Callable[[Tensor], Tensor],
    x: Float[Tensor, "B ..."],
    *,
    product: Product = "vjp",
    at_once: int = 16,
    progress: bool = False,
) -> Spectra:
    """Eigenvalues of the Jacobian of `score` at every point, by d products each.

    Holds `at_once` matrices of d^2 numbers, never those of the whole batch; `dense` keeps them.

    Args:
        score: as for `JacobianOperator`, without per-sample conditions, since it is called on parts of `x`.
        x: points.
        product: as for `JacobianOperator`.
        at_once: samples whose matrices are held together.
        progress: show a progress bar over the parts.

    Raises:
        ValueError: fewer than one sample at once, or points that are not finite.

    Example:
        >>> spectra(lambda x: -x, torch.zeros(3, 2), at_once=2).eigenvalues.round(decimals=6).tolist()
        [[-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]]
    """
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1, got {at_once}")
    parts = torch.split(checks.batched("x", x), at_once)
    eigenvalues, asymmetry = [], []
    for part in tqdm(parts, desc="spectra", mininterval=2.0) if progress else parts:
        with JacobianOperator(score, part, product=product) as jacobian:
            found = dense(jacobian)
        eigenvalues.append(found.eigenvalues)
        asymmetry.append(found.asymmetry)
    return Spectra(torch.cat(eigenvalues), torch.cat(asymmetry))
