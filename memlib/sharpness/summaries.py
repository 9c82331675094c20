"""The numbers that one asks of a point first, with their intervals, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import hessian
from memlib.hessian import Asymmetry, CountInterval, Estimate, JacobianOperator
from memlib.score import Score
from memlib.sharpness.dimension import estimated_dimension

FAR = 1.0
"""Asymmetry from which on a quarter or more of the Jacobian's squared norm is antisymmetric."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Sharpness of B points; printed, a line for each number and point.

    Attributes:
        smallest: `(B, k)`, the smallest eigenvalues times sigma^2; all are -1 at an isolated point.
        residuals: `(B, k)`, how far at most an eigenvalue lies from each of them.
        nonnegative: number of non-negative eigenvalues with its bounds; few where a sample is memorized.
        trace: sigma^2 tr H with its standard error; -d at an isolated point.
        local_dimension: of the data around the point (Osada 2026), with its standard error.
        asymmetry: of the Jacobian J of the score. All numbers are those of its symmetric part, whose trace is
            that of J, and between whose extreme eigenvalues the real parts of J's lie (Bendixson 1902).
        dim: d.
    """

    smallest: Float[Tensor, "B k"]
    residuals: Float[Tensor, "B k"]
    nonnegative: CountInterval
    trace: Estimate
    local_dimension: Estimate
    asymmetry: Asymmetry
    dim: int

    def __str__(self) -> str:
        return "\n\n".join(self._lines(i) for i in range(len(self.smallest)))

    def _lines(self, i: int) -> str:
        count, ratio = self.nonnegative, float(self.asymmetry.ratio[i])
        pairs = zip(self.smallest[i].tolist(), self.residuals[i].tolist(), strict=True)
        rows = {
            "smallest eigenvalues x sigma^2": ", ".join(f"{v:.3f} +- {max(r, 5e-4):.1g}" for v, r in pairs),
            "non-negative eigenvalues": f"{int(count.value[i])} "
            f"[{int(count.lower[i])}, {int(count.upper[i])}] of {self.dim}"
            + ("" if count.settled[i] else ", not settled: take more steps"),
            "trace x sigma^2": _with_interval(self.trace, i),
            "local dimension": _with_interval(self.local_dimension, i),
            "asymmetry of the Jacobian": f"{ratio:.2g}, "
            f"{ratio**2 / 4:.0%} of its squared norm is antisymmetric and left out above"
            + (": this is far from the Hessian of a density" if ratio >= FAR else ""),
        }
        return "\n".join(f"{name:<31} {text}" for name, text in rows.items())


def summary(
    score: Score,
    x: Float[Tensor, "B ..."],
    *,
    k: int = 3,
    steps: int = 32,
    probes: int = 4,
    generator: torch.Generator | None = None,
) -> Summary:
    """Smallest eigenvalues, non-negative count, trace and local dimension at every point.

    Takes `(probes + 1) * steps` products with the symmetric part, at most, and `2 * probes` more.

    Args:
        score: at the noise level of `x`; a plain function becomes one by `Score(fn, alpha=, sigma=)`.
        x: points, `(B, *sample_shape)`, finite.
        k: eigenvalues that are shown.
        steps: Lanczos steps; d of them give the exact count.
        probes: random directions behind the trace and the local dimension, at least 2.
        generator: draws them; None takes seed 0.

    Raises:
        ValueError: for arguments out of range, or points or a score that `JacobianOperator` refuses.

    Example:
        >>> print(summary(Score(lambda x: -4 * x, alpha=0.9, sigma=0.5), torch.zeros(1, 3)))
        smallest eigenvalues x sigma^2  -1.000 +- 0.0005, -1.000 +- 0.0005, -1.000 +- 0.0005
        non-negative eigenvalues        0 [0, 0] of 3
        trace x sigma^2                 -3.00 [-3.00, -3.00]
        local dimension                 0.00 [0.00, 0.00]
        asymmetry of the Jacobian       0, 0% of its squared norm is antisymmetric and left out above
    """
    variance = score.sigma**2
    with JacobianOperator(score, x, product="symmetric") as op:
        extreme = hessian.lanczos(op, steps, generator=generator)
        spectrum = hessian.density(op, probes=probes, steps=steps, generator=generator)
        asymmetry = op.asymmetry(probes, generator)
    return Summary(
        extreme.eigenvalues[:, :k] * variance,
        extreme.residuals[:, :k] * variance,
        extreme.count_above(0.0),
        spectrum.trace_of(lambda values: values).affine(variance),
        estimated_dimension(spectrum, score.sigma),
        asymmetry,
        op.dim,
    )


def _with_interval(estimate: Estimate, i: int) -> str:
    low, high = (float(end[i]) for end in estimate.interval())
    return f"{float(estimate.value[i]):.2f} [{low:.2f}, {high:.2f}]"
