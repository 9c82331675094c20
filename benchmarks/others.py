"""Packages of the extra `compare` where they can do the same work: a trace from equal products, each sample.

curvlinops and skerch treat one operator at a time and know parameters or matrices, not the inputs of a
network; both accept an operator of one's own, and get memlib's. Neither has an eigensolver for it: curvlinops
refers to SciPy, whose rows are in `solvers`, and skerch sketches low rank, which a score Hessian has not.
matfree works on functions of JAX and cannot differentiate a torch network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem
from benchmarks.timing import Timed, compare, in_turn
from memlib import hessian

NAME = "others"
OURS = "trace by XTrace, batched"


def run(bench: Bench) -> list[Row]:
    """XTrace of curvlinops and skerch; a line for what is absent or cannot be compared."""
    problem, budget = bench.problem(), bench.sizes.budget
    setting = f"{budget} products, {len(problem.x)} samples; per batch"
    present = {name: each for name, each in OTHERS.items() if find_spec(name)}
    calls: dict[str, Callable[[], Tensor]] = {OURS: lambda: _ours(problem, budget)}
    for name, each in present.items():
        calls[name] = partial(_one_at_a_time, problem, budget, each)
    timed = in_turn(calls, rounds=bench.few, device=bench.device, say=bench.say)
    rows = [_row(problem, timed[OURS], timed[name], name, setting) for name in present]
    rows += [_blank(name, "not installed", setting) for name in OTHERS if name not in present]
    return [*rows, _blank("matfree", _matfree(), setting)]


def _row(problem: Problem, ours: Timed, theirs: Timed, name: str, setting: str) -> Row:
    true = problem.truth.matrices.diagonal(dim1=1, dim2=2).sum(1).cpu()
    error = [float(((t.outcome - true) / true).abs().max()) for t in (ours, theirs)]
    return compare(
        ours,
        theirs,
        benchmark=NAME,
        what=OURS,
        instead_of=f"{name}'s XTrace, one sample at a time",
        setting=setting,
        agreement=float(((ours.outcome - theirs.outcome) / true).abs().max()),
        note=f"largest relative error {error[0]:.1e} beside {error[1]:.1e}; memlib alone states its error",
    )


def _blank(name: str, note: str, setting: str) -> Row:
    return Row(benchmark=NAME, what=OURS, instead_of=name, setting=setting, note=note)


def _matfree() -> str:
    reason = "works on functions of JAX, not on a torch network"
    return reason if find_spec("matfree") else f"not installed; {reason}"


def _ours(problem: Problem, budget: int) -> Tensor:
    with hessian.JacobianOperator(problem.score, problem.x, product="symmetric") as op:
        return hessian.trace(op, budget).value.cpu()


def _one_at_a_time(
    problem: Problem, budget: int, each: Callable[[hessian.JacobianOperator, int], Tensor]
) -> Tensor:
    values = []
    for index in range(len(problem.x)):
        score, x = problem.single(index)
        with hessian.JacobianOperator(score, x, product="symmetric") as op:
            values.append(each(op, budget).cpu())
    return torch.stack(values)


def _curvlinops(op: hessian.JacobianOperator, budget: int) -> Tensor:
    import curvlinops  # type: ignore[import-untyped]
    from curvlinops._torch_base import PyTorchLinearOperator  # type: ignore[import-untyped]

    class Wrapped(PyTorchLinearOperator):  # type: ignore[misc]  # no type information
        device, dtype = op.device, op.dtype

        def __init__(self) -> None:
            super().__init__([(op.dim,)], [(op.dim,)])

        def _matmat(self, X: list[Tensor]) -> list[Tensor]:
            return [op.matmat(X[0][None])[0]]

    with torch.random.fork_rng():  # it draws from the global generator
        torch.manual_seed(0)
        trace: Tensor = curvlinops.xtrace(Wrapped(), budget)
    return trace


def _skerch(op: hessian.JacobianOperator, budget: int) -> Tensor:
    from skerch.algorithms import xhutchpp  # type: ignore[import-untyped]
    from skerch.linops import BaseLinOp  # type: ignore[import-untyped]

    class Wrapped(BaseLinOp):  # type: ignore[misc]  # no type information
        def matmul(self, x: Tensor) -> Tensor:
            return op.matmat(x[None])[0]

        def rmatmul(self, x: Tensor) -> Tensor:
            return self.matmul(x.mT).mT  # the operator is symmetric

    found = xhutchpp(
        Wrapped((op.dim, op.dim)), op.device, op.dtype, x_dims=budget // 2, gh_meas=0, return_diag=False
    )
    trace: Tensor = found["tr"]
    return trace


OTHERS: dict[str, Callable[[hessian.JacobianOperator, int], Tensor]] = {
    "curvlinops": _curvlinops,
    "skerch": _skerch,
}
