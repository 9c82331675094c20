"""A batch of square matrices, known by their products, and what is made of them with Python's signs.

`A + B` and `A - B` add operators, `c * A` scales one (by a number, or by one per sample), `A + c` is A + c I
and `A @ B` is the product. All are lazy: nothing is multiplied until a vector comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks
from memlib.hessian import arguments

if TYPE_CHECKING:
    from scipy.sparse import linalg


class LinearOperator:
    """What the eigenvalue, trace and density routines need of a batch of square matrices.

    A class of your own needs these attributes and `matmat`; arithmetic and `scipy` are inherited.

    Attributes:
        batch: number of matrices B.
        dim: size d of each.
        dtype: of vectors in and out.
        device: of vectors in and out.
        products: matrix-vector products spent so far, per sample.

    Example (sigma^2 A + I, and A^2 - A):
        >>> A = DenseOperator(-4 * torch.eye(2, dtype=torch.float64)[None])
        >>> v = torch.ones(1, 2, dtype=torch.float64)
        >>> [op.matvec(v).round(decimals=9).tolist() for op in (0.5 * A + 1, A @ A - A)]
        [[[-1.0, -1.0]], [[20.0, 20.0]]]
    """

    batch: int
    dim: int
    dtype: torch.dtype
    device: torch.device
    products: int
    __array_ufunc__ = None  # numpy numbers on the left leave the sign to this class

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """One product for every sample."""
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Several products for every sample, columns in, columns out.

        Raises:
            NotImplementedError: a subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define matmat")

    def scipy(self, sample: int = 0) -> linalg.LinearOperator:
        """One matrix as SciPy's operator, for its solvers; a product with it costs one of the whole batch.

        Raises:
            ValueError: no such sample.

        Example:
            >>> from scipy.sparse.linalg import eigsh
            >>> A = DenseOperator(torch.diag(torch.arange(6.0, dtype=torch.float64))[None])
            >>> eigsh(A.scipy(), k=1)[0].round(9).tolist()
            [5.0]
        """
        from scipy.sparse import linalg

        if not 0 <= sample < self.batch:
            raise ValueError(f"sample must lie in [0, {self.batch - 1}], got {sample}")

        def matvec(v: object) -> object:
            given = torch.as_tensor(v, dtype=self.dtype).reshape(-1).to(self.device)
            block = torch.zeros(self.batch, self.dim, dtype=self.dtype, device=self.device)
            block[sample] = given
            return self.matvec(block)[sample].cpu().numpy()

        numpy_dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        return linalg.LinearOperator((self.dim, self.dim), matvec=matvec, dtype=numpy_dtype)

    def __add__(self, other: LinearOperator | float | Tensor) -> LinearOperator:
        if isinstance(other, LinearOperator):
            return _Sum(self, other)
        return _Affine(self, 1.0, other)

    def __mul__(self, factor: float | Tensor) -> LinearOperator:
        return _Affine(self, factor, 0.0)

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        return _Composed(self, other)

    def __neg__(self) -> LinearOperator:
        return self * -1.0

    def __sub__(self, other: LinearOperator | float | Tensor) -> LinearOperator:
        return self + (-other)

    def __rsub__(self, other: float | Tensor) -> LinearOperator:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


class DenseOperator(LinearOperator):
    """Explicit floating-point matrices `(B, d, d)`, for small problems and tests.

    Raises:
        ValueError: another shape.
    """

    def __init__(self, matrices: Float[Tensor, "B d d"]) -> None:
        checks.batched("matrices", matrices)
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
            raise ValueError(f"matrices must have shape (B, d, d), got {tuple(matrices.shape)}")
        self.matrices, self.products = matrices, 0
        self.batch, self.dim = matrices.shape[:2]
        self.dtype, self.device = matrices.dtype, matrices.device

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """A V."""
        self.products += V.shape[2]
        return self.matrices @ V


class FunctionOperator(LinearOperator):
    """A plain function v -> A v, all that a matrix-free method needs.

    Args:
        fn: vectors `(B, d)` -> their products `(B, d)`, linear, each row by the matrix of its own sample.
        batch: number of matrices B.
        dim: size d of each.
        dtype: of vectors in and out.
        device: of vectors in and out.

    Example:
        >>> from memlib.hessian import lanczos
        >>> A = FunctionOperator(lambda v: v * torch.tensor([-3.0, 1.0, 2.0]), batch=1, dim=3)
        >>> lanczos(A, 3).eigenvalues.round(decimals=9).tolist()
        [[-3.0, 1.0, 2.0]]
    """

    def __init__(
        self,
        fn: Callable[[Tensor], Tensor],
        *,
        batch: int,
        dim: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.fn, self.products = fn, 0
        self.batch, self.dim = arguments.at_least("batch", batch, 1), arguments.at_least("dim", dim, 1)
        self.dtype, self.device = dtype, torch.device(device)
        arguments.operator(self)

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """A V, one call of the function for each column."""
        self.products += V.shape[2]
        columns = [arguments.same_shape(self.fn(v), v) for v in V.unbind(dim=2)]
        return torch.stack(columns, dim=2) if columns else V


class _Derived(LinearOperator):
    """What operators made of others take over from them; `products` counts those of the others."""

    def __init__(self, *parts: LinearOperator) -> None:
        for part in parts:
            if not hasattr(part, "matmat"):
                raise TypeError(f"an operator has matmat, got {type(part).__name__}; numbers scale with *")
            arguments.operator(part)
        first = parts[0]
        for name in ("batch", "dim", "dtype", "device"):
            found = [getattr(part, name) for part in parts]
            if any(value != found[0] for value in found):
                raise ValueError(f"operators must agree in {name}, got {found[0]} and {found[-1]}")
        self.batch, self.dim, self.dtype, self.device = first.batch, first.dim, first.dtype, first.device
        self.leaves: dict[int, LinearOperator] = {}  # by their id, so that A @ A has one
        for part in parts:
            self.leaves |= part.leaves if isinstance(part, _Derived) else {id(part): part}

    @property
    def products(self) -> int:  # type: ignore[override]
        """Products with the underlying operators."""
        return sum(leaf.products for leaf in self.leaves.values())


class _Affine(_Derived):
    """`scale * A + shift * I`, with one scale and shift for all samples or one per sample."""

    def __init__(self, op: LinearOperator, scale: float | Tensor, shift: float | Tensor) -> None:
        super().__init__(op)
        self.op = op
        self.scale = arguments.per_sample("scale", scale, op)
        self.shift = arguments.per_sample("shift", shift, op)

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        return self.scale[:, None, None] * self.op.matmat(V) + self.shift[:, None, None] * V


class _Sum(_Derived):
    """`A + B`."""

    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        super().__init__(first, second)
        self.first, self.second = first, second

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        return self.first.matmat(V) + self.second.matmat(V)


class _Composed(_Derived):
    """`A B`; each product costs one with B and one with A."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        super().__init__(outer, inner)
        self.outer, self.inner = outer, inner

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        return self.outer.matmat(self.inner.matmat(V))


class RepeatedOperator(_Derived):
    """Several copies of each sample as a larger batch: independent Krylov spaces side by side.

    Rows are sample-major. One product with it costs `copies` products per sample, made in one `matmat`.
    """

    def __init__(self, op: LinearOperator, copies: int) -> None:
        super().__init__(op)
        self.op, self.copies = op, arguments.at_least("copies", copies, 1)
        self.batch = op.batch * self.copies

    def matvec(self, v: Float[Tensor, "B*copies d"]) -> Float[Tensor, "B*copies d"]:
        """Return A v for every copy."""
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B*copies d K"]) -> Float[Tensor, "B*copies d K"]:
        """Return A V for every copy."""
        by_sample = V.unflatten(0, (self.op.batch, self.copies)).transpose(1, 2)  # (B, d, copies, K)
        products: Tensor = self.op.matmat(by_sample.flatten(2)).unflatten(2, by_sample.shape[2:])
        return products.transpose(1, 2).flatten(0, 1)
