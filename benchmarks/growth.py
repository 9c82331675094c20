"""How time grows with samples and steps: exponents of a power law; and what a restarted basis holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.rows import Row
from benchmarks.setting import Bench, Problem
from benchmarks.timing import Target, Timed, in_turn, judged
from memlib import hessian

NAME = "growth"
LINEAR = Target("at most", 1.1)


def run(bench: Bench) -> list[Row]:
    """Arnoldi on vjp: against samples, against steps, and against steps with a bounded basis."""
    sizes, problem = bench.sizes, bench.problem()
    middle = sizes.growth_steps[len(sizes.growth_steps) // 2]
    by_samples = _timed(
        bench,
        {n: partial(_arnoldi, bench.problem(samples=n), middle) for n in sizes.growth_samples},
    )
    by_steps = _timed(bench, {m: partial(_arnoldi, problem, m) for m in sizes.growth_steps})
    basis = sizes.growth_steps[0] if len(sizes.growth_steps) < 3 else sizes.growth_steps[1]
    bounded = _timed(
        bench,
        {m: partial(_arnoldi, problem, m, basis, sizes.wanted) for m in sizes.growth_steps if m >= basis},
    )
    return [
        _row(by_samples, "time against samples", f"{middle} steps"),
        _row(by_steps, "time against steps", f"{len(problem.x)} samples, no restart"),
        _row(bounded, "time against steps, restarted", f"{len(problem.x)} samples, basis of {basis}"),
        _memory(problem, bounded, basis),
    ]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds against log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _timed(bench: Bench, calls: dict[int, Callable[[], hessian.EigenResult]]) -> dict[int, Timed]:
    named = {str(size): call for size, call in calls.items()}
    timed = in_turn(named, rounds=bench.few, device=bench.device, say=bench.say)
    return {int(name): timing for name, timing in timed.items()}


def _arnoldi(
    problem: Problem, steps: int, basis: int | None = None, k: int | None = None
) -> hessian.EigenResult:
    with hessian.JacobianOperator(problem.score, problem.x) as op:
        # No value converges to 1e-14, so that every step is made.
        return hessian.arnoldi(op, steps, k=k, max_basis=basis, tol=1e-14)


def _row(timed: dict[int, Timed], what: str, setting: str) -> Row:
    sizes = list(timed)
    rounds = zip(*(t.seconds for t in timed.values()), strict=True)
    seconds = ", ".join(f"{n}: {t.median:.3f} s" for n, t in timed.items())
    return judged(
        [exponent(sizes, turn) for turn in rounds],
        reads="exponent",
        target=LINEAR,
        benchmark=NAME,
        what=what,
        instead_of="linear growth",
        setting=setting,
        note=seconds,
    )


def _memory(problem: Problem, bounded: dict[int, Timed], basis: int) -> Row:
    """Vectors held by the shortest and the longest restarted run."""
    first, last = (timed.outcome for timed in (bounded[min(bounded)], bounded[max(bounded)]))
    held = [result.basis_size * problem.x.numel() * 8 / 2**20 for result in (first, last)]
    return judged(
        [held[0] / held[1]],
        reads="times smaller",
        target=Target("at least", 1),
        benchmark=NAME,
        what=f"basis after {last.steps} steps, restarted",
        instead_of=f"basis after {first.steps} steps",
        setting=f"{len(problem.x)} samples, basis of {basis}",
        megabytes=held[1],
        megabytes_instead=held[0],
        note=f"{last.restarts} restarts",
    )
