"""The whole spectrum of one sample: time and memory beside torch's ways to a Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.memory import alone
from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem, Sizes, build
from benchmarks.timing import Target, compare, difference, in_turn
from memlib import hessian

NAME = "spectrum"
OURS, PASSES = "dense", "as many forward passes, batched"
FUNCTIONAL = "torch.autograd.functional.jacobian"


def run(bench: Bench) -> list[Row]:
    """Every way in turn, then the memory of each in a process of its own."""
    sizes, problem = bench.sizes, bench.problem(samples=1)
    d = problem.x[0].numel()
    timed = in_turn(
        {name: partial(way, problem, sizes.chunk) for name, way in WAYS.items()},
        rounds=bench.few,
        warm_up=False,
        device=bench.device,
        say=bench.say,
    )
    memory = {}
    for name in WAYS:
        bench.say(f"memory of {name}")
        memory[name] = alone(prepared, name, sizes, bench.device, device=bench.device).megabytes
    targets = {PASSES: Target("at most", 1.3), FUNCTIONAL: Target("at least", 1.8)}
    rows = []
    for name in list(WAYS)[1:]:
        passes = name == PASSES
        row = compare(
            timed[OURS],
            timed[name],
            reads="times the time of" if passes else "times faster",
            target=targets.get(name),
            benchmark=NAME,
            what=f"Jacobian and its {d} eigenvalues",
            instead_of=name if passes else f"{name}, then eigvalsh",
            setting="one sample; per spectrum",
            agreement=None if passes else difference(timed[OURS].outcome, timed[name].outcome),
            megabytes=memory[OURS],
            megabytes_instead=memory[name],
        )
        rows.append(row)
    return rows


def _dense(problem: Problem, chunk: int) -> Tensor:
    with hessian.JacobianOperator(problem.score, problem.x, chunk_size=chunk) as op:
        return hessian.dense(op).eigenvalues[0]


def _passes(problem: Problem, chunk: int) -> Tensor:
    d = problem.x[0].numel()
    rows = problem.x.repeat_interleave(chunk, 0)
    with torch.no_grad():
        for first in range(0, d, chunk):
            last = problem.score(rows[: min(chunk, d - first)])
    return last


def _eigenvalues(matrix: Tensor) -> Tensor:
    d = round(matrix.numel() ** 0.5)
    J = matrix.detach().reshape(d, d).double()
    values: Tensor = torch.linalg.eigvalsh(0.5 * (J + J.mT))
    return values


def _functional(problem: Problem, _: int) -> Tensor:
    jacobian: Callable[..., Tensor] = torch.autograd.functional.jacobian
    return _eigenvalues(jacobian(problem.score, problem.x))


def _jacrev(problem: Problem, chunk: int) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no batching rule
        return _eigenvalues(torch.func.jacrev(problem.score, chunk_size=chunk)(problem.x))


def _jacfwd(problem: Problem, _: int) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        return _eigenvalues(torch.func.jacfwd(problem.score)(problem.x))


WAYS: dict[str, Callable[[Problem, int], Tensor]] = {
    OURS: _dense,
    PASSES: _passes,
    FUNCTIONAL: _functional,
    "torch.func.jacrev": _jacrev,
    "torch.func.jacfwd": _jacfwd,
}


def prepared(name: str, sizes: Sizes, device: str) -> Callable[[], Tensor]:
    """One way after a pass for warmth, for a process of its own."""
    problem = build(sizes.network, 1, sizes.time, device)
    with torch.no_grad():
        problem.score(problem.x)
    return partial(WAYS[name], problem, sizes.chunk)
