"""What a routine of this package asks of a batch of square matrices, and explicit matrices that give it."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from memlib import checks


class LinearOperator(Protocol):
    """What the eigenvalue, trace and density routines ask of a batch of square matrices."""

    @property
    def batch(self) -> int:
        """Number of matrices B."""

    @property
    def dim(self) -> int:
        """Size d of each matrix."""

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of vectors in and out."""

    @property
    def device(self) -> torch.device:
        """Device of vectors in and out."""

    @property
    def products(self) -> int:
        """Matrix-vector products spent so far, per sample."""

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """One product for every sample."""

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """Several products for every sample, columns in, columns out."""


class DenseOperator:
    """Explicit matrices `(B, d, d)` as an operator, for toys and tests."""

    def __init__(self, matrices: Float[Tensor, "B d d"]) -> None:
        checks.batched("matrices", matrices)
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
            raise ValueError(f"matrices must have shape (B, d, d), got {tuple(matrices.shape)}")
        self.matrices, self.products = matrices, 0
        self.batch, self.dim = matrices.shape[:2]
        self.dtype, self.device = matrices.dtype, matrices.device

    def matvec(self, v: Float[Tensor, "B d"]) -> Float[Tensor, "B d"]:
        """A v."""
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Float[Tensor, "B d K"]) -> Float[Tensor, "B d K"]:
        """A V."""
        self.products += V.shape[2]
        return self.matrices @ V
