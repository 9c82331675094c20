"""A repeated product at one point, held against one forward pass on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem
from benchmarks.timing import Target, compare, difference, in_turn, repeated
from memlib import hessian

NAME = "products"
FORWARD = "a forward pass"
MOST = {"vjp": 1.2, "jvp": 1.5, "symmetric": 2.5}  # passes
TRUTHS = {"vjp": "torch.func.vjp, kept", "difference": "torch.func.jvp", "jvp": "torch.func.jvp"}


def run(bench: Bench) -> list[Row]:
    """Every kind of product, and what torch offers for the same."""
    problem, sizes = bench.problem(), bench.sizes
    generator = torch.Generator().manual_seed(1)
    shape = (sizes.samples, problem.x[0].numel(), sizes.directions)
    V = torch.randn(shape, generator=generator, dtype=torch.float64).to(bench.device)
    calls = {FORWARD: partial(forward, problem)} | _memlib(problem, V) | _torch(problem, V[:, :, 0])
    timed = in_turn(
        {name: repeated(call, 1 if name == "matmat" else sizes.inner) for name, call in calls.items()},
        rounds=2 * bench.rounds,
        device=bench.device,
        say=bench.say,
        units={name: sizes.directions if name == "matmat" else sizes.inner for name in calls},
    )
    rows = []
    for name in list(timed)[1:]:
        row = compare(
            timed[name],
            timed[FORWARD],
            reads="times the time of",
            target=Target("at most", MOST[name]) if name in MOST else None,
            benchmark=NAME,
            what=_label(name, sizes.directions),
            instead_of=FORWARD,
            setting=f"batch of {sizes.samples}; per product",
            agreement=_agreement(name, {key: value.outcome for key, value in timed.items()}),
        )
        rows.append(row)
    return rows


def forward(problem: Problem) -> Tensor:
    """One pass without gradients."""
    with torch.no_grad():
        return problem.score(problem.x)


def jvp(problem: Problem, v: Tensor) -> Tensor:
    """J v by forward-mode differentiation, which has no rule for fused attention."""
    direction = v.to(problem.x).view_as(problem.x)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        product: Tensor = torch.func.jvp(problem.score, (problem.x,), (direction,))[1]
    return product.flatten(1)


def _memlib(problem: Problem, V: Tensor) -> dict[str, Callable[[], Any]]:
    def operator(product: hessian.Product) -> hessian.JacobianOperator:
        return hessian.JacobianOperator(problem.score, problem.x, product=product)

    calls: dict[str, Callable[[], Any]] = {
        kind: partial(operator(kind).matvec, V[:, :, 0]) for kind in get_args(hessian.Product)
    }
    return calls | {"matmat": partial(operator("vjp").matmat, V)}


def _torch(problem: Problem, v: Tensor) -> dict[str, Callable[[], Any]]:
    rows = v.to(problem.x).view_as(problem.x)
    twice: Callable[..., Any] = torch.autograd.functional.jvp
    kept = torch.func.vjp(problem.score, problem.x)[1]
    return {
        "torch.func.jvp": lambda: jvp(problem, v),
        "torch.func.vjp": lambda: torch.func.vjp(problem.score, problem.x)[1](rows)[0].flatten(1),
        "torch.func.vjp, kept": lambda: kept(rows)[0].flatten(1),
        "torch.autograd.functional.jvp": lambda: twice(problem.score, problem.x, rows)[1].flatten(1),
    }


def _label(name: str, directions: int) -> str:
    if name.startswith("torch"):
        return name
    return f"{directions} directions at once, vjp" if name == "matmat" else f"one product, {name}"


def _agreement(name: str, outcomes: dict[str, Tensor]) -> float | None:
    if name == "symmetric":
        mean = 0.5 * (outcomes["torch.func.jvp"] + outcomes["torch.func.vjp, kept"])
        return difference(outcomes[name], mean)
    if name == "matmat":
        return difference(outcomes[name][:, :, 0], outcomes["torch.func.vjp, kept"])
    return difference(outcomes[name], outcomes[TRUTHS[name]]) if name in TRUTHS else None
