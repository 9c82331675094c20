"""Operators made from operators: shifted and scaled, powers, and several directions as a larger batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from memlib.hessian import arguments

if TYPE_CHECKING:
    from memlib.hessian.operator import LinearOperator


class _Derived:
    """What every derived operator takes over from the one it is made of."""

    def __init__(self, op: LinearOperator) -> None:
        arguments.operator(op)
        self.op = op

    @property
    def batch(self) -> int:
        return self.op.batch

    @property
    def dim(self) -> int:
        return self.op.dim

    @property
    def dtype(self) -> torch.dtype:
        return self.op.dtype

    @property
    def device(self) -> torch.device:
        return self.op.device

    @property
    def products(self) -> int:
        """Products with the underlying operator."""
        return self.op.products


class AffineOperator(_Derived):
    """`scale * A + shift * I`, with one scale and shift for all samples or one per sample.

    `AffineOperator(H, sigma**2, 1)` is the form that suits score Hessians: an isolated point has H = -I /
    sigma^2, so that sigma^2 H + I is low rank plus small.
    """

    def __init__(self, op: LinearOperator, scale: float | Tensor = 1.0, shift: float | Tensor = 0.0) -> None:
        super().__init__(op)
        self.scale = arguments.per_sample("scale", scale, op)
        self.shift = arguments.per_sample("shift", shift, op)

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """Return (scale A + shift I) v."""
        return self.scale[:, None] * self.op.matvec(v) + self.shift[:, None] * v

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Return (scale A + shift I) V."""
        return self.scale[:, None, None] * self.op.matmat(V) + self.shift[:, None, None] * V


class PowerOperator(_Derived):
    """`A**power`; each product costs `power` products with A, and `products` counts those."""

    def __init__(self, op: LinearOperator, power: int) -> None:
        super().__init__(op)
        self.power = arguments.at_least("power", power, 1)

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """Return A^power v."""
        for _ in range(self.power):
            v = self.op.matvec(v)
        return v

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Return A^power V."""
        for _ in range(self.power):
            V = self.op.matmat(V)
        return V


class RepeatedOperator(_Derived):
    """Several copies of each sample as a larger batch: independent Krylov spaces side by side.

    Rows are sample-major. One product with it costs `copies` products per sample, made in one `matmat`.
    """

    def __init__(self, op: LinearOperator, copies: int) -> None:
        super().__init__(op)
        self.copies = arguments.at_least("copies", copies, 1)

    @property
    def batch(self) -> int:
        """Samples times copies."""
        return self.op.batch * self.copies

    def matvec(self, v: Float[Tensor, "B*copies d"]) -> Float[Tensor, "B*copies d"]:
        """Return A v for every copy."""
        block = v.reshape(self.op.batch, self.copies, self.dim).mT
        return self.op.matmat(block).mT.reshape(v.shape)

    def matmat(self, V: Float[Tensor, "B*copies d K"]) -> Float[Tensor, "B*copies d K"]:
        """Return A V for every copy."""
        return torch.stack([self.matvec(v) for v in V.unbind(dim=2)], dim=2)
