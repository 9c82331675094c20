"""Slow and plain versions of what memlib.hessian does fast, and matrices made from chosen eigenvalues.

The algorithms are written out one operator and one vector at a time, as their papers print them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]
DTYPES = [torch.float64, torch.float32]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def orthogonal(d: int, source: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=source)).Q


def symmetric(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues and random eigenvectors, float64."""
    Q = orthogonal(len(eigenvalues), generator(seed))
    A = Q @ torch.diag(eigenvalues.double()) @ Q.T
    return (A + A.T) / 2


def general(eigenvalues: list[complex], condition: float = 3.0, seed: int = 0) -> Tensor:
    """A real matrix with these eigenvalues; `a + bi` stands for itself and its conjugate."""
    blocks = [
        torch.tensor([[z.real, z.imag], [-z.imag, z.real]] if isinstance(z, complex) else [[float(z)]])
        for z in eigenvalues
    ]
    D = torch.block_diag(*blocks).double()
    source = generator(seed)
    d = len(D)
    scales = torch.linspace(1, condition, d, dtype=torch.float64)
    V = orthogonal(d, source) @ torch.diag(scales) @ orthogonal(d, source)
    return V @ D @ torch.linalg.inv(V)


def clustered() -> Tensor:
    """300 eigenvalues shaped like a score Jacobian's: 280 within 0.1 of -100 and 20 between -5 and 1."""
    cluster = -100 + 0.2 * (torch.rand(280, dtype=torch.float64, generator=generator(7)) - 0.5)
    return torch.cat([cluster, torch.linspace(-5, 1, 20, dtype=torch.float64)])


SPECTRA = {
    "clustered": torch.cat([torch.linspace(-100, -99.999, 20), torch.linspace(-5, 1, 10)]),
    "repeated": torch.tensor([-2.0] * 7 + [0.5] * 8 + [3.0] * 5),
    "zero": torch.zeros(12),
    "identity": torch.full((12,), -1.0),
    "low rank": torch.cat([torch.zeros(25), torch.tensor([-4.0, 1.0, 2.0])]),
    "indefinite": torch.linspace(-3, 2, 24),
    "outlier": torch.cat([torch.tensor([-1e8]), torch.linspace(-1, 1, 19)]),
    "one": torch.tensor([-0.7]),
    "two": torch.tensor([-0.7, 0.2]),
}


def hutchpp(A: Tensor, S: Tensor, G: Tensor) -> Tensor:
    """Meyer et al. (2021), algorithm 1, for given test matrices."""
    Q = np.linalg.qr((A @ S).numpy())[0]
    Q = torch.from_numpy(Q)
    P = torch.eye(len(A), dtype=A.dtype) - Q @ Q.T
    return torch.trace(Q.T @ A @ Q) + torch.trace(G.T @ P @ A @ P @ G) / G.shape[1]


def xtrace(A: Tensor, omega: Tensor) -> tuple[Tensor, float]:
    """Epperly, Tropp and Webber (2024), normalised: each leave-one-out estimate from a QR of its own.

    Also returns the largest ||omega|| / ||v|| by which the normalisation magnifies rounding.
    """
    d, k = omega.shape
    estimates, growth = [], 1.0
    for i in range(k):
        others = [j for j in range(k) if j != i]
        Q = torch.linalg.qr(A @ omega[:, others]).Q
        P = torch.eye(d, dtype=A.dtype) - Q @ Q.T
        v = P @ omega[:, i]
        estimates.append(torch.trace(Q.T @ A @ Q) + (d - k + 1) * (v @ A @ v) / (v @ v))
        growth = max(growth, float(omega[:, i].norm() / v.norm()))
    return torch.stack(estimates), growth


def xdiag(A: Tensor, omega: Tensor) -> Tensor:
    """The leave-one-out diagonal estimates `(d, k)` with the projection on the right."""
    d, k = omega.shape
    estimates = []
    for i in range(k):
        others = [j for j in range(k) if j != i]
        Q = torch.linalg.qr(A @ omega[:, others]).Q
        P = Q @ Q.T
        w = omega[:, i]
        estimates.append(torch.diag(A @ P) + w * (A @ (torch.eye(d, dtype=A.dtype) - P) @ w))
    return torch.stack(estimates, dim=1)
