"""The whole Jacobian and its spectrum: the reference for the other routines, affordable up to d = 2,000."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from memlib.hessian.operator import LinearOperator
from memlib.hessian.results import at_or_above


@dataclass(frozen=True)
class DenseSpectrum:
    """Every matrix and its spectrum.

    Attributes:
        matrices: `(B, d, d)` as the operator's product gives them (J, J^T or their mean), in its dtype.
        eigenvalues: `(B, d)` ascending, of the symmetric part (M + M^T) / 2.
        asymmetry: `(B,)` exact ||M - M^T||_F / ||M||_F; 0 where M is zero.
        products: matrix-vector products spent per sample.
    """

    matrices: Tensor
    eigenvalues: Tensor
    asymmetry: Tensor
    products: int

    @property
    def symmetric(self) -> Tensor:
        """The symmetric parts (M + M^T) / 2, `(B, d, d)`, whose eigenvalues these are."""
        return _symmetric_part(self.matrices)

    def count_above(self, threshold: float | Tensor = 0.0) -> Tensor:
        """Number of eigenvalues `at_or_above` the threshold (one, or one per sample), `(B,)`."""
        return at_or_above(self.eigenvalues, threshold, self.eigenvalues.shape[1]).sum(dim=1)

    def general_eigenvalues(self) -> Tensor:
        """Eigenvalues `(B, d)` of M itself, complex, sorted by real part."""
        values = torch.linalg.eigvals(self.matrices)
        return torch.gather(values, 1, values.real.argsort(dim=1))


def dense(op: LinearOperator, *, chunk: int = 128, progress: bool = False) -> DenseSpectrum:
    """All d products with the unit vectors, and the eigenvalues of the symmetric part.

    Costs d products per sample and (B, d, d) numbers.

    Args:
        op: the matrices, as products.
        chunk: unit vectors in one call of `op.matmat`.
        progress: show a progress bar.

    Raises:
        ValueError: naming the samples whose matrix is not finite.

    Example:
        >>> from memlib.hessian import DenseOperator
        >>> op = DenseOperator(torch.diag(torch.tensor([-2.0, 1.0]))[None].double())
        >>> dense(op).eigenvalues.round(decimals=9).tolist()
        [[-2.0, 1.0]]
    """
    before = op.products
    matrices = torch.empty(op.batch, op.dim, op.dim, dtype=op.dtype, device=op.device)
    starts = range(0, op.dim, chunk)
    for start in tqdm(starts, desc="columns of the Jacobian", mininterval=2.0) if progress else starts:
        stop = min(start + chunk, op.dim)
        units = torch.zeros(op.dim, stop - start, dtype=op.dtype, device=op.device)
        units[start:stop] = torch.eye(stop - start, dtype=op.dtype, device=op.device)
        matrices[:, :, start:stop] = op.matmat(units.expand(op.batch, -1, -1))
    finite = torch.isfinite(matrices).flatten(1).all(1)
    if not finite.all():
        raise ValueError(
            f"the Jacobian of samples {(~finite).nonzero().flatten().tolist()} has NaN or infinite entries"
        )
    skew = (matrices - matrices.mT).flatten(1).norm(dim=1)
    size = matrices.flatten(1).norm(dim=1)
    eigenvalues = torch.linalg.eigvalsh(_symmetric_part(matrices))
    return DenseSpectrum(
        matrices, eigenvalues, skew / size.clamp(min=torch.finfo(op.dtype).tiny), op.products - before
    )


def _symmetric_part(matrices: Tensor) -> Tensor:
    return 0.5 * (matrices + matrices.mT)
