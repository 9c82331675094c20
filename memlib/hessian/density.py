r"""Spectral densities of B symmetric operators by stochastic Lanczos quadrature, and what follows from them.

For a random v of length one, m steps of Lanczos give Ritz values theta_j and squared first components
tau_j: a Gauss quadrature of the spectral measure of v, exact for polynomials up to degree 2m - 1 (Golub and
Meurant 2010). The average over probes, times d, estimates tr f(A); its spread over probes is the standard
error. The quadrature's own error, a bias, is not part of that: the count of a steep f at a threshold inside
a cluster converges only as Lanczos resolves it.

All probes of all samples advance together, as one batch of B * probes Krylov spaces.

References:
    Ubaru, Chen and Saad (2017), Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix
    Anal. Appl. 38, 1075.
    Lin, Saad and Yang (2016), Approximating spectral densities of large matrices, SIAM Rev. 58, 34.
    Golub and Meurant (2010), Matrices, Moments and Quadrature with Applications, Princeton.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments, draw
from memlib.hessian.hutchinson import mean_with_error
from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.lanczos import symmetric_ritz
from memlib.hessian.operator import RepeatedOperator
from memlib.hessian.results import Estimate, at_or_above

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


@dataclass(frozen=True)
class SpectralDensity:
    """Quadrature nodes and weights per sample and probe; derived numbers come with their error over probes.

    Attributes:
        nodes: Ritz values, `(B, probes, m)`, ascending.
        weights: their weights, `(B, probes, m)`, adding up to one over m.
        dim: dimension d of the operators.
        products: matrix-vector products spent per sample.
    """

    nodes: Float[Tensor, "B probes m"]
    weights: Float[Tensor, "B probes m"]
    dim: int
    products: int

    def trace_of(self, f: Callable[[Tensor], Tensor]) -> Estimate:
        """Estimate tr f(A), `(B,)`, for an elementwise `f` of float64 nodes `(B, probes, m)`."""
        return self._mean(self.dim * (self.weights.double() * f(self.nodes.double())).sum(dim=2))

    def count_above(self, threshold: float | Float[Tensor, " B"] = 0.0) -> Estimate:
        """Estimate the number of eigenvalues `at_or_above` the threshold (one, or one per sample), `(B,)`."""
        return self.trace_of(lambda nodes: at_or_above(nodes, threshold, self.dim).double())

    def cdf(self, grid: Float[Tensor, " n"]) -> Estimate:
        """Estimate the share of eigenvalues <= each grid point, `(B, n)`."""
        return self._mean(self._against(grid, lambda distance: (distance >= 0).double()))

    def smooth(self, grid: Float[Tensor, " n"], width: float) -> Estimate:
        """Estimate the density smoothed by a Gaussian of standard deviation `width`, `(B, n)`.

        It integrates to one.

        Args:
            grid: points `(n,)` at which the density is wanted.
            width: the standard deviation of the Gaussian.

        Raises:
            ValueError: a width that is not positive.
        """
        if not width > 0:
            raise ValueError(f"width must be greater than zero, got {width}")
        height = 1 / (width * (2 * torch.pi) ** 0.5)
        return self._mean(self._against(grid, lambda x: height * torch.exp(-0.5 * (x / width) ** 2)))

    def _against(self, grid: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
        """Weighted sums over nodes of `kernel(grid point - node)`, `(B, n, probes)`."""
        nodes, weights = self.nodes.double(), self.weights.double()
        points = torch.as_tensor(grid, dtype=torch.float64, device=nodes.device).unbind()
        return torch.stack([(weights * kernel(point - nodes)).sum(dim=2) for point in points], dim=1)

    def _mean(self, per_probe: Tensor) -> Estimate:
        return mean_with_error(per_probe, self.products, "lanczos quadrature")


def density(
    op: LinearOperator, *, probes: int = 16, steps: int = 32, generator: torch.Generator | None = None
) -> SpectralDensity:
    """Return the spectral density of each symmetric operator from `probes * min(steps, d)` products.

    Stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017).

    Args:
        op: symmetric operator of batch B and dimension d.
        probes: random vectors, at least 2 for an error bar.
        steps: Lanczos steps per probe: the resolution. B * probes * steps * d numbers are held.
        generator: source of the probes; None is a new one with seed 0.

    Raises:
        ValueError: for arguments out of range, or NaN or infinity in a product (`NonFiniteProductError`).
    """
    arguments.operator(op)
    arguments.at_least("probes", probes, 2)
    arguments.at_least("steps", steps, 1)
    source = draw.generator_for(op, generator)
    spent, many = op.products, RepeatedOperator(op, probes)
    signs = draw.rademacher(op, probes, source).mT.reshape(many.batch, op.dim)
    space = KrylovSpace(many, steps, start=signs, generator=source)
    try:
        space.expand(space.capacity)
    except arguments.NonFiniteProductError as error:
        samples = sorted({row // probes for row in error.samples})
        raise arguments.NonFiniteProductError(samples, error.step) from None
    values, vectors, _ = symmetric_ritz(space, "most_negative")
    shape = (op.batch, probes, space.size)
    return SpectralDensity(
        values.reshape(shape), vectors[:, 0].square().reshape(shape), op.dim, op.products - spent
    )
