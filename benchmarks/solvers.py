"""A few eigenvalues of every sample: the batched solvers against one sample at a time, on the same products.

Both sides multiply by memlib's operator, so that the ratio is what batching and the solver are worth; the
`products` and `krylov` benchmarks say what the products are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, eigsh
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem
from benchmarks.timing import Timed, compare, in_turn
from memlib import hessian

NAME = "solvers"
TOLERANCE = 1e-5


def run(bench: Bench) -> list[Row]:
    """Lanczos against eigsh and lobpcg, Arnoldi against eigs."""
    sizes = bench.sizes
    problem = bench.problem(time=sizes.count_times[-1])
    calls: dict[str, Callable[[], Any]] = {
        "lanczos": partial(_ours, problem, bench, hessian.lanczos, "symmetric"),
        "scipy eigsh": partial(_scipy, problem, bench, eigsh, "symmetric", "LA"),
        "arnoldi": partial(_ours, problem, bench, hessian.arnoldi, "vjp"),
        "scipy eigs": partial(_scipy, problem, bench, eigs, "vjp", "LR"),
        "torch.lobpcg": partial(_lobpcg, problem, bench),
    }
    setting = f"{sizes.wanted} largest at t = {problem.time}, {sizes.samples} samples; per batch"
    timed = in_turn(calls, warm_up=False, rounds=bench.few, device=bench.device, say=bench.say)
    pairs = (("lanczos", "scipy eigsh"), ("arnoldi", "scipy eigs"), ("lanczos", "torch.lobpcg"))
    return [_row(problem, timed, ours, other, setting) for ours, other in pairs]


def _row(problem: Problem, timed: dict[str, Timed], ours: str, other: str, setting: str) -> Row:
    result, theirs = timed[ours].outcome, timed[other].outcome
    both = result.converged.cpu() & theirs[0].isfinite()
    largest = problem.truth.eigenvalues.abs().max().cpu()
    gap = (result.eigenvalues.real.cpu() - theirs[0]).abs()[both] / largest
    note = f"products per sample: {result.products} beside {theirs[1]}; converged {_share(result)}"
    return compare(
        timed[ours],
        timed[other],
        benchmark=NAME,
        what=f"{ours}, restarted",
        instead_of=other,
        setting=setting,
        agreement=float(gap.max()) if len(gap) else None,
        note=note + theirs[2],
    )


def _share(result: hessian.EigenResult) -> str:
    return f"{int(result.converged.sum())} of {result.converged.numel()}"


def _ours(
    problem: Problem, bench: Bench, solver: Callable[..., Any], product: hessian.Product
) -> hessian.EigenResult:
    sizes = bench.sizes
    with hessian.JacobianOperator(problem.score, problem.x, product=product) as op:
        result: hessian.EigenResult = solver(
            op, sizes.solver_steps, k=sizes.wanted, which="largest", max_basis=sizes.basis, tol=TOLERANCE
        )
    return result


def _scipy(
    problem: Problem, bench: Bench, solver: Callable[..., Any], product: hessian.Product, which: str
) -> tuple[Tensor, int, str]:
    """Largest eigenvalues `(B, k)`, products of the dearest sample, and what went wrong."""
    sizes, values, spent, failed = bench.sizes, [], 0, 0
    for index in range(len(problem.x)):
        score, x = problem.single(index)
        with hessian.JacobianOperator(score, x, product=product) as op:

            def multiply(v: np.ndarray, op: hessian.JacobianOperator = op) -> np.ndarray:
                vector = torch.from_numpy(np.ascontiguousarray(v)).reshape(1, -1).to(op.device)
                return op.matvec(vector)[0].cpu().numpy()

            linear = LinearOperator((op.dim, op.dim), matvec=multiply, dtype=np.float64)
            restarts = sizes.solver_steps // (sizes.basis - sizes.wanted) + 1
            try:
                found = solver(
                    linear,
                    sizes.wanted,
                    which=which,
                    ncv=sizes.basis,
                    maxiter=restarts,
                    tol=TOLERANCE,
                    v0=np.random.default_rng(index).standard_normal(op.dim),
                    return_eigenvectors=False,
                )
            except ArpackNoConvergence as error:
                found, failed = error.eigenvalues, failed + 1
            spent = max(spent, op.products)
        kept = np.full(sizes.wanted, np.nan)
        kept[: len(found)] = np.sort(found.real)[::-1]
        values.append(torch.from_numpy(kept))
    return torch.stack(values), spent, f"; {failed} samples failed in ARPACK" if failed else ""


def _lobpcg(problem: Problem, bench: Bench) -> tuple[Tensor, int, str]:
    """torch.lobpcg takes explicit matrices only, which cost d products first."""
    with hessian.JacobianOperator(problem.score, problem.x) as op:
        symmetric = hessian.dense(op).symmetric
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(*symmetric.shape[:2], bench.sizes.wanted, generator=generator, dtype=torch.float64)
    values = torch.lobpcg(symmetric, X=start.to(symmetric), largest=True, tol=TOLERANCE, niter=200)[0]
    return values.cpu(), symmetric.shape[1], " (lobpcg takes no products: explicit matrices)"
