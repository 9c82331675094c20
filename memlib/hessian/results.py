"""What the eigenvalue, trace, diagonal and density routines return: small frozen dataclasses, batch first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Inexact, Int
from scipy.stats import t as student
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A random estimate with its standard error, one or more numbers per sample.

    Attributes:
        value: estimates, shape `(B,)` or `(B, n)`, float64 wherever the device has it.
        stderr: standard errors in the same shape.
        samples: numbers averaged, behind the standard error.
        products: matrix-vector products spent per sample.
        method: name of the estimator.
    """

    value: Float[Tensor, "*B"]
    stderr: Float[Tensor, "*B"]
    samples: int
    products: int
    method: str

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B"]]:
        """Return the two ends of the confidence interval of the given level, by Student's t distribution."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        half = float(student.ppf(0.5 + level / 2, self.samples - 1)) * self.stderr
        return self.value - half, self.value + half

    def affine(self, scale: float | Tensor = 1.0, shift: float | Tensor = 0.0) -> Estimate:
        """Return the estimate of `scale * value + shift`; `scale` and `shift` broadcast against `value`."""
        factor = torch.as_tensor(scale, dtype=self.value.dtype, device=self.value.device)
        return replace(self, value=factor * self.value + shift, stderr=factor.abs() * self.stderr)


@dataclass(frozen=True)
class CountInterval:
    """How many eigenvalues of a symmetric operator lie above a threshold.

    By Cauchy's interlacing theorem the number of Ritz values above the threshold never exceeds the number
    of eigenvalues above it, and the same holds below, so `lower` and `upper` are bounds for the operator
    that was applied, up to the rounding margin `10 sqrt(d) eps max|Ritz value|` around the threshold.

    Attributes:
        value: best count, shape `(B,)`: see `settled`.
        lower: Ritz values above the threshold.
        upper: dimension less the Ritz values below the threshold.
        settled: the Ritz values from one end of the spectrum to the first one beyond the threshold have all
            converged, with residual intervals that avoid the threshold. `value` is then the true count,
            provided that
            eigenvalues are simple: a Krylov space sees one copy of a repeated eigenvalue. Where it is false,
                `value`
            is `lower` and more steps are needed.
        steps: Krylov steps behind the count.
        products: matrix-vector products spent per sample.
    """

    value: Int[Tensor, " B"]
    lower: Int[Tensor, " B"]
    upper: Int[Tensor, " B"]
    settled: Bool[Tensor, " B"]
    steps: int
    products: int

    @property
    def exact(self) -> Bool[Tensor, " B"]:
        """Whether the bounds meet: so after d steps, but for eigenvalues within rounding of the threshold."""
        return self.lower == self.upper

    @classmethod
    def from_ritz(
        cls,
        ritz: tuple[Float[Tensor, "B m"], Float[Tensor, "B m"], Bool[Tensor, "B m"]],
        threshold: float | Tensor,
        *,
        dim: int,
        ends: tuple[bool, bool],
        steps: int,
        products: int,
    ) -> CountInterval:
        """Count from Ritz values, residuals and convergence flags of a symmetric operator of dimension `dim`.

        `ends` says whether the values reach the bottom and the top of those of the whole basis.
        """
        theta, residuals, converged = ritz
        tau = torch.as_tensor(threshold, dtype=theta.dtype, device=theta.device).reshape(-1, 1)
        margin = 10 * dim**0.5 * torch.finfo(theta.dtype).eps * theta.abs().amax(dim=1, keepdim=True)
        above, below = theta > tau + margin, theta < tau - margin
        lower, upper = above.sum(dim=1), dim - below.sum(dim=1)
        clear = converged & ((theta - tau).abs() > residuals + margin)
        from_bottom = ends[0] & _settled(-theta, clear, below)
        from_top = ends[1] & _settled(theta, clear, above)
        value = torch.where(from_bottom & ~from_top, upper, lower)
        return cls(value, lower, upper, from_top | from_bottom | (lower == upper), steps, products)


@dataclass(frozen=True)
class EigenResult:
    """Ritz values of B operators, in the order of `which`, the wanted end first.

    Attributes:
        eigenvalues: `(B, k)`; real from `lanczos`, complex from `arnoldi`.
        residuals: `(B, k)`, norms ||A y - theta y|| of the unit Ritz vectors.
        converged: `(B, k)`, residual at most `tol` times the largest modulus among the sample's Ritz values.
        eigenvectors: `(B, d, k)` unit Ritz vectors, or None when not asked for.
        steps: Krylov steps taken, the same for every sample of the batch.
        breakdowns: `(B,)`, how often a sample's space became invariant and went on with a new random
            direction.
        asymmetry: `(B,)`, ||H - H^T||_F / ||H||_F of the projected operator; rounding level if A is
            symmetric.
        restarts: how often the basis was compressed.
        basis_size: basis vectors held at most, per sample.
        products: matrix-vector products spent per sample.
        dim: dimension d of the operators.
        which: the end of the spectrum.
        complete: the values are all those of the final basis, not only the k wanted ones.
    """

    eigenvalues: Inexact[Tensor, "B k"]
    residuals: Float[Tensor, "B k"]
    converged: Bool[Tensor, "B k"]
    eigenvectors: Inexact[Tensor, "B d k"] | None
    steps: int
    breakdowns: Int[Tensor, " B"]
    asymmetry: Float[Tensor, " B"]
    restarts: int
    basis_size: int
    products: int
    dim: int
    which: str
    complete: bool

    def count_above(self, threshold: float | Tensor) -> CountInterval:
        """Count the eigenvalues above `threshold` (one number, or one per sample) with bounds.

        Raises:
            ValueError: for complex eigenvalues; take `lanczos` of the symmetric part for counts.
        """
        if self.eigenvalues.is_complex():
            raise ValueError(
                "counts need real eigenvalues, got complex ones; use lanczos on the symmetric part"
            )
        return CountInterval.from_ritz(
            (self.eigenvalues, self.residuals, self.converged),
            threshold,
            dim=self.dim,
            ends=(self.complete or self.which == "most_negative", self.complete or self.which == "largest"),
            steps=self.steps,
            products=self.products,
        )


def _settled(theta: Tensor, clear: Tensor, beyond: Tensor) -> Bool[Tensor, " B"]:
    """Whether all values beyond the threshold, and the next one after them, are clear of it; shape `(B,)`.

    Counted downwards from the top of `theta`; with negated values, upwards from the bottom.
    """
    low = torch.finfo(theta.dtype).min
    next_value = torch.where(beyond, low, theta).amax(dim=1, keepdim=True)
    next_is_clear = (clear & ~beyond & (theta == next_value)).any(dim=1)
    return next_is_clear & (clear | ~beyond).all(dim=1)
