"""What one pass of Gram-Schmidt counts where two passes and the whole spectrum say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from companion.printed import algorithm_1
from memlib import hessian
from memlib.hessian import EigenResult

COUNTS = {
    "once": "one pass, float64",
    "once32": "one pass, float32",
    "twice": "two passes",
    "true": "true count",
}
"""Column of a table of counts -> its name for readers."""


def one_pass(matrix: Float64[Tensor, "d d"], start: Float64[Tensor, " d"], steps: int) -> dict[str, Tensor]:
    """What the paper's Algorithm 1 gives in float64 ("once") and in float32 ("once32").

    Args:
        matrix: symmetric.
        start: the vector to begin with.
        steps: Krylov steps; the leading m rows and columns are what m steps give.
    """
    dtypes = {"once": torch.float64, "once32": torch.float32}
    return {key: algorithm_1(matrix.to(dtype).mv, start.to(dtype), steps) for key, dtype in dtypes.items()}


def two_passes(matrix: Float64[Tensor, "d d"], start: Float64[Tensor, " d"], steps: int) -> EigenResult:
    """Lanczos from the same vector, orthogonalised twice."""
    return hessian.lanczos(hessian.DenseOperator(matrix[None]), steps, start=start[None])


def counted(
    matrix: Float64[Tensor, "d d"], starts: Float64[Tensor, "n d"], steps: Sequence[int], threshold: float
) -> pd.DataFrame:
    """Eigenvalues counted at or above a threshold, a row for each start vector and number of steps.

    Args:
        matrix: symmetric.
        starts: start vectors.
        steps: numbers of Krylov steps.
        threshold: zero counts those that are not negative, as the paper does.

    Returns:
        `steps`, the counts of `COUNTS`, whether two passes declare theirs `settled`, and the largest Ritz
        value of one pass in either precision (`top once`, `top once32`).
    """
    true = int((torch.linalg.eigvalsh(matrix) >= threshold).sum())
    rows = []
    for start in starts:
        small = one_pass(matrix, start, max(steps))
        for some in steps:
            once = {key: torch.linalg.eigvals(H[:some, :some]).real for key, H in small.items()}
            count = two_passes(matrix, start, some).count_above(threshold)
            row: dict[str, Any] = {key: int((values >= threshold).sum()) for key, values in once.items()}
            row |= {"steps": some, "twice": count.value.item(), "true": true, "settled": bool(count.settled)}
            rows.append(row | {f"top {key}": values.max().item() for key, values in once.items()})
    return pd.DataFrame(rows)
