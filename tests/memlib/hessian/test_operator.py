"""Operators of matrices and of functions, and what Python's signs make of them, against the matrices."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh

from memlib.hessian import (
    DenseOperator,
    FunctionOperator,
    JacobianOperator,
    count_above,
    density,
    diagonal,
    lanczos,
    trace,
)
from memlib.hessian.operator import RepeatedOperator


def normal(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(name="A")
def matrices():
    return normal(2, 5, 5, seed=1)


@pytest.fixture(name="V")
def block():
    return normal(2, 5, 3, seed=2)


def test_products_and_their_count():
    A = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    op = DenseOperator(A)
    V = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    assert torch.equal(op.matmat(V), A)
    assert torch.equal(op.matvec(V[:, :, 1]), A[:, :, 1])
    assert (op.batch, op.dim, op.dtype, op.device, op.products) == (2, 3, torch.float64, A.device, 4)


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (torch.ones(3, 3), r"shape \(B, d, d\), got \(3, 3\)"),
        (torch.ones(1, 3, 4), r"shape \(B, d, d\), got \(1, 3, 4\)"),
        (torch.ones(1, 3, 3, dtype=torch.int64), "floating dtype"),
        (torch.full((1, 2, 2), float("nan")), "NaN"),
    ],
)
def test_bad_matrices_are_refused(matrices, message):
    with pytest.raises(ValueError, match=message):
        DenseOperator(matrices)


SIGNS = {
    "A + B": (lambda A, B: A + B, lambda A, B, eye: A + B),
    "A - B": (lambda A, B: A - B, lambda A, B, eye: A - B),
    "-A": (lambda A, B: -A, lambda A, B, eye: -A),
    "A @ B": (lambda A, B: A @ B, lambda A, B, eye: A @ B),
    "A @ A @ A": (lambda A, B: A @ A @ A, lambda A, B, eye: A @ A @ A),
    "2 A + 1": (lambda A, B: 2 * A + 1, lambda A, B, eye: 2 * A + eye),
    "1 - A": (lambda A, B: 1 - A, lambda A, B, eye: eye - A),
    "A 3 - 2": (lambda A, B: A * 3 - 2, lambda A, B, eye: 3 * A - 2 * eye),
    "numpy": (lambda A, B: np.float64(2) * A + np.float32(1), lambda A, B, eye: 2 * A + eye),
    "per sample": (
        lambda A, B: torch.tensor([2.0, -1.0]) * A + torch.tensor([0.5, 3.0]),
        lambda A, B, eye: (
            torch.tensor([2.0, -1.0])[:, None, None] * A + torch.tensor([0.5, 3.0])[:, None, None] * eye
        ),
    ),
}


@pytest.mark.parametrize("name", SIGNS)
def test_signs(A, V, name):
    of_operators, of_matrices = SIGNS[name]
    B = normal(2, 5, 5, seed=4)
    expected = of_matrices(A, B, torch.eye(5, dtype=torch.float64)) @ V
    op = of_operators(DenseOperator(A), DenseOperator(B))
    torch.testing.assert_close(op.matmat(V), expected)
    torch.testing.assert_close(op.matvec(V[:, :, 0]), expected[:, :, 0])


def test_products_of_the_operators_underneath_are_counted_once(A, V):
    first, second = DenseOperator(A), DenseOperator(A)
    both = 2 * (first @ first) + second + 1
    both.matmat(V)
    assert (both.products, first.products, second.products) == (9, 6, 3)


def test_copies_are_sample_major(A):
    op = RepeatedOperator(DenseOperator(A), 4)
    v = normal(8, 5, seed=3)
    expected = torch.stack([A[row // 4] @ v[row] for row in range(8)])
    assert op.batch == 8
    torch.testing.assert_close(op.matvec(v), expected)
    torch.testing.assert_close(op.matmat(v[:, :, None].expand(8, 5, 2))[:, :, 1], expected)
    assert op.products == 12


def test_bad_signs(A):
    op = DenseOperator(A)
    with pytest.raises(ValueError, match=r"one number or one per sample \(2\), got shape \(3,\)"):
        op * torch.ones(3)
    with pytest.raises(ValueError, match="operators must agree in dim, got 5 and 4"):
        op + DenseOperator(A[:, :4, :4])
    with pytest.raises(ValueError, match=r"agree in dtype, got torch.float64 and torch.float32"):
        op @ DenseOperator(A.float())
    with pytest.raises(TypeError):
        op @ 2.0
    with pytest.raises(ValueError, match="copies must be at least 1"):
        RepeatedOperator(op, 0)


def test_a_function_is_enough_for_every_routine(A):
    H = (A + A.mT) / 2
    exact = DenseOperator(H)

    def function():
        return FunctionOperator(lambda v: torch.einsum("bij,bj->bi", H, v), batch=2, dim=5)

    eigenvalues = torch.linalg.eigvalsh(H)
    torch.testing.assert_close(lanczos(function(), 5).eigenvalues, eigenvalues)
    assert torch.equal(count_above(function(), 0.0, steps=5).value, (eigenvalues > 0).sum(1))
    for routine in (
        lambda op: trace(op, 8),
        lambda op: diagonal(op, 4),
        lambda op: density(op, steps=3).count_above(),
    ):
        torch.testing.assert_close(routine(function()).value, routine(exact).value)
    op = function()
    assert op.matmat(torch.zeros(2, 5, 0, dtype=torch.float64)).shape == (2, 5, 0)
    op.matmat(torch.zeros(2, 5, 3, dtype=torch.float64))
    assert op.products == 3


def test_functions_that_do_not_fit():
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        FunctionOperator(lambda v: v, batch=0, dim=3)
    with pytest.raises(ValueError, match=r"use torch\.float64 or torch\.float32"):
        FunctionOperator(lambda v: v, batch=1, dim=3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"returned shape \(1, 2\) for an input of shape \(1, 3\)"):
        FunctionOperator(lambda v: v[:, :2], batch=1, dim=3).matvec(torch.ones(1, 3))


def test_scipy_solves_for_one_sample(A):
    H = (A + A.mT) / 2
    for sample in (0, 1):
        op = DenseOperator(H)
        (largest,) = eigsh(op.scipy(sample), k=1, which="LA", return_eigenvectors=False)
        assert largest == pytest.approx(torch.linalg.eigvalsh(H)[sample, -1].item())
    of_score = JacobianOperator(lambda x: -2 * x, torch.ones(1, 6))
    assert of_score.scipy().matvec(np.ones(6)).tolist() == [-2.0] * 6
    with pytest.raises(ValueError, match=r"sample must lie in \[0, 1\], got 2"):
        DenseOperator(H).scipy(2)
