"""Diagonal estimators: equal to their definitions, exact where they must be, unbiased with honest errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlib.hessian import draw
from memlib.hessian.diagonal import diagonal, leave_one_out_diagonals
from memlib.hessian.operator import DenseOperator

from . import oracles
from .oracles import DEVICES, DTYPES, generator, symmetric

METHODS = ["hutchinson", "xdiag"]


@settings(max_examples=40, deadline=None)
@given(d=st.integers(2, 16), k=st.integers(2, 10), seed=st.integers(0, 10_000))
def test_xdiag_equals_its_definition(d: int, k: int, seed: int) -> None:
    k = min(k, d)
    source = generator(seed)
    A = torch.randn(d, d, dtype=torch.float64, generator=source)
    omega = draw.rademacher(DenseOperator(A[None]), k, source)
    sketch = torch.linalg.cond(A @ omega[0])
    if sketch > 1e8:  # repeated signs: the sketch itself is singular and the definition ambiguous
        return
    fast = leave_one_out_diagonals(DenseOperator(A[None]), omega)[0]
    torch.testing.assert_close(fast, oracles.xdiag(A, omega[0]), rtol=0, atol=float(1e-13 * d * d * sketch))


def test_hutchinson_is_the_mean_and_its_standard_error_over_blocks() -> None:
    A = 1e6 * torch.eye(20, dtype=torch.float64) + symmetric(torch.linspace(-1, 1, 20))
    op = DenseOperator(A[None])
    found = diagonal(op, 70, method="hutchinson", generator=generator(1))
    source = generator(1)
    V = torch.cat([draw.rademacher(op, n, source)[0] for n in (32, 32, 6)], dim=1)
    sample = V * (A @ V)
    torch.testing.assert_close(found.value[0], sample.mean(dim=1), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.stderr[0], sample.std(dim=1) / 70**0.5, rtol=1e-6, atol=1e-8)
    assert found.products == op.products == 70


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric_matrix", [True, False])
def test_unbiased_with_an_honest_standard_error(method: str, symmetric_matrix: bool) -> None:
    """400 repetitions of 40 entries: squared z-scores of the means near one, stated against true error."""
    d, repeats = 40, 400
    A = symmetric(-(0.8 ** torch.arange(d)))
    if not symmetric_matrix:
        A = torch.randn(d, d, dtype=torch.float64, generator=generator(4))
    found = diagonal(DenseOperator(A.expand(repeats, d, d)), 20, method=method, generator=generator(12))
    error = found.value - torch.diag(A)
    z = error.mean(dim=0) / error.std(dim=0) * repeats**0.5
    assert z.square().mean() < 1.8
    assert z.abs().max() < 4.5
    true, stated = error.square().mean().sqrt(), found.stderr.square().mean().sqrt()
    assert 0.85 < true / stated < 1.4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_xdiag_is_exact_for_low_rank(dtype: torch.dtype, device: str) -> None:
    A = symmetric(torch.cat([torch.zeros(40), torch.tensor([-4.0, 1.0, 2.0])])).to(dtype=dtype, device=device)
    found = diagonal(DenseOperator(A[None]), 12, method="xdiag")
    tolerance = 200 * torch.finfo(dtype).eps
    assert (found.value[0] - torch.diag(A)).abs().max() < tolerance
    assert found.stderr.max() < tolerance


def test_shifted_form_of_a_memorized_hessian() -> None:
    """At 30 products XDiag on sigma^2 H + I is more than five times as accurate as Hutchinson on H."""
    sigma, d = 0.1, 60
    noise = 0.02 * torch.randn(d - 4, dtype=torch.float64, generator=generator(1))
    H = symmetric(torch.cat([-(1 + noise) / sigma**2, torch.tensor([-5.0, -1, 0, 1], dtype=torch.float64)]))
    batch = H.expand(50, d, d)
    plain = diagonal(DenseOperator(batch), 30, method="hutchinson")
    shifted = diagonal(sigma**2 * DenseOperator(batch) + 1, 30, method="xdiag")
    shifted = shifted.affine(1 / sigma**2, -1 / sigma**2)
    errors = [float((e.value - torch.diag(H)).square().mean().sqrt()) for e in (plain, shifted)]
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("budget", [12, 25, 40])
def test_xdiag_with_as_many_products_as_rows_is_exact(budget: int) -> None:
    A = torch.randn(2, 12, 12, dtype=torch.float64, generator=generator(3))
    op = DenseOperator(A)
    found = diagonal(op, budget, method="xdiag")
    assert torch.equal(found.value, A.diagonal(dim1=1, dim2=2))
    assert not found.stderr.any()
    assert found.products == op.products == 12


@pytest.mark.parametrize("method", METHODS)
def test_small_and_zero_matrices(method: str) -> None:
    one = diagonal(DenseOperator(torch.tensor([[[-0.3]]], dtype=torch.float64)), 8, method=method)
    torch.testing.assert_close(one.value, torch.tensor([[-0.3]], dtype=torch.float64))
    assert one.stderr.max() < 1e-15
    zero = diagonal(DenseOperator(torch.zeros(2, 7, 7)), 8, method=method)
    assert not zero.value.any()
    assert not zero.stderr.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1, "method": "hutchinson"}, "budget must be at least 2"),
        ({"budget": 3, "method": "xdiag"}, "budget must be at least 4"),
        ({"budget": 8, "method": "xtrace"}, "choose one of 'hutchinson', 'xdiag'"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagonal(DenseOperator(torch.eye(6)[None]), **options)
