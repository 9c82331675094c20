r"""Krylov decompositions of a batch of operators, with two-pass orthogonalisation and per-sample breakdown.

The space keeps, for each of B operators A, an orthonormal basis and the projected operator with

    A Q_m = Q_m H_m + q_{m+1} b_m^T,        Q_m = (q_1, ..., q_m),

the *Krylov decomposition* of Stewart (2001). Fresh steps make it Arnoldi's; `lanczos` and `arnoldi` read
Ritz values off H_m and compress the basis at a restart, both through this one class. No library does this
for many operators at once on the device that holds them: ARPACK takes one operator and CPU vectors, and a
batched Lanczos that stops, or replaces negative values, for the whole batch is of no use for score
Hessians.

Orthogonalisation is classical Gram-Schmidt, done twice: two matrix products per pass, and orthogonality to
machine precision unless the new vector lies in the space ("twice is enough", Kahan in Parlett 1998, section
6.9; Giraud, Langou, Rozloznik and van den Eshof 2005). One pass returns ghost copies of converged
eigenvalues.

A *breakdown* means that the space became invariant: nothing but rounding is left of the new vector. That
sample goes on with a fresh random direction orthogonal to what it has and a zero in H, so that further
copies of repeated eigenvalues are found and d steps always give all d eigenvalues. Masks decide this on the
device; the other samples do not notice. The spare direction is orthogonalised beside every product, for
nearly no cost: reading the basis dominates.

Precision: basis, H and Ritz problems are in the operator's dtype (float64 unless chosen otherwise),
whatever the network's own dtype is. Cost per step: one product and 8 B m d multiplications; memory B (m +
1) d numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from memlib.hessian import arguments, draw

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator

CHECK_EVERY = 32  # steps between looks for NaN on an accelerator, where a look waits for the device


def orthogonalise(
    vectors: Float[Tensor, "B n d"], basis: Float[Tensor, "B m d"]
) -> tuple[Float[Tensor, "B n d"], Float[Tensor, "B n m"]]:
    """Remove from each vector its components along the orthonormal rows of `basis`, twice.

    Returns the remainders and the coefficients, with `vectors = remainders + coefficients @ basis`.
    """
    total = torch.zeros_like(vectors[..., :1])
    for _ in range(2):
        coefficients = torch.bmm(vectors, basis.mT)
        vectors = torch.baddbmm(vectors, coefficients, basis, alpha=-1)
        total = total + coefficients
    return vectors, total


class KrylovSpace:
    """A growing Krylov decomposition for each operator of a batch.

    Attributes:
        basis: `(B, capacity + 1, d)`; rows `0..size` are q_1, ..., q_{size+1} (the last one is zero when size
            = d).
        projected: `(B, capacity + 1, capacity)`; the block `[:size, :size]` is H and row `size` is b.
        size: columns m that are complete for every sample.
        steps: products made so far.
        breakdowns: `(B,)` number of breakdowns of each sample.
    """

    def __init__(
        self,
        op: LinearOperator,
        capacity: int,
        *,
        start: Float[Tensor, "B d"] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        arguments.operator(op)
        self.op = op
        self.capacity = min(capacity, op.dim)
        self.size = self.steps = 0
        self.generator = draw.generator_for(op, generator)
        self.basis = torch.empty(op.batch, self.capacity + 1, op.dim, dtype=op.dtype, device=op.device)
        self.projected = torch.zeros(
            op.batch, self.capacity + 1, self.capacity, dtype=op.dtype, device=op.device
        )
        self.breakdowns = torch.zeros(op.batch, dtype=torch.int64, device=op.device)
        self._columns = torch.zeros_like(self.breakdowns)  # complete columns of each sample, at least `size`
        self._scale = torch.zeros(op.batch, dtype=op.dtype, device=op.device)  # largest ||A q|| met
        self._unchecked: list[Tensor] = []
        self.basis[:, 0] = self._unit_start(start)

    def expand(self, size: int) -> None:
        """Grow every sample's decomposition to `size` columns (at most the capacity).

        Raises:
            NonFiniteProductError: a product held NaN or infinity; names the samples and the step.
        """
        for j in range(self.size, min(size, self.capacity)):
            self._step(j)
            if self.op.device.type == "cpu" or len(self._unchecked) == CHECK_EVERY:
                self._check()
        self._check()
        self.size = max(self.size, min(size, self.capacity))

    def compress(self, weights: Float[Tensor, "B m p"], columns: Int[Tensor, " B"]) -> None:
        """Restart: replace the basis by the first `columns[b]` of the combinations `Q W` for each sample b.

        The columns of `W` must be orthonormal and, as far as they are kept, span an invariant subspace of
        H; the new decomposition is then again exact (Stewart 2001). Samples may keep different numbers of
        columns: those with more wait while the others catch up.
        """
        m, p, sample = self.size, weights.shape[2], torch.arange(self.op.batch, device=self.op.device)
        kept = torch.arange(p, device=self.op.device) < columns[:, None]
        weights = weights * kept[:, None, :]
        old = self.projected[:, : m + 1, :m]
        last, coupling = self.basis[:, m].clone(), (old[:, m : m + 1] @ weights)[:, 0]
        block = weights.mT @ old[:, :m] @ weights

        self.basis[:, :p] = torch.bmm(weights.mT, self.basis[:, :m])
        self.basis[sample, columns] = last
        self.projected.zero_()
        self.projected[:, :p, :p] = block
        self.projected[sample, columns, :p] = coupling
        self._columns, self.size = columns, int(columns.min())

    def _step(self, j: int) -> None:
        """Multiply q_{j+1} by the operator and orthogonalise: column j of the decomposition."""
        q = self.basis[:, j]
        w = arguments.same_shape(self.op.matvec(q), q)
        self.steps += 1
        length = torch.linalg.vector_norm(w, dim=1)
        self._unchecked.append(length)
        self._scale = torch.maximum(self._scale, length)

        spare = draw.normal(self.op, (self.op.batch, self.op.dim), self.generator)
        remainders, coefficients = orthogonalise(torch.stack((w, spare), dim=1), self.basis[:, : j + 1])
        norms = torch.linalg.vector_norm(remainders, dim=2)
        eps = torch.finfo(self.op.dtype).eps
        broken = norms[:, 0] <= 10 * eps * self.op.dim**0.5 * self._scale
        if j + 1 == self.op.dim:  # the whole space: what is left is rounding, for both vectors
            broken = torch.ones_like(broken)
            norms, remainders = torch.ones_like(norms), torch.zeros_like(remainders)
        pick = broken.long()[:, None]
        chosen = remainders.gather(1, pick[..., None].expand(-1, 1, self.op.dim))[:, 0] / norms.gather(
            1, pick
        )
        beta = torch.where(broken, 0, norms[:, 0])
        column = torch.cat((coefficients[:, 0], beta[:, None]), dim=1)

        active = (self._columns <= j)[:, None]
        self.basis[:, j + 1] = torch.where(active, chosen, self.basis[:, j + 1])
        self.projected[:, : j + 2, j] = torch.where(active, column, self.projected[:, : j + 2, j])
        self.breakdowns += (broken & active[:, 0]) if j + 1 < self.op.dim else 0
        self._columns = torch.clamp(self._columns, min=j + 1)

    def _check(self) -> None:
        if self._unchecked:
            lengths, self._unchecked = torch.stack(self._unchecked), []
            arguments.require_finite(lengths, self.steps - len(lengths) + 1)

    def _unit_start(self, start: Tensor | None) -> Tensor:
        shape = (self.op.batch, self.op.dim)
        if start is None:
            start = draw.normal(self.op, shape, self.generator)
        if tuple(start.shape) != shape:
            raise ValueError(f"start must have shape (B, d) = {shape}, got {tuple(start.shape)}")
        start = start.to(dtype=self.op.dtype, device=self.op.device)
        length = torch.linalg.vector_norm(start, dim=1, keepdim=True)
        usable = torch.isfinite(length) & (length > 0)
        if not bool(usable.all()):
            rows = (~usable[:, 0]).nonzero().flatten().tolist()
            raise ValueError(
                f"start must be finite and not zero, but is not in rows {rows}; draw another vector there"
            )
        return start.div(length)
