"""Lanczos: exactness, ghosts, both ends, restarts, convergence statements, counts, bad input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.printed import algorithm_1
from memlib.hessian.counting import count_above
from memlib.hessian.dense import dense
from memlib.hessian.density import density
from memlib.hessian.krylov import KrylovSpace
from memlib.hessian.lanczos import lanczos
from memlib.hessian.operator import DenseOperator
from memlib.sharpness import nonnegative_count

from .oracles import DEVICES, DTYPES, SPECTRA, clustered, generator, symmetric


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECTRA)
def test_all_eigenvalues_after_d_steps(name: str, dtype: torch.dtype, device: str) -> None:
    expected = SPECTRA[name].double().sort().values
    A = symmetric(expected).to(dtype=dtype, device=device)[None]
    d, eps, scale = A.shape[1], torch.finfo(dtype).eps, expected.abs().max()
    result = lanczos(DenseOperator(A), d + 5)
    assert result.steps == result.products == d
    assert result.complete
    assert result.converged.all()
    # The matrix itself, rounded to dtype, is off by eps * scale.
    assert (result.eigenvalues[0].cpu().double() - expected).abs().max() <= 20 * d**0.5 * eps * scale


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 1)), min_size=1, max_size=14),
    seed=st.integers(0, 10_000),
)
def test_all_eigenvalues_of_any_spectrum(values: list[float], seed: int) -> None:
    """Drawn from a grid, so that repetitions are common."""
    expected = torch.tensor(values, dtype=torch.float64).sort().values
    result = lanczos(
        DenseOperator(symmetric(expected, seed)[None]), len(values), generator=generator(seed + 1)
    )
    scale = expected.abs().max().clamp(min=1e-30)
    assert (result.eigenvalues[0] - expected).abs().max() <= 1e-13 * scale
    assert (result.residuals <= 1e-12 * scale).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_ghosts_where_one_pass_has_them(dtype: torch.dtype) -> None:
    """20 of 300 eigenvalues lie above -50; after 120 steps Algorithm 1 as printed counts more."""
    A = symmetric(clustered()).to(dtype)
    start = torch.randn(1, 300, dtype=torch.float64, generator=generator(1)).to(dtype)
    printed = torch.linalg.eigvals(algorithm_1(lambda v: A @ v, start[0], 120))
    assert (printed.real > -50).sum() > 25

    result = lanczos(DenseOperator(A[None]), 120, start=start)
    count = result.count_above(-50.0)
    assert count.value.tolist() == count.lower.tolist() == [20]
    assert count.settled.all()
    found = result.eigenvalues[0][result.eigenvalues[0] > -50].double().sort().values
    error = (found - clustered()[280:]).abs().max()
    assert error <= 100 * 20 * torch.finfo(dtype).eps


@pytest.mark.parametrize("which", ["most_negative", "largest", "largest_modulus"])
@pytest.mark.parametrize("restarted", [False, True])
def test_selected_end(which: str, restarted: bool) -> None:
    spectra = [torch.linspace(-3, 2, 90), torch.cat([torch.linspace(-1, 0.8, 88), torch.tensor([-4.0, 5.0])])]
    A = torch.stack([symmetric(s, seed=i) for i, s in enumerate(spectra)])
    keys = {"most_negative": lambda v: v, "largest": lambda v: -v, "largest_modulus": lambda v: -v.abs()}
    key = keys[which]
    result = lanczos(DenseOperator(A), 2000, k=4, which=which, max_basis=18 if restarted else None, tol=1e-9)
    assert result.converged.all()
    assert (result.restarts > 0) == restarted
    for row, spectrum in zip(result.eigenvalues, spectra, strict=True):
        expected = spectrum.double()[key(spectrum.double()).argsort()[:4]]
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-8)


def test_restart_bounds_the_basis_and_finds_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    A = torch.stack([symmetric(torch.linspace(-3, 2, 200), seed=s) for s in (1, 2)])
    sizes = []
    plain = KrylovSpace.expand
    monkeypatch.setattr(
        KrylovSpace, "expand", lambda self, n: (plain(self, n), sizes.append(self.basis.shape[1]))[0]
    )
    restarted = lanczos(DenseOperator(A), 5000, k=3, max_basis=16, tol=1e-9)
    assert set(sizes) == {17}
    assert restarted.basis_size == 17
    assert restarted.steps > 100
    assert restarted.steps == restarted.products
    full = lanczos(DenseOperator(A), 200, k=3)
    torch.testing.assert_close(restarted.eigenvalues, full.eigenvalues, rtol=0, atol=1e-12)


def test_smallest_possible_basis() -> None:
    A = symmetric(torch.linspace(-3, 2, 40))[None]
    result = lanczos(DenseOperator(A), 20_000, k=2, max_basis=4)
    assert result.converged.all()
    torch.testing.assert_close(
        result.eigenvalues[0], torch.linspace(-3, 2, 40)[:2].double(), atol=1e-6, rtol=0
    )


def test_step_limit_is_kept_and_unconverged_values_say_so() -> None:
    A = symmetric(torch.linspace(-3, 2, 300))[None]
    result = lanczos(DenseOperator(A), 23, k=8, max_basis=10, tol=1e-10)
    assert result.steps == result.products == 23
    assert not result.converged.all()
    assert (result.residuals > 1e-10 * 3)[~result.converged].all()


def test_residuals_are_those_of_the_vectors() -> None:
    A = torch.stack([symmetric(torch.linspace(-3, 2, 50), seed=s) for s in (1, 2)])
    for result in (
        lanczos(DenseOperator(A), 20, vectors=True),
        lanczos(DenseOperator(A), 60, k=3, max_basis=12, vectors=True),
    ):
        Y, theta = result.eigenvectors, result.eigenvalues
        k = theta.shape[1]
        torch.testing.assert_close(Y.mT @ Y, torch.eye(k).double().expand(2, k, k), rtol=0, atol=1e-13)
        residuals = torch.linalg.vector_norm(A @ Y - Y * theta[:, None], dim=1)
        torch.testing.assert_close(residuals, result.residuals, rtol=1e-8, atol=1e-13)
        spectrum = torch.linspace(-3, 2, 50).double()
        distance = (theta[..., None] - spectrum).abs().amin(dim=2)
        assert (distance <= result.residuals + 1e-13).all()


@pytest.mark.parametrize("restarted", [False, True])
def test_batch_of_one_is_a_row_of_the_batch(restarted: bool) -> None:
    names = ["indefinite", "indefinite", "indefinite"]
    A = torch.stack([symmetric(SPECTRA[n], seed=i) for i, n in enumerate(names)])
    A[1] = torch.diag(torch.tensor([1.0, 2.0] * 12))  # breaks down after two steps
    start = torch.randn(3, 24, dtype=torch.float64, generator=generator(5))
    options = {"k": 3, "max_basis": 9, "tol": 1e-14} if restarted else {}
    together = lanczos(DenseOperator(A), 20, start=start, **options)
    for i in (0, 2):
        alone = lanczos(DenseOperator(A[i : i + 1]), 20, start=start[i : i + 1], **options)
        torch.testing.assert_close(together.eigenvalues[i], alone.eigenvalues[0], rtol=0, atol=1e-13)
        torch.testing.assert_close(together.residuals[i], alone.residuals[0], rtol=1e-6, atol=1e-13)


def test_repeated_eigenvalues_are_found_after_breakdown() -> None:
    """A Krylov space sees one copy; the fresh directions find the others."""
    A = symmetric(SPECTRA["repeated"])[None]
    three = lanczos(DenseOperator(A), 3)
    torch.testing.assert_close(three.eigenvalues[0], torch.tensor([-2.0, 0.5, 3.0]).double())
    more = lanczos(DenseOperator(A), 6)
    torch.testing.assert_close(more.eigenvalues[0], torch.tensor([-2, -2, 0.5, 0.5, 3, 3]).double())
    assert more.breakdowns.tolist() == [2]


def test_float32_network_noise_does_not_hide_convergence() -> None:
    """Products rounded to float32 in a float64 basis: asymmetry is reported, values agree to float32."""
    A = symmetric(clustered()).float()
    op = DenseOperator(A[None])
    op.matvec = lambda v: (A @ v[0].float()).double()[None]
    op.dtype = torch.float64
    result = lanczos(op, 120)
    assert result.count_above(-50.0).value.tolist() == [20]
    assert result.count_above(-50.0).settled.all()
    assert 1e-9 < float(result.asymmetry) < 1e-6
    top = result.eigenvalues[0][-20:]
    assert (top - clustered()[280:]).abs().max() < 1e-4


def test_asymmetric_operator_is_seen_in_asymmetry_and_residuals() -> None:
    A = torch.randn(1, 30, 30, dtype=torch.float64, generator=generator(2))
    result = lanczos(DenseOperator(A), 30)
    exact = torch.linalg.matrix_norm(A - A.mT) / torch.linalg.matrix_norm(A)
    torch.testing.assert_close(result.asymmetry, exact)
    assert not result.converged.any()
    torch.testing.assert_close(result.eigenvalues, torch.linalg.eigvalsh((A + A.mT) / 2))


# -- counts ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(-6, 6), min_size=1, max_size=16),
    steps=st.integers(1, 16),
    threshold=st.sampled_from([-3.5, -1.0, 0.0, 0.5, 4.25]),
    seed=st.integers(0, 10_000),
)
def test_bounds_of_the_count_always_hold(values: list[int], steps: int, threshold: float, seed: int) -> None:
    spectrum = torch.tensor(values, dtype=torch.float64)
    result = lanczos(DenseOperator(symmetric(spectrum, seed)[None]), steps, generator=generator(seed))
    count = result.count_above(threshold)
    assert int(count.lower) <= int((spectrum > threshold).sum())
    assert int((spectrum >= threshold).sum()) <= int(count.upper)
    if steps >= len(values) and threshold not in values:
        assert count.exact.all()
    if count.settled.all() and threshold not in values and len(set(values)) == len(values):
        assert count.value.tolist() == [int((spectrum > threshold).sum())]


def test_count_from_either_end() -> None:
    """Four of 100 lie above 0, seen from above and from below, and five converged values settle it."""
    spectrum = torch.cat([torch.linspace(-3, -0.5, 96), torch.tensor([0.5, 0.6, 0.7, 0.8])])
    above, below = symmetric(spectrum)[None], -symmetric(spectrum)[None]
    top = lanczos(DenseOperator(above), 3000, k=6, which="largest", max_basis=20).count_above(0.0)
    assert (top.value.tolist(), top.settled.tolist()) == ([4], [True])
    bottom = lanczos(DenseOperator(below), 3000, k=6, which="most_negative", max_basis=20).count_above(0.0)
    assert (bottom.value.tolist(), bottom.settled.tolist()) == ([96], [True])
    wrong_end = lanczos(DenseOperator(above), 3000, k=3, which="most_negative", max_basis=20).count_above(0.0)
    assert not wrong_end.settled.any()


def test_unfinished_count_is_a_lower_bound_and_says_so() -> None:
    A = symmetric(torch.linspace(-1, 1, 200))[None]
    count = lanczos(DenseOperator(A), 15).count_above(0.001)
    assert not count.settled.any()
    assert int(count.lower) < 100 < int(count.upper)


def test_adaptive_count_stops_when_settled() -> None:
    A = torch.stack([symmetric(clustered(), seed=s) for s in (1, 2)])
    op = DenseOperator(A)
    count = count_above(op, -50.0, steps=300)
    assert count.value.tolist() == [20, 20]
    assert count.settled.all()
    assert op.products == count.steps == count.products < 80


def test_adaptive_count_with_a_threshold_per_sample() -> None:
    spectrum = torch.linspace(-1, 1, 40)
    A = torch.stack([symmetric(spectrum, seed=s) for s in (1, 2)])
    count = count_above(DenseOperator(A), torch.tensor([0.01, 0.9]), steps=40)
    assert count.value.tolist() == [int((spectrum > 0.01).sum()), int((spectrum > 0.9).sum())]
    assert count.settled.all()


def test_eigenvalues_at_the_threshold_are_left_between_the_bounds() -> None:
    count = lanczos(DenseOperator(symmetric(SPECTRA["low rank"])[None]), 28).count_above(0.0)
    assert (count.lower.tolist(), count.upper.tolist()) == ([2], [27])
    assert not count.exact.any()


MANY_ZEROS = torch.cat([torch.tensor([-1e4, 5.0, 1e-3]), torch.zeros(217)]).double()


def test_a_breakdown_proves_repeated_eigenvalues_so_that_only_meeting_bounds_settle_a_count() -> None:
    op = DenseOperator(symmetric(MANY_ZEROS)[None])
    count = count_above(op, -1e-9, steps=220)
    assert (count.value.tolist(), count.settled.tolist()) == ([219], [True])
    for early in (count_above(op, -1e-9, steps=60), lanczos(op, 60).count_above(-1e-9)):
        assert not early.settled.any()
        assert (early.value.tolist(), early.upper.tolist()) == ([59], [219])


def test_two_copies_without_a_breakdown_settle_nothing_either() -> None:
    """Rounding alone brings a second copy of a far eigenvalue, though no breakdown is noticed."""
    spectrum = torch.cat([torch.full((3,), 50.0), torch.linspace(-1, -0.5, 57)]).double()
    A = symmetric(spectrum)
    op = DenseOperator(A[None])
    op.matvec = lambda v: (A.float() @ v[0].float()).double()[
        None
    ]  # products in float32, the basis in float64
    found = lanczos(op, 40)
    assert found.breakdowns.tolist() == [0]
    assert int((found.eigenvalues > 40).sum()) > 1
    assert not found.count_above(10.0).settled.any()


def test_every_count_has_one_convention_and_zeros_are_not_negative() -> None:
    """`>=` up to rounding: the zeros of a singular matrix come out as +-1e-16, and count all the same."""
    spectrum = torch.tensor([-4.0, -1.0, 0, 0, 0, 0, 0, 2.0]).double()
    A = torch.stack([symmetric(spectrum, seed) for seed in range(6)])
    whole = dense(DenseOperator(A))
    assert (whole.eigenvalues < 0).sum(1).max() > 2  # so that comparing with 0 would be wrong
    for threshold, expected in ((0.0, 6), (2.0, 1), (-1.0, 7), (-4.0, 8), (2.1, 0)):
        assert whole.count_above(threshold).tolist() == [expected] * 6
        assert lanczos(DenseOperator(A), 8).count_above(threshold).value.tolist() == [expected] * 6
        assert count_above(DenseOperator(A), threshold, steps=8).value.tolist() == [expected] * 6
        sampled = density(DenseOperator(A), probes=3, steps=8).count_above(threshold)
        if expected in (0, 8):
            torch.testing.assert_close(sampled.value, torch.full((6,), float(expected)).double())
    assert nonnegative_count(whole.eigenvalues).tolist() == [6] * 6


def test_behind_copies_the_order_is_not_flagged_as_settled() -> None:
    """A fourfold extreme eigenvalue: three copies are found, and in the fourth place stands the next one.

    No breakdown is noticed: rounding has brought the copies.
    """
    spectrum = torch.cat([torch.full((4,), -10.0), torch.linspace(-3, 2, 28).repeat(2)]).double()
    found = lanczos(DenseOperator(symmetric(spectrum)[None]), 40, k=6)
    assert found.breakdowns.item() == 0
    assert found.eigenvalues[0, :3].tolist() == pytest.approx([-10.0] * 3)
    assert found.eigenvalues[0, 3].item() == pytest.approx(-3.0)
    assert found.residuals[0, 3] < 1e-9  # an eigenvalue, and in the wrong place
    assert found.converged.tolist() == [[True, True, True, False, False, False]]
    whole = lanczos(DenseOperator(symmetric(spectrum)[None]), 60, k=6)
    assert whole.eigenvalues[0].tolist() == pytest.approx([-10.0] * 4 + [-3.0] * 2)
    assert whole.converged.all()


def test_after_a_breakdown_only_the_first_copies_are_flagged() -> None:
    A = torch.diag(torch.tensor([-2.0] * 4 + [0.5] * 4 + [3.0] * 4).double())
    found = lanczos(DenseOperator(A[None]), 6)
    assert found.breakdowns.item() > 0
    assert found.eigenvalues[0].tolist() == pytest.approx([-2.0, -2.0, 0.5, 0.5, 3.0, 3.0])
    assert found.converged.tolist() == [[True, True, False, False, False, False]]


# -- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 2.5}, "steps must be an integer, got 2.5"),
        ({"steps": 4, "k": 0}, "k must be at least 1"),
        ({"steps": 9, "k": 7}, "k = 7 eigenvalues were asked for, but the operator has dimension 6"),
        ({"steps": 3, "k": 4}, "k = 4 eigenvalues need at least k steps, got steps = 3"),
        ({"steps": 6, "which": "smallest"}, "choose one of 'most_negative', 'largest', 'largest_modulus'"),
        ({"steps": 6, "max_basis": 4}, "say how many eigenvalues to keep with k"),
        ({"steps": 6, "k": 3, "max_basis": 4}, "max_basis must be at least 5, got 4"),
        ({"steps": 6, "tol": 0.0}, "tol must lie between 0 and 1"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lanczos(DenseOperator(torch.eye(6)[None]), **options)


@pytest.mark.parametrize("threshold", [torch.zeros(3), float("nan"), torch.zeros(2, 1)])
def test_bad_threshold(threshold: object) -> None:
    with pytest.raises(ValueError, match="threshold must be"):
        count_above(DenseOperator(torch.eye(4).expand(2, 4, 4)), threshold, steps=4)
