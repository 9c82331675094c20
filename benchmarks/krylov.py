"""Krylov steps of a batch against the paper's Algorithm 1, one sample at a time; and what both count."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem
from benchmarks.timing import Target, clock, compare, in_turn, judged
from companion.printed import algorithm_1
from memlib import hessian
from memlib.hessian import EigenResult
from memlib.score import Score

NAME = "krylov"
PRINTED = "Algorithm 1 as printed"
KINDS: tuple[tuple[str, hessian.Product], ...] = (
    ("lanczos", "vjp"),
    ("lanczos", "symmetric"),
    ("arnoldi", "vjp"),
)


def run(bench: Bench) -> list[Row]:
    """Times of the same number of steps, then counts at several noise levels."""
    return _times(bench) + [row for time in bench.sizes.count_times for row in _counts(bench, time)]


def start_vectors(problem: Problem) -> Tensor:
    """The same starts for both sides, `(B, d)`."""
    shape, generator = (len(problem.x), problem.x[0].numel()), torch.Generator().manual_seed(2)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(problem.x.device)


def printed(problem: Problem, steps: int) -> list[Tensor]:
    """Ritz values of each sample by Algorithm 1: complex128 basis, a forward-mode product each step."""
    values = []
    for index, start in enumerate(start_vectors(problem)):
        score, x = problem.single(index)

        def product(v: Tensor, score: Score = score, x: Tensor = x) -> Tensor:
            result: Tensor = torch.func.jvp(score, (x,), (v.real.to(x).view_as(x),))[1]
            return result.flatten().to(v.dtype)

        with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            values.append(torch.linalg.eigvals(algorithm_1(product, start.to(torch.complex128), steps)))
    return values


def ours(problem: Problem, method: str, product: hessian.Product, steps: int) -> EigenResult:
    """The batch at once by memlib, the graph and its release included."""
    solver = hessian.lanczos if method == "lanczos" else hessian.arnoldi
    with hessian.JacobianOperator(problem.score, problem.x, product=product) as op:
        return solver(op, steps, which="most_negative", start=start_vectors(problem))


def _times(bench: Bench) -> list[Row]:
    problem, steps = bench.problem(), bench.sizes.krylov_steps
    timed = in_turn(
        {
            f"{method} on {product}": partial(ours, problem, method, product, steps)
            for method, product in KINDS
        }
        | {PRINTED: lambda: printed(problem, steps)},
        rounds=bench.few,
        warm_up=False,
        device=bench.device,
        say=bench.say,
        units=steps,
    )
    note = "two products a step; torch's second derivative of a convolution makes an unused gradient, too"
    rows = []
    for name, timing in list(timed.items())[:-1]:
        row = compare(
            timing,
            timed[PRINTED],
            target=Target("at least", 8),
            benchmark=NAME,
            what=name,
            instead_of=PRINTED,
            setting=f"{steps} steps, {len(problem.x)} samples; per step",
            agreement=_distance(timing.outcome, problem),
            note=note if name.endswith("symmetric") else "",
        )
        rows.append(row)
    return rows


def _distance(result: EigenResult, problem: Problem) -> float | None:
    """How far converged Ritz values are from an eigenvalue of the dense Jacobian, relative to the largest."""
    real = not result.eigenvalues.is_complex()
    exact = problem.truth.eigenvalues if real else problem.truth.general_eigenvalues()
    worst = [
        float((values[:, None] - truth).abs().amin(1).max() / truth.abs().max())
        for values, truth in zip(
            (v[c] for v, c in zip(result.eigenvalues, result.converged, strict=True)), exact, strict=True
        )
        if len(values)
    ]
    return max(worst, default=None)


def _counts(bench: Bench, time: int) -> list[Row]:
    """Counts above half-way after the fixed steps, and by `count_above`, which goes on until settled."""
    problem, steps = bench.problem(time=time), bench.sizes.krylov_steps
    threshold, setting = problem.threshold, f"t = {time}, {len(problem.x)} samples"
    bench.say(f"dense spectra at t = {time}")
    truth, seconds_dense = problem.timed_truth
    true = truth.count_above(threshold)

    bench.say(f"counts after {steps} steps at t = {time}")
    fixed = ours(problem, "lanczos", "symmetric", steps).count_above(threshold)
    by_paper = [
        _printed_count(J, start, steps, threshold)
        for J, start in zip(truth.matrices.mT, start_vectors(problem), strict=True)
    ]
    after_steps = judged(
        [_share(fixed.value == true)],
        reads="share",
        target=Target("at least", 1),
        benchmark=NAME,
        what=f"samples counted right after {steps} steps",
        instead_of="the dense spectrum",
        setting=setting,
        note=f"true {true.tolist()}; lanczos {fixed.value.tolist()}, of which {int(fixed.settled.sum())} "
        f"say they are settled; Algorithm 1 {by_paper}",
    )

    bench.say(f"count_above at t = {time}")
    with hessian.JacobianOperator(problem.score, problem.x, product="symmetric") as op:
        seconds, count = clock(lambda: hessian.count_above(op, threshold, steps=op.dim), bench.device)
    settled = judged(
        [_share(count.value == true)],
        reads="share",
        target=Target("at least", 1),
        benchmark=NAME,
        what=f"samples counted right by count_above, {count.steps} steps",
        instead_of="the dense spectrum",
        setting=f"{setting}; per batch",
        seconds=seconds,
        seconds_instead=seconds_dense,
    )
    return [after_steps, settled]


def _printed_count(J: Tensor, start: Tensor, steps: int, threshold: float) -> int:
    """What Algorithm 1 counts; on the explicit matrix, which spares the network."""
    H = algorithm_1(J.to(torch.complex128).mv, start.to(torch.complex128), steps)
    return int((torch.linalg.eigvals(H).real > threshold).sum())


def _share(right: Tensor) -> float:
    return float(right.double().mean())
