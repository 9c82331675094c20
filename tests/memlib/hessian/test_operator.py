"""Explicit matrices as operators."""

import pytest
import torch

from memlib.hessian import DenseOperator


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
