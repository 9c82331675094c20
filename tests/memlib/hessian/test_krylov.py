"""The Krylov decomposition: orthonormality, A Q = Q H + q b^T, breakdown, restarts, bad input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memlib.hessian.arguments import NonFiniteProductError
from memlib.hessian.krylov import KrylovSpace, orthogonalise
from memlib.hessian.operator import DenseOperator

from .oracles import DEVICES, DTYPES, SPECTRA, clustered, general, generator, symmetric


def assert_decomposition(space: KrylovSpace, A: Tensor, factor: float = 30.0) -> None:
    """Orthonormal rows and A Q = Q H + q b^T, to a few units of rounding."""
    m, d = space.size, A.shape[1]
    eps = torch.finfo(A.dtype).eps
    Q, H = space.basis[:, :m].mT, space.projected[:, :m, :m]
    q, b = space.basis[:, m, :, None], space.projected[:, m, None, :m]
    full = space.basis[:, : m + 1] if m < d else space.basis[:, :m]
    gram = full @ full.mT
    eye = torch.eye(gram.shape[1], dtype=A.dtype, device=A.device)
    assert (gram - eye).abs().max() <= factor * eps
    scale = torch.linalg.matrix_norm(A, ord=2).clamp(min=1e-30)
    defect = torch.linalg.matrix_norm(A @ Q - Q @ H - q @ b) / scale
    assert defect.max() <= factor * d**0.5 * eps


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECTRA)
def test_decomposition_on_chosen_spectra(name: str, dtype: torch.dtype, device: str) -> None:
    A = symmetric(SPECTRA[name]).to(dtype=dtype, device=device)[None]
    for steps in {1, min(3, A.shape[1]), A.shape[1]}:
        space = KrylovSpace(DenseOperator(A), steps)
        space.expand(steps)
        assert space.size == steps
        assert_decomposition(space, A)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_run_stays_orthogonal(dtype: torch.dtype) -> None:
    A = symmetric(clustered()).to(dtype)[None]
    space = KrylovSpace(DenseOperator(A), 300)
    space.expand(300)
    assert_decomposition(space, A)


@settings(max_examples=40, deadline=None)
@given(d=st.integers(1, 15), batch=st.integers(1, 3), steps=st.integers(1, 20), seed=st.integers(0, 10_000))
def test_decomposition_of_random_matrices(d: int, batch: int, steps: int, seed: int) -> None:
    A = torch.randn(batch, d, d, dtype=torch.float64, generator=generator(seed))
    space = KrylovSpace(DenseOperator(A), steps, generator=generator(seed))
    space.expand(steps)
    assert space.size == min(steps, d)
    assert_decomposition(space, A)


def test_expand_in_parts_is_expand_at_once() -> None:
    A = symmetric(SPECTRA["indefinite"])[None]
    parts, once = (KrylovSpace(DenseOperator(A), 15, generator=generator()) for _ in range(2))
    for size in (2, 2, 9, 15):
        parts.expand(size)
    once.expand(15)
    assert torch.equal(parts.projected, once.projected)
    assert parts.steps == once.steps == 15


def test_breakdown_of_one_sample_leaves_the_others_alone() -> None:
    """A rank-2 matrix breaks down after three steps; its neighbour must be as if alone."""
    low = symmetric(torch.cat([torch.zeros(18), torch.tensor([1.0, 2.0])]), seed=1)
    flat = symmetric(torch.linspace(-3, 2, 20), seed=2)
    start = torch.randn(2, 20, dtype=torch.float64, generator=generator(3))
    both = KrylovSpace(DenseOperator(torch.stack([low, flat])), 12, start=start)
    alone = KrylovSpace(DenseOperator(flat[None]), 12, start=start[1:])
    both.expand(12)
    alone.expand(12)
    assert both.breakdowns.tolist() == [10, 0]  # at step 3, and from then on at every step
    torch.testing.assert_close(both.projected[1:], alone.projected, rtol=1e-12, atol=1e-12)
    assert_decomposition(both, torch.stack([low, flat]))


def test_invariant_start_vector() -> None:
    A = torch.diag(torch.tensor([3.0, 1.0, -2.0], dtype=torch.float64))[None]
    start = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    space = KrylovSpace(DenseOperator(A), 3, start=start)
    space.expand(3)
    assert space.breakdowns.tolist() == [1]
    assert_decomposition(space, A)


def test_compression_with_different_numbers_of_columns() -> None:
    """Sample 0 keeps 3 columns and sample 1 keeps 4; after catching up both decompositions are exact."""
    A = torch.stack([symmetric(torch.linspace(-3, 2, 30), seed=s) for s in (1, 2)])
    space = KrylovSpace(DenseOperator(A), 10)
    space.expand(10)
    _, vectors = torch.linalg.eigh((space.projected[:, :10] + space.projected[:, :10].mT) / 2)
    space.compress(vectors[:, :, :4], torch.tensor([3, 4]))
    assert space.size == 3
    space.expand(4)
    assert_decomposition(space, A)
    space.expand(10)
    assert space.size == 10
    assert_decomposition(space, A)


def test_orthogonality_survives_many_restarts() -> None:
    A = torch.stack([symmetric(clustered(), seed=s) for s in (1, 2)])
    space = KrylovSpace(DenseOperator(A), 12)
    for _ in range(60):
        space.expand(12)
        _, vectors = torch.linalg.eigh((space.projected[:, :12] + space.projected[:, :12].mT) / 2)
        space.compress(vectors[:, :, -6:], torch.tensor([6, 6]))
    space.expand(12)
    assert_decomposition(space, A, factor=300.0)


@settings(max_examples=30, deadline=None)
@given(m=st.integers(1, 8), extra=st.integers(0, 6), seed=st.integers(0, 10_000), size=st.floats(1e-12, 1e12))
def test_orthogonalise_splits_every_vector(m: int, extra: int, seed: int, size: float) -> None:
    source = generator(seed)
    basis = torch.linalg.qr(torch.randn(2, m + extra, m, dtype=torch.float64, generator=source)).Q.mT
    vectors = size * torch.randn(2, 3, m + extra, dtype=torch.float64, generator=source)
    rest, coefficients = orthogonalise(vectors, basis)
    torch.testing.assert_close(rest + coefficients @ basis, vectors, rtol=1e-13, atol=1e-13 * size)
    assert (rest @ basis.mT).abs().max() <= 1e-14 * size


class Poisoned:
    """Turns one sample's product into NaN or infinity at one step."""

    def __init__(self, op: DenseOperator, step: int, sample: int, value: float) -> None:
        self.op, self.step, self.sample, self.value = op, step, sample, value
        self.batch, self.dim, self.dtype, self.device = op.batch, op.dim, op.dtype, op.device
        self.products = 0

    def matvec(self, v: Tensor) -> Tensor:
        return self.matmat(v[:, :, None])[:, :, 0]

    def matmat(self, V: Tensor) -> Tensor:
        out = self.op.matmat(V)
        if self.products <= self.step - 1 < self.products + V.shape[2]:
            out[self.sample, -1, self.step - 1 - self.products] = self.value
        self.products += V.shape[2]
        return out


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_product_names_sample_and_step(value: float) -> None:
    A = torch.stack([symmetric(torch.linspace(-1, 1, 20), seed=s) for s in range(3)])
    space = KrylovSpace(Poisoned(DenseOperator(A), 7, 2, value), 20)
    with pytest.raises(NonFiniteProductError, match=r"product 7 holds .* for sample\(s\) 2;") as caught:
        space.expand(20)
    assert caught.value.samples == [2]
    assert caught.value.step == 7


def test_products_of_another_shape_are_refused() -> None:
    op = DenseOperator(torch.eye(4)[None])
    op.matvec = lambda v: v[:, :2]
    with pytest.raises(ValueError, match=r"returned shape \(1, 2\) for an input of shape \(1, 4\)"):
        KrylovSpace(op, 3).expand(3)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (torch.zeros(2, 4), r"not zero, but is not in rows \[0, 1\]"),
        (torch.tensor([[1.0, 0, 0, 0], [float("nan"), 0, 0, 0]]), r"must be finite .* rows \[1\]"),
        (torch.ones(2, 3), r"shape \(B, d\) = \(2, 4\), got \(2, 3\)"),
        (torch.ones(4), r"shape \(B, d\) = \(2, 4\), got \(4,\)"),
    ],
)
def test_bad_start(start: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KrylovSpace(DenseOperator(torch.eye(4).expand(2, 4, 4)), 3, start=start)


def test_empty_batch() -> None:
    op = DenseOperator(torch.eye(4)[None])
    op.batch = 0
    with pytest.raises(ValueError, match="empty batch"):
        KrylovSpace(op, 3)


def test_general_matrix_helper_has_the_eigenvalues_it_says() -> None:
    values = torch.linalg.eigvals(general([1.0, 2 + 1j, -3.0]))
    expected = torch.tensor([-3, 1, 2 - 1j, 2 + 1j], dtype=torch.complex128)
    order = torch.argsort(values.real + 1e-3 * values.imag)
    torch.testing.assert_close(values[order], expected)
