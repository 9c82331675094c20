"""The paper's Algorithm 1 as printed: right until something converges; stops early on an invariant space."""

from __future__ import annotations

import torch

from companion.printed import algorithm_1
from memlib.hessian import DenseOperator, arnoldi

from ..memlib.hessian.oracles import generator, orthogonal


def test_few_steps_agree_with_two_passes() -> None:
    A = torch.randn(40, 40, dtype=torch.float64, generator=generator(3))
    start = torch.randn(1, 40, dtype=torch.float64, generator=generator(4))
    once = torch.linalg.eigvals(algorithm_1(A.mv, start[0], 10)).abs().sort().values
    twice = arnoldi(DenseOperator(A[None]), 10, start=start).eigenvalues[0].abs().sort().values
    torch.testing.assert_close(once, twice, rtol=1e-10, atol=1e-10)


def test_complex_vectors_give_the_same_spectrum() -> None:
    A = torch.randn(12, 12, dtype=torch.float64, generator=generator(5))
    start = torch.randn(12, dtype=torch.float64, generator=generator(6))
    real = torch.linalg.eigvals(algorithm_1(A.mv, start, 6))
    complexes = torch.linalg.eigvals(algorithm_1(A.to(torch.complex128).mv, start.to(torch.complex128), 6))
    torch.testing.assert_close(
        real.abs().sort().values, complexes.abs().sort().values, rtol=1e-10, atol=1e-10
    )


def test_an_invariant_space_stops_it_with_a_smaller_matrix() -> None:
    Q = orthogonal(8, generator(7))
    A = Q @ torch.diag(torch.tensor([-1.0, -2.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0]).double()) @ Q.T
    H = algorithm_1(A.mv, Q[:, :3].sum(1), 8, tolerance=1e-9)
    assert H.shape == (3, 3)
    values = torch.linalg.eigvals(H).real.sort().values
    torch.testing.assert_close(values, torch.tensor([-3.0, -2.0, -1.0]).double(), rtol=1e-9, atol=1e-9)
