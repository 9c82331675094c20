"""Arnoldi: exactness, conjugate pairs through restarts, residuals, agreement with Lanczos, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import schur
from torch import Tensor

from memlib.hessian.arnoldi import _diagonal_blocks, _wanted_subspace, arnoldi
from memlib.hessian.lanczos import lanczos
from memlib.hessian.operator import DenseOperator

from .oracles import DEVICES, DTYPES, SPECTRA, general, generator, symmetric


def matched(found: Tensor, expected: Tensor) -> float:
    """Largest distance from a found value to the nearest expected one."""
    return float((found[:, None] - expected).abs().amin(dim=1).max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_eigenvalues_after_d_steps(dtype: torch.dtype, device: str) -> None:
    expected = [-3.0, 2 + 1j, -0.5 + 4j, 0.25, 1.5]
    A = general(expected).to(dtype=dtype, device=device)[None]
    result = arnoldi(DenseOperator(A), 20)
    assert result.eigenvalues.shape == (1, 7)
    assert result.steps == 7
    assert result.eigenvalues.is_complex()
    exact = torch.tensor([-3, 2 + 1j, 2 - 1j, -0.5 + 4j, -0.5 - 4j, 0.25, 1.5], dtype=torch.complex128)
    eps = torch.finfo(dtype).eps
    assert matched(result.eigenvalues[0].cpu().to(torch.complex128), exact) <= 500 * eps
    assert matched(exact, result.eigenvalues[0].cpu().to(torch.complex128)) <= 500 * eps


@pytest.mark.parametrize("name", SPECTRA)
def test_symmetric_matrices_give_what_lanczos_gives(name: str) -> None:
    A = symmetric(SPECTRA[name])[None]
    start = torch.randn(1, A.shape[1], dtype=torch.float64, generator=generator(4))
    steps = max(1, A.shape[1] // 2)
    general_values = arnoldi(DenseOperator(A), steps, which="most_negative", start=start).eigenvalues
    symmetric_values = lanczos(DenseOperator(A), steps, start=start).eigenvalues
    scale = float(SPECTRA[name].abs().max())
    torch.testing.assert_close(general_values.real, symmetric_values, rtol=0, atol=1e-12 * scale)
    # Repeated values may split by the root of rounding.
    assert general_values.imag.abs().max() <= 1e-7 * scale


@pytest.mark.parametrize("which", ["most_negative", "largest", "largest_modulus"])
def test_restarted_values(which: str) -> None:
    A = torch.randn(3, 120, 120, dtype=torch.float64, generator=generator(8))
    exact = torch.linalg.eigvals(A)
    key = {
        "most_negative": lambda v: v.real,
        "largest": lambda v: -v.real,
        "largest_modulus": lambda v: -v.abs(),
    }[which]
    result = arnoldi(DenseOperator(A), 5000, k=6, which=which, max_basis=24, tol=1e-10)
    assert result.converged.all()
    assert result.restarts > 3
    assert result.basis_size == 25
    for found, all_values in zip(result.eigenvalues, exact, strict=True):
        wanted = all_values[key(all_values).argsort(stable=True)]
        torch.testing.assert_close(key(found), key(wanted[:6]), rtol=0, atol=1e-8)
        assert matched(found, wanted[:7]) < 1e-8


def test_purely_complex_spectrum_with_an_odd_basis() -> None:
    """Every value is half of a pair, so that some samples keep one column more than asked."""
    A = torch.stack(
        [
            general([complex(-0.1 * j, j) for j in range(1, 31)], condition=1.5, seed=1),
            general([*range(30), *(complex(0, j) for j in range(1, 16))], condition=1.5, seed=2),
        ]
    )
    exact = torch.linalg.eigvals(A)
    result = arnoldi(DenseOperator(A), 4000, k=5, max_basis=16, tol=1e-9)
    assert result.converged.all()
    for found, all_values in zip(result.eigenvalues, exact, strict=True):
        moduli = all_values.abs().sort(descending=True).values
        torch.testing.assert_close(found.abs(), moduli[:5], rtol=0, atol=1e-6)


def test_residuals_are_those_of_the_vectors() -> None:
    A = torch.randn(2, 40, 40, dtype=torch.float64, generator=generator(9))
    for result in (
        arnoldi(DenseOperator(A), 15, vectors=True),
        arnoldi(DenseOperator(A), 70, k=4, max_basis=12, tol=1e-12, vectors=True),
    ):
        Y, theta = result.eigenvectors, result.eigenvalues
        torch.testing.assert_close(torch.linalg.vector_norm(Y, dim=1), torch.ones(theta.shape).double())
        residuals = torch.linalg.vector_norm(A.to(Y.dtype) @ Y - Y * theta[:, None], dim=1)
        torch.testing.assert_close(residuals, result.residuals, rtol=1e-8, atol=1e-12)


def test_batch_of_one_is_a_row_of_the_batch() -> None:
    A = torch.randn(3, 30, 30, dtype=torch.float64, generator=generator(10))
    A[1] = torch.diag(torch.tensor([1.0, 2.0, 3.0] * 10))  # breaks down after every third step
    start = torch.randn(3, 30, dtype=torch.float64, generator=generator(5))
    together = arnoldi(DenseOperator(A), 12, start=start)
    assert together.breakdowns.tolist() == [0, 4, 0]
    for i in (0, 2):
        alone = arnoldi(DenseOperator(A[i : i + 1]), 12, start=start[i : i + 1])
        torch.testing.assert_close(together.eigenvalues[i], alone.eigenvalues[0], rtol=0, atol=1e-12)


def test_defective_and_nilpotent_matrices() -> None:
    """A Jordan block: eigenvalues are only good to the d-th root of rounding, restarts must survive it."""
    J = torch.diag(torch.ones(19, dtype=torch.float64), 1)
    assert arnoldi(DenseOperator(J[None]), 20).eigenvalues.abs().max() < 0.3
    restarted = arnoldi(DenseOperator((J - 2 * torch.eye(20))[None]), 60, k=2, max_basis=8)
    assert torch.isfinite(restarted.eigenvalues.abs()).all()
    assert (restarted.eigenvalues.abs() <= 3 + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(m=st.integers(3, 12), seed=st.integers(0, 10_000), data=st.data())
def test_wanted_subspace_is_invariant_and_holds_the_wanted_values(
    m: int, seed: int, data: st.DataObject
) -> None:
    keep = data.draw(st.integers(1, m - 2))
    which = data.draw(st.sampled_from(["most_negative", "largest", "largest_modulus"]))
    H = np.random.default_rng(seed).standard_normal((m, m))
    W = _wanted_subspace(H, which, keep)
    assert W.shape[1] in {keep, keep + 1}
    np.testing.assert_allclose(W.T @ W, np.eye(W.shape[1]), atol=1e-12)
    np.testing.assert_allclose(H @ W, W @ (W.T @ H @ W), atol=1e-9)
    every, kept = np.linalg.eigvals(H), np.linalg.eigvals(W.T @ H @ W)
    keys = {"most_negative": np.real, "largest": lambda v: -v.real, "largest_modulus": lambda v: -abs(v)}
    key = keys[which]
    np.testing.assert_allclose(np.sort(key(kept)), np.sort(key(every))[: len(kept)], atol=1e-9)


def test_blocks_of_a_schur_form() -> None:
    H = general([-3.0, 2 + 1j, 0.5]).numpy()
    T, _ = schur(H, output="real")
    values, blocks = _diagonal_blocks(T)
    assert sorted(stop - start for start, stop in blocks) == [1, 1, 2]
    np.testing.assert_allclose(
        sorted(values, key=lambda z: (z.real, z.imag)), [-3, 0.5, 2 - 1j, 2 + 1j], atol=1e-12
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 6, "which": "smallest"}, "choose one of"),
        ({"steps": 6, "k": 3, "max_basis": 4}, "max_basis must be at least 5, got 4"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arnoldi(DenseOperator(torch.eye(6)[None]), **options)


def test_counts_need_real_values() -> None:
    with pytest.raises(ValueError, match="counts need real eigenvalues"):
        arnoldi(DenseOperator(torch.eye(6)[None]), 3).count_above(0.0)
