"""Derived operators against their matrices, and the products they count."""

from __future__ import annotations

import pytest
import torch

from memlib.hessian.algebra import AffineOperator, PowerOperator, RepeatedOperator
from memlib.hessian.operator import DenseOperator

from .oracles import generator


@pytest.fixture(name="A")
def matrices() -> torch.Tensor:
    return torch.randn(2, 5, 5, dtype=torch.float64, generator=generator(1))


@pytest.fixture(name="V")
def block() -> torch.Tensor:
    return torch.randn(2, 5, 3, dtype=torch.float64, generator=generator(2))


def test_affine_with_numbers_per_sample(A: torch.Tensor, V: torch.Tensor) -> None:
    scale, shift = torch.tensor([2.0, -1.0]).double(), torch.tensor([0.5, 3.0]).double()
    op = AffineOperator(DenseOperator(A), scale, shift)
    expected = scale[:, None, None] * A @ V + shift[:, None, None] * V
    torch.testing.assert_close(op.matmat(V), expected)
    torch.testing.assert_close(op.matvec(V[:, :, 0]), expected[:, :, 0])
    assert op.products == 4


def test_power_counts_every_product(A: torch.Tensor, V: torch.Tensor) -> None:
    op = PowerOperator(DenseOperator(A), 3)
    torch.testing.assert_close(op.matmat(V), A @ A @ A @ V)
    torch.testing.assert_close(op.matvec(V[:, :, 0]), (A @ A @ A @ V)[:, :, 0])
    assert op.products == 12


def test_copies_are_sample_major(A: torch.Tensor) -> None:
    op = RepeatedOperator(DenseOperator(A), 4)
    v = torch.randn(8, 5, dtype=torch.float64, generator=generator(3))
    expected = torch.stack([A[row // 4] @ v[row] for row in range(8)])
    assert op.batch == 8
    torch.testing.assert_close(op.matvec(v), expected)
    torch.testing.assert_close(op.matmat(v[:, :, None].expand(8, 5, 2))[:, :, 1], expected)
    assert op.products == 12


def test_bad_arguments(A: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="power must be at least 1"):
        PowerOperator(DenseOperator(A), 0)
    with pytest.raises(ValueError, match=r"one number or one per sample \(2\), got shape \(3,\)"):
        AffineOperator(DenseOperator(A), torch.ones(3))
    with pytest.raises(ValueError, match="copies must be at least 1"):
        RepeatedOperator(DenseOperator(A), 0)
