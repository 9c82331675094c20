"""Statistics of whole spectra, eigenvalues `(B, d)` of Hessians."""

from __future__ import annotations

from jaxtyping import Float, Float64, Int64
from torch import Tensor

from memlib import checks
from memlib.hessian import at_or_above


def scaled(eigenvalues: Float[Tensor, "B d"], sigma: float) -> Float[Tensor, "B d"]:
    """Eigenvalues times sigma^2, which have one scale at every t: an isolated point has all values -1.

    Args:
        eigenvalues: `(B, d)`, finite.
        sigma: the noise scale.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    return _spectrum(eigenvalues) * sigma**2


def nonnegative_count(eigenvalues: Float[Tensor, "B d"]) -> Int64[Tensor, " B"]:
    """Number of non-negative eigenvalues; fewer means more strongly memorized (the paper, figure 3).

    Up to rounding, see `memlib.hessian.at_or_above`: the zeros of a singular Hessian count.

    Args:
        eigenvalues: `(B, d)`, finite.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    return at_or_above(_spectrum(eigenvalues), 0.0, eigenvalues.shape[1]).sum(dim=1)


def trace(eigenvalues: Float[Tensor, "B d"], power: int = 1) -> Float64[Tensor, " B"]:
    """The trace of H^power; -tr H is the sharpness of lemma 4.1, -tr H^3 the mean of ||H s||^2 (lemma 4.3).

    Args:
        eigenvalues: `(B, d)`, finite.
        power: the power of H, 1 or more.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    return _spectrum(eigenvalues).double().pow(power).sum(dim=1)


def _spectrum(eigenvalues: Tensor) -> Tensor:
    """The same eigenvalues once they are finite and `(B, d)`: a NaN would count as negative, as sharp."""
    if checks.batched("eigenvalues", eigenvalues).ndim != 2:
        raise ValueError(f"eigenvalues must have shape (B, d), got {tuple(eigenvalues.shape)}")
    return eigenvalues
