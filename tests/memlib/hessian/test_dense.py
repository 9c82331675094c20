"""Dense spectra against matrices whose spectra are known."""

import pytest
import torch

from memlib.hessian import DenseOperator, JacobianOperator, dense

EPS = torch.finfo(torch.float64).eps


def known(eigenvalues, seed=0):
    d = len(eigenvalues)
    Q = torch.linalg.qr(
        torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )[0]
    A = Q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ Q.T
    return (A + A.T) / 2


@pytest.mark.parametrize("chunk", [1, 2, 3, 128])
def test_known_spectra(chunk):
    values = [[-100.0, -99.0, -1.0, 0.5, 4.0], [-3.0, -2.0, -1.0, 1.0, 2.0]]
    A = torch.stack([known(v, seed) for seed, v in enumerate(values)])
    found = dense(DenseOperator(A), chunk=chunk)
    assert torch.equal(found.matrices, A)
    # Eigenvalues of a symmetric matrix are found to eps times its norm.
    assert (found.eigenvalues - torch.tensor(values)).abs().max() < 20 * EPS * 100
    assert found.asymmetry.tolist() == [0.0, 0.0]
    assert found.products == 5
    assert found.count_above().tolist() == [2, 2]
    assert found.count_above(torch.tensor([-50.0, 1.5])).tolist() == [3, 1]


def test_products_count_from_the_call():
    op = DenseOperator(known([1.0, 2.0])[None])
    op.matvec(torch.ones(1, 2, dtype=torch.float64))
    assert dense(op).products == 2


def test_matrices_that_are_not_symmetric():
    """The spectrum is that of the symmetric part; the matrix's own is complex."""
    turn = torch.tensor([[-1.0, 2.0], [-2.0, -1.0]], dtype=torch.float64)
    found = dense(DenseOperator(torch.stack([turn, torch.zeros(2, 2).double()])))
    assert torch.allclose(found.eigenvalues, torch.tensor([[-1.0, -1.0], [0.0, 0.0]]).double(), atol=8 * EPS)
    assert found.asymmetry.tolist() == pytest.approx([(32**0.5) / (10**0.5), 0.0])
    own = found.general_eigenvalues()[0]
    assert own.real.tolist() == pytest.approx([-1.0, -1.0])
    assert sorted(own.imag.tolist()) == pytest.approx([-2.0, 2.0])


def test_own_eigenvalues_are_sorted_by_real_part():
    found = dense(DenseOperator(torch.diag(torch.tensor([3.0, -1.0, 2.0]))[None]))
    assert found.general_eigenvalues().real.tolist() == [[-1.0, 2.0, 3.0]]


def test_the_matrix_is_the_product_of_the_operator():
    M = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    x = torch.zeros(1, 2, dtype=torch.float64)
    for product, expected in (("jvp", M), ("vjp", M.T), ("symmetric", (M + M.T) / 2)):
        assert torch.equal(
            dense(JacobianOperator(lambda z: z @ M.T, x, product=product)).matrices[0], expected
        )


def test_products_that_are_not_finite_are_named():
    """The square root's slope at zero is infinite, its value is not."""
    x = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"samples \[1\] has NaN or infinite"):
        dense(JacobianOperator(torch.sqrt, x))
