"""What the eigenvalue, trace, diagonal and density routines return: small frozen dataclasses, batch first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import scipy
import torch
from jaxtyping import Bool, Float, Inexact, Int
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
        """Return the two ends of the confidence interval of the given level, by Student's t distribution.

        Raises:
            ValueError: another level.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        half = float(scipy.stats.t.ppf(0.5 + level / 2, self.samples - 1)) * self.stderr
        return self.value - half, self.value + half

    def affine(self, scale: float | Tensor = 1.0, shift: float | Tensor = 0.0) -> Estimate:
        """Return the estimate of `scale * value + shift`; `scale` and `shift` broadcast against `value`."""
        factor = torch.as_tensor(scale, dtype=self.value.dtype, device=self.value.device)
        return replace(self, value=factor * self.value + shift, stderr=factor.abs() * self.stderr)


def rounding_margin(values: Float[Tensor, "B ..."], dim: int) -> Float[Tensor, " B"]:
    """10 sqrt(d) eps max|value|: how far rounding may have moved the eigenvalues of a d x d matrix."""
    margin: Tensor = 10 * dim**0.5 * torch.finfo(values.dtype).eps * values.abs().flatten(1).amax(dim=1)
    return margin


def at_or_above(
    values: Float[Tensor, "B ..."], threshold: float | Float[Tensor, " B"], dim: int
) -> Bool[Tensor, "B ..."]:
    """Which eigenvalues count as above a threshold: those at least as large, up to `rounding_margin`.

    The one convention of the package. "Not negative" is at or above 0, and the zeros of a singular matrix,
    which come out as 1e-16 or -1e-16, are not negative.

    Args:
        values: eigenvalues or Ritz values of B symmetric matrices.
        threshold: one number, or one per sample.
        dim: size d of the matrices.
    """
    shape = (-1, *[1] * (values.ndim - 1))
    tau = torch.as_tensor(threshold, dtype=values.dtype, device=values.device).reshape(shape)
    return values >= tau - rounding_margin(values, dim).reshape(shape)


@dataclass(frozen=True)
class CountInterval:
    """How many eigenvalues of a symmetric operator lie at or above a threshold (see `at_or_above`).

    By Cauchy's interlacing theorem no fewer eigenvalues than Ritz values lie on either side of the threshold,
    so `lower` and `upper` are bounds for the operator that was applied. Ritz values within `rounding_margin`
    of the threshold cannot be distinguished from it and are left between the bounds; `value` has them above.

    Attributes:
        value: best count, shape `(B,)`: see `settled`.
        lower: Ritz values above the threshold by more than the margin.
        upper: dimension less the Ritz values below it by more than the margin.
        settled: the bounds meet, or the Ritz values from one end of the spectrum to the first one beyond the
            threshold have all converged, with residual intervals that are disjoint and avoid the threshold.
            `value` is then the true count, in the second case provided that eigenvalues are simple: a Krylov
            space sees one copy of a repeated one. A breakdown proves that there are repeated ones, so after
            it only meeting bounds settle a count. Where `settled` is false, `value` is the number of Ritz
            values at or above the threshold, and more steps are needed.
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


@dataclass(frozen=True)
class RitzValues:
    """Ritz values of symmetric operators of dimension `dim`, and what is known of each.

    Attributes:
        values: `(B, m)`.
        residuals: `(B, m)`.
        accurate: `(B, m)`, as in `EigenResult`.
        breakdowns: `(B,)`, as in `EigenResult`.
        ends: whether the values reach the bottom and the top of those of the whole basis.
        dim: d.
    """

    values: Float[Tensor, "B m"]
    residuals: Float[Tensor, "B m"]
    accurate: Bool[Tensor, "B m"]
    breakdowns: Int[Tensor, " B"]
    ends: tuple[bool, bool]
    dim: int

    def count_above(self, threshold: float | Tensor, *, steps: int, products: int) -> CountInterval:
        """Count with bounds; see `CountInterval`."""
        theta = self.values
        tau = torch.as_tensor(threshold, dtype=theta.dtype, device=theta.device).reshape(-1, 1)
        margin = rounding_margin(theta, self.dim)[:, None]
        not_below = at_or_above(theta, threshold, self.dim)
        above = theta > tau + margin
        lower, upper = above.sum(dim=1), self.dim - (~not_below).sum(dim=1)
        clear = self.accurate & ((theta - tau).abs() > self.residuals + margin)
        from_bottom = self.ends[0] & self._settled(-theta, clear, ~not_below, margin)
        from_top = self.ends[1] & self._settled(theta, clear, above, margin)
        value = torch.where(from_bottom & ~from_top, upper, not_below.sum(dim=1))
        return CountInterval(value, lower, upper, from_top | from_bottom | (lower == upper), steps, products)

    def _settled(self, theta: Tensor, clear: Tensor, beyond: Tensor, margin: Tensor) -> Bool[Tensor, " B"]:
        """Whether all values beyond the threshold and the next one are clear of it, and of one another.

        Counted downwards from the top of `theta`; with negated values, upwards from the bottom.
        """
        low = torch.finfo(theta.dtype).min
        next_value = torch.where(beyond, low, theta).amax(dim=1, keepdim=True)
        next_is_clear = (clear & ~beyond & (theta == next_value)).any(dim=1)
        order = theta.argsort(dim=1, descending=True)
        sorted_theta, sorted_residuals = theta.gather(1, order), self.residuals.gather(1, order)
        apart = -sorted_theta.diff(dim=1) > sorted_residuals[:, 1:] + sorted_residuals[:, :-1] + margin
        apart = (apart | ~beyond.gather(1, order)[:, :-1]).all(dim=1)
        return next_is_clear & (clear | ~beyond).all(dim=1) & apart & (self.breakdowns == 0)


@dataclass(frozen=True)
class EigenResult:
    """Ritz values of B operators, in the order of `which`, the wanted end first.

    Attributes:
        eigenvalues: `(B, k)`; real from `lanczos`, complex from `arnoldi`.
        residuals: `(B, k)`, norms ||A y - theta y|| of the unit Ritz vectors.
        accurate: `(B, k)`, the residual is at most `tol` times the largest modulus among the sample's Ritz
            values: an eigenvalue (of a symmetric operator) lies within the residual.
        converged: `(B, k)`, accurate, and nothing contradicts the place of the value in the order. It is
            right if eigenvalues are simple: a Krylov space sees one copy of a repeated one. Copies that were
            found all the same, after a breakdown or by rounding, prove that there are repeated ones; behind
            the first of them no value is flagged, since a further copy may be missing, unless the basis is
            the whole space.
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
    accurate: Bool[Tensor, "B k"]
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
        """Count the eigenvalues `at_or_above` the threshold (one number, or one per sample) with bounds.

        Raises:
            ValueError: for complex eigenvalues; take `lanczos` of the symmetric part for counts.
        """
        if self.eigenvalues.is_complex():
            raise ValueError(
                "counts need real eigenvalues, got complex ones; use lanczos on the symmetric part"
            )
        ends = (self.complete or self.which == "most_negative", self.complete or self.which == "largest")
        ritz = RitzValues(self.eigenvalues, self.residuals, self.accurate, self.breakdowns, ends, self.dim)
        return ritz.count_above(threshold, steps=self.steps, products=self.products)
