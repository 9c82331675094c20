"""Trace estimators: their papers' algorithms, exact where they must be, unbiased with honest errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memlib.hessian import draw
from memlib.hessian.arguments import NonFiniteProductError
from memlib.hessian.operator import DenseOperator
from memlib.hessian.trace import METHODS, trace, trace_power
from memlib.hessian.xtrace import leave_one_out_traces
from memlib.sharpness import shifted_trace

from . import oracles
from .oracles import DEVICES, DTYPES, generator, symmetric

REPEATS = 400  # rows of a batch of equal matrices are independent repetitions
SIGMA = 0.1


def plain_or_shifted(op, budget, sigma, power=1, **options):
    """tr A^power as such, or by sigma^2 A + I."""
    if sigma is None:
        return trace_power(op, power, budget, **options)
    return shifted_trace(op, budget, sigma, power=power, **options)


def memorized(d: int = 80) -> Tensor:
    """All but ten eigenvalues within two per cent of -1 / sigma^2."""
    spread = torch.randn(d - 10, dtype=torch.float64, generator=generator(3))
    cluster = -(1 + 0.02 * spread) / SIGMA**2
    return symmetric(torch.cat([cluster, torch.linspace(-5, 1, 10, dtype=torch.float64)]))


MATRICES = {
    "memorized": memorized(),
    "flat": symmetric(torch.linspace(-3, 2, 80)),
    "decaying": symmetric(-(0.8 ** torch.arange(80))),
    "not symmetric": torch.randn(80, 80, dtype=torch.float64, generator=generator(4)),
}


@settings(max_examples=40, deadline=None)
@given(d=st.integers(2, 20), k=st.integers(2, 10), seed=st.integers(0, 10_000), rank=st.integers(1, 20))
def test_xtrace_equals_its_paper(d: int, k: int, seed: int, rank: int) -> None:
    """Each leave-one-out estimate, for general matrices of any rank above the sketch's."""
    k = min(k, d)
    source = generator(seed)
    A = torch.randn(d, d, dtype=torch.float64, generator=source)
    if rank >= k:
        A = A[:, : min(rank, d)] @ torch.randn(min(rank, d), d, dtype=torch.float64, generator=source)
    omega = draw.sphere(DenseOperator(A[None]), k, source)
    fast = leave_one_out_traces(DenseOperator(A[None]), omega)[0]
    plain, growth = oracles.xtrace(A, omega[0])
    rounding = 1e-15 * k * d * torch.linalg.cond(A @ omega[0]) * torch.linalg.matrix_norm(A) * growth
    torch.testing.assert_close(fast, plain, rtol=0, atol=float(rounding))


def test_hutchpp_equals_its_paper() -> None:
    A = MATRICES["not symmetric"]
    op = DenseOperator(A[None])
    found = trace(op, 30, method="hutch++", generator=generator(1))
    source = generator(1)
    S, G = draw.rademacher(op, 20, source)[0].split(10, dim=1)
    torch.testing.assert_close(found.value[0], oracles.hutchpp(A, S, G))
    assert found.products == op.products == 30


def test_hutchinson_is_the_mean_and_its_standard_error() -> None:
    A = MATRICES["flat"]
    op = DenseOperator(A[None])
    found = trace(op, 70, method="hutchinson", generator=generator(1))
    source = generator(1)
    forms = [v @ A @ v for count in (32, 32, 6) for v in draw.rademacher(op, count, source)[0].unbind(dim=1)]
    sample = torch.stack(forms)
    torch.testing.assert_close(found.value[0], sample.mean())
    torch.testing.assert_close(found.stderr[0], sample.std() / 70**0.5)
    assert found.products == 70


@pytest.mark.parametrize("sigma", [None, SIGMA])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MATRICES)
def test_unbiased_with_an_honest_standard_error(name: str, method: str, sigma: float | None) -> None:
    """400 repetitions: mean within four of its standard errors, and the stated error against the true one.

    XTrace's estimates are weakly dependent, so that its stated error is known to be low, by a third here.
    """
    A = MATRICES[name]
    op = DenseOperator(A.expand(REPEATS, 80, 80))
    found = plain_or_shifted(op, 30, sigma, method=method, generator=generator(11))
    error = found.value - A.trace()
    assert error.mean().abs() < 4 * error.std() / REPEATS**0.5
    true, stated = error.square().mean().sqrt(), found.stderr.square().mean().sqrt()
    assert 0.85 < true / stated < (1.6 if method == "xtrace" else 1.2)
    low, high = found.interval(0.95)
    covered = ((low <= A.trace()) & (A.trace() <= high)).double().mean()
    assert covered > (0.8 if method == "xtrace" else 0.9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["hutch++", "xtrace"])
def test_exact_for_low_rank(method: str, dtype: torch.dtype, device: str) -> None:
    A = symmetric(torch.cat([torch.zeros(40), torch.tensor([-4.0, 1.0, 2.0])])).to(dtype=dtype, device=device)
    found = trace(DenseOperator(A[None]), 18, method=method)
    tolerance = 200 * torch.finfo(dtype).eps
    assert (found.value + 1).abs() < tolerance
    assert found.stderr < tolerance
    assert found.value.dtype == torch.float64


@pytest.mark.parametrize("method", METHODS)
def test_zero_matrix_and_isolated_point_are_exact(method: str) -> None:
    """H = 0, and in shifted form H = -I / sigma^2, have nothing left to estimate."""
    zero = trace(DenseOperator(torch.zeros(2, 9, 9, dtype=torch.float64)), 12, method=method)
    assert zero.value.tolist() == zero.stderr.tolist() == [0, 0]
    sigma = torch.tensor([0.1, 2.0], dtype=torch.float64)
    H = -torch.eye(9, dtype=torch.float64) / sigma[:, None, None] ** 2
    isolated = shifted_trace(DenseOperator(H), 12, sigma, method=method)
    torch.testing.assert_close(isolated.value, -9 / sigma**2, rtol=1e-12, atol=0)
    assert (isolated.stderr <= 1e-12 / sigma**2).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_tiny_dimensions_with_a_large_budget(method: str, d: int) -> None:
    A = torch.randn(4, d, d, dtype=torch.float64, generator=generator(6))
    exact = A.diagonal(dim1=1, dim2=2).sum(dim=1)
    found = trace(DenseOperator(A), 60, method=method)
    if method == "hutchinson":
        assert ((found.value - exact).abs() <= 5 * found.stderr + 1e-12).all()
    else:
        torch.testing.assert_close(found.value, exact, rtol=1e-10, atol=1e-10)


def test_the_shift_pays_on_a_memorized_hessian() -> None:
    """At 30 products the shifted XTrace is more than five times as accurate as Hutchinson."""
    A = MATRICES["memorized"]

    def error(method: str, sigma: float | None) -> float:
        found = plain_or_shifted(DenseOperator(A.expand(REPEATS, 80, 80)), 30, sigma, method=method)
        return float((found.value - A.trace()).square().mean().sqrt())

    assert error("xtrace", SIGMA) < error("hutchinson", SIGMA) / 5
    assert error("xtrace", SIGMA) < error("xtrace", None) / 5


@pytest.mark.parametrize("method", METHODS)
def test_batch_of_one_is_the_first_row(method: str) -> None:
    A = torch.stack([MATRICES["flat"], MATRICES["memorized"]])
    both = trace(DenseOperator(A), 24, method=method, generator=generator(2))
    alone = trace(DenseOperator(A[:1]), 24, method=method, generator=generator(2))
    torch.testing.assert_close(both.value[0], alone.value[0])
    torch.testing.assert_close(both.stderr[0], alone.stderr[0])


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("hutchinson", {}),
        ("hutchinson", {"symmetric": True}),
        ("hutchinson", {"sigma": 0.7}),
        ("hutch++", {}),
        ("xtrace", {}),
        ("xtrace", {"sigma": 0.7}),
    ],
)
def test_powers(method: str, options: dict[str, object], power: int) -> None:
    A = symmetric(torch.linspace(-2, 1, 80))
    op = DenseOperator(A.expand(200, 80, 80))
    options = {"sigma": None} | options
    found = plain_or_shifted(op, 60, power=power, method=method, generator=generator(5), **options)
    error = found.value - torch.linalg.matrix_power(A, power).trace()
    assert error.mean().abs() < 4 * error.std() / 200**0.5
    true, stated = error.square().mean().sqrt(), found.stderr.square().mean().sqrt()
    assert 0.8 < true / stated < (1.6 if method == "xtrace" else 1.25)
    assert found.products == op.products <= 60


def test_a_split_power_costs_half() -> None:
    """v^T H^3 v from two products instead of three: half as many probes again for the same budget."""
    A = MATRICES["flat"].expand(REPEATS, 80, 80)
    split, plain = (DenseOperator(A) for _ in range(2))
    error = {}
    for name, op, symmetric_form in (("split", split, True), ("plain", plain, False)):
        found = trace_power(op, 3, 60, method="hutchinson", symmetric=symmetric_form)
        error[name] = float(found.stderr.square().mean().sqrt())
    assert split.products == plain.products == 60
    assert error["split"] / error["plain"] == pytest.approx((20 / 30) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 1, "method": "hutchinson"}, "budget must be at least 2, got 1"),
        ({"budget": 3, "method": "hutch++"}, "budget must be at least 4, got 3"),
        ({"budget": 3, "method": "xtrace"}, "budget must be at least 4, got 3"),
        ({"budget": 8, "method": "xnystrace"}, "choose one of 'hutchinson', 'hutch\\+\\+', 'xtrace'"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trace(DenseOperator(torch.eye(6).expand(2, 6, 6)), **options)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (0.0, "sigma must be greater than zero"),
        (torch.ones(3), "one number or one per sample \\(2\\)"),
        (float("nan"), "sigma must be finite"),
    ],
)
def test_bad_noise_levels(sigma: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shifted_trace(DenseOperator(torch.eye(6).expand(2, 6, 6)), 8, sigma)


def test_a_power_needs_a_larger_budget() -> None:
    with pytest.raises(ValueError, match="budget must be at least 12, got 11"):
        trace_power(DenseOperator(torch.eye(6)[None]), 3, 11, method="xtrace")


@pytest.mark.parametrize("method", METHODS)
def test_non_finite_product_names_the_sample(method: str) -> None:
    A = torch.eye(6, dtype=torch.float64).repeat(3, 1, 1)
    op = DenseOperator(A)
    A[1, 2, 3] = float("nan")
    with pytest.raises(NonFiniteProductError, match=r"product 1 holds NaN or infinity for sample\(s\) 1"):
        trace(op, 12, method=method)
