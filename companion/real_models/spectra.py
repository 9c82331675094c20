"""Ends of spectra under captions of a model whose latents are too large for whole ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from memlib.hessian import JacobianOperator, lanczos, trace
from memlib.text_to_image import Prompts, TextToImage

if TYPE_CHECKING:
    import pandas as pd

PROBES = 2
"""Products behind a trace: in 16,384 dimensions two leave an error of about a percent."""


def counts(
    model: TextToImage,
    t: int,
    prompts: Prompts,
    points: Float[Tensor, "P ..."],
    *,
    krylov: int,
    rows: int = 16,
) -> pd.DataFrame:
    """Counts of non-negative eigenvalues and the ends of the spectrum, after some Lanczos steps.

    Of the symmetric part of the Jacobian of the conditional score. No diagonal and no asymmetry is estimated,
    as `companion.under_captions.conditional_curvature` does, which would take more products than the steps.

    Args:
        model: the model.
        t: time index.
        prompts: P captions.
        points: one for each caption.
        krylov: Lanczos steps.
        rows: captions at a time; bounds the memory.

    Returns:
        A row for each caption: "count" with its bounds "at least" and "at most", "largest" and "smallest"
        eigenvalue times sigma^2, so that an isolated point has -1, and "ratio", the squared norm of the score
        over minus the trace of its Jacobian, estimated from a few products (the paper, figure 4).
    """
    import pandas as pd

    scale = model.level(t)["sigma"] ** 2
    parts = []
    for start in range(0, len(prompts), rows):
        some, x = prompts[start : start + rows], points[start : start + rows]
        with JacobianOperator(model.score(t, some), x, product="symmetric") as op:
            found = lanczos(op, krylov)
        with JacobianOperator(model.score(t, some), x, product="vjp") as op:
            sharpness = -trace(op, PROBES).value
            energy = op.value.double().square().sum(1).to(sharpness)
        bounds, values = found.count_above(0.0), found.eigenvalues
        columns = {
            "count": bounds.value,
            "at least": bounds.lower,
            "at most": bounds.upper,
            "largest": values.amax(1) * scale,
            "smallest": values.amin(1) * scale,
            "ratio": energy / sharpness,
        }
        parts.append(pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()}))
    return pd.concat(parts, ignore_index=True)
