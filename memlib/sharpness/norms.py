"""Norms of scores and of their Jacobian's products: what detects memorization, and what mitigation lowers.

`of_score` and `of_product` are the definitions. Everything that computes ||s||, ||H s||, ||s_Delta|| or
||H_Delta s_Delta||, also from scores that are known and also to differentiate it, goes through them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from memlib import checks
from memlib.hessian import JacobianOperator, Product
from memlib.score import Score, ScoreDifference


def of_score(s: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
    """||s|| of every row, in the dtype of s."""
    length: Tensor = torch.linalg.vector_norm(s.flatten(1), dim=1)
    return length


def of_product(
    product: Float[Tensor, "B ..."], times: float | Float[Tensor, " B"] = 1.0
) -> Float[Tensor, " B"]:
    """||H s|| of every row from the product H s, or from H v where s = times v; in its dtype."""
    return times * of_score(product)


def score_norm(score: Callable[[Tensor], Tensor], x: Float[Tensor, "B ..."]) -> Float64[Tensor, " B"]:
    """||s(x)|| per sample.

    Args:
        score: x `(B, *sample_shape)` -> s of the same shape.
        x: points, `(B, *sample_shape)`, finite.

    Raises:
        ValueError: points that are not finite, or no batch.
    """
    with torch.no_grad():
        s = score(checks.batched("x", x))
    return of_score(s.double())


def hessian_score_norm(
    score: Score, x: Float[Tensor, "B ..."], product: Product = "jvp"
) -> Float64[Tensor, " B"]:
    """||H s|| at x (lemma 4.3: the mean of its square is -tr H^3 for a Gaussian).

    Args:
        score: the score at one noise level.
        x: points, `(B, *sample_shape)`, finite.
        product: how the Jacobian is multiplied, see `memlib.hessian.JacobianOperator`.

    Raises:
        ValueError: points that are not finite, or no batch.
    """
    with JacobianOperator(score, x, product=product) as op:
        return of_product(op.matvec(op.value))


def difference_norm(difference: ScoreDifference, x: Float[Tensor, "B ..."]) -> Float64[Tensor, " B"]:
    """||s_Delta|| at x, in score units (Wen et al. 2024 measure sigma times this).

    Args:
        difference: conditional minus unconditional score.
        x: points, `(B, *sample_shape)`, finite.

    Raises:
        ValueError: points that are not finite, or no batch.
    """
    return score_norm(difference, x)


def curvature_gain(
    difference: ScoreDifference, x: Float[Tensor, "B ..."], product: Product = "jvp"
) -> Float64[Tensor, " B"]:
    """||H_Delta s_Delta||, H_Delta the Jacobian of s_Delta; the paper takes its square (section 4.3).

    Args:
        difference: conditional minus unconditional score.
        x: points, `(B, *sample_shape)`, finite.
        product: how the Jacobian is multiplied, see `memlib.hessian.JacobianOperator`.

    Raises:
        ValueError: points that are not finite, or no batch.
    """
    return hessian_score_norm(difference, x, product)
