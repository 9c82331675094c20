"""Share of a Krylov run that is spent inside the network: what is left for anything else to win."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

from torch import Tensor

from benchmarks import krylov
from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.timing import Target, clock, judged
from memlib.hessian.graph import Graph

NAME = "passes"


def run(bench: Bench) -> list[Row]:
    """Lanczos and Arnoldi, each with the passes through the network timed from within."""
    problem, steps = bench.problem(), bench.sizes.krylov_steps
    rows = []
    for method, product in krylov.KINDS:
        solve = partial(krylov.ours, problem, method, product, steps)
        shares = []
        for turn in range(bench.few):
            bench.say(f"{method} on {product}, round {turn + 1} of {bench.few}")
            inside: list[float] = []
            with _timed_passes(inside, bench.device):
                whole, _ = clock(solve, bench.device)
            shares.append(sum(inside) / whole)
        row = judged(
            shares,
            reads="share",
            target=Target("at least", 0.9),
            benchmark=NAME,
            what=f"network passes in {method} on {product}",
            instead_of="the whole run",
            setting=f"{steps} steps, {len(problem.x)} samples",
        )
        rows.append(row)
    return rows


def _timed_passes(inside: list[float], device: str) -> AbstractContextManager[Any]:
    """Within the context, the seconds of every build of a graph and every product enter `inside`."""
    build, product = Graph.__init__, Graph.product

    def timed_build(self: Graph, *arguments: Any, **options: Any) -> None:
        inside.append(clock(lambda: build(self, *arguments, **options), device)[0])

    def timed_product(self: Graph, *arguments: Any, **options: Any) -> Tensor:
        seconds, result = clock(lambda: product(self, *arguments, **options), device)
        inside.append(seconds)
        return result

    return patch.multiple(Graph, __init__=timed_build, product=timed_product)
