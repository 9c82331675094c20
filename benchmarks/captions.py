"""Krylov steps under many captions: in one batched call against one caption after the other."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.text_to_image import FIRST, Screening, screening
from benchmarks.timing import compare, difference, in_turn
from memlib import hessian

NAME = "captions"


def run(bench: Bench) -> list[Row]:
    """The most negative eigenvalues of the conditional Jacobian of every caption, at one shared noise."""
    sizes = bench.sizes
    some = screening(sizes.organism, sizes.captions, 1, bench.device)
    steps, wanted = sizes.caption_steps, sizes.wanted
    together, each = "one batched call", "one caption after the other"
    timed = in_turn(
        {
            together: partial(eigenvalues, some, some.texts, steps, wanted),
            each: partial(one_by_one, some, steps, wanted),
        },
        rounds=bench.few,
        warm_up=False,
        device=bench.device,
        say=bench.say,
        units=steps,
    )
    row = compare(
        timed[together],
        timed[each],
        benchmark=NAME,
        what=f"{sizes.captions} captions, {together}",
        instead_of=each,
        setting=f"Arnoldi on vjp, {steps} steps; per step of all captions",
        agreement=difference(timed[together].outcome, timed[each].outcome),
    )
    return [row]


def eigenvalues(some: Screening, texts: list[str], steps: int, wanted: int) -> Tensor:
    """Real parts `(P, wanted)` after the given steps; none converges to 1e-14, so that every step is made."""
    score = some.model.score(FIRST, some.model.encode(texts))
    with hessian.JacobianOperator(score, some.noise.repeat(len(texts), 1, 1, 1)) as op:
        start = torch.randn(1, op.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found = hessian.arnoldi(
            op,
            steps,
            k=wanted,
            which="most_negative",
            tol=1e-14,
            start=start.expand(len(texts), -1).to(op.device),
        )
    return found.eigenvalues.real


def one_by_one(some: Screening, steps: int, wanted: int) -> Tensor:
    """The same in a call for each caption."""
    return torch.cat([eigenvalues(some, [text], steps, wanted) for text in some.texts])
