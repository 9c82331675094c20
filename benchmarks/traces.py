"""Error of the trace estimators at equal products, on one memorized and one general Hessian.

The truth is dense, so that nothing is timed: the estimators run on explicit matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.setting import Bench
from benchmarks.timing import Target, judged
from memlib import hessian, sharpness

NAME = "traces"
METHODS = {
    "Hutch++, raw": ("hutch++", False),
    "Hutch++, shifted": ("hutch++", True),
    "XTrace, raw": ("xtrace", False),
    "XTrace, shifted": ("xtrace", True),
}
BOOTSTRAP = 200


def run(bench: Bench) -> list[Row]:
    """Hutchinson's error over that of each other estimator, and why it is what it is."""
    problem, rows = bench.problem(), []
    for kind, index in (("memorized", 0), ("general", len(problem.x) - 1)):
        bench.say(f"traces of the {kind} Hessian")
        matrix = problem.truth.matrices[index].cpu()
        rows += [
            *_estimators(kind, matrix, problem.score.sigma, bench),
            _reason(kind, matrix, problem.score.sigma, bench),
        ]
    return rows


def _estimators(kind: str, matrix: Tensor, sigma: float, bench: Bench) -> list[Row]:
    sizes, rows = bench.sizes, []
    plain = _errors(matrix, "hutchinson", None, bench)
    for label, (method, shifted) in METHODS.items():
        errors = _errors(matrix, method, sigma if shifted else None, bench)
        row = judged(
            _ratio_and_ends(plain, errors),
            reads="times smaller",
            target=Target("at least", 5),
            benchmark=NAME,
            what=f"error of {label}",
            instead_of="error of Hutchinson",
            setting=f"{kind}, {sizes.budget} products, {sizes.repetitions} repetitions",
            note=f"rms of tr sigma^2 H: {_rms(errors) * sigma**2:.3g} and {_rms(plain) * sigma**2:.3g}",
        )
        rows.append(row)
    return rows


def _errors(matrix: Tensor, method: str, sigma: float | None, bench: Bench) -> Tensor:
    """Errors of independent repetitions, `(repetitions,)`."""
    op = hessian.DenseOperator(matrix.expand(bench.sizes.repetitions, -1, -1))
    generator = torch.Generator().manual_seed(4)
    budget = bench.sizes.budget
    if sigma is None:
        estimate = hessian.trace(op, budget, method=method, generator=generator)
    else:
        estimate = sharpness.shifted_trace(op, budget, sigma, method=method, generator=generator)
    return estimate.value - matrix.trace()


def _rms(errors: Tensor) -> float:
    return float(errors.square().mean().sqrt())


def _ratio_and_ends(plain: Tensor, errors: Tensor) -> list[float]:
    """Ratio of the root mean squares with the ends of its 95 % bootstrap interval."""
    generator = torch.Generator().manual_seed(5)
    draws = torch.randint(len(errors), (2, BOOTSTRAP, len(errors)), generator=generator)
    ratios = (plain[draws[0]].square().mean(1) / errors[draws[1]].square().mean(1)).sqrt().sort().values
    edge = round(0.025 * BOOTSTRAP)
    return [float(ratios[edge]), _rms(plain) / _rms(errors), float(ratios[-1 - edge])]


def _reason(kind: str, matrix: Tensor, sigma: float, bench: Bench) -> Row:
    """How much of the off-diagonal norm, which is all that signs see, outlives the best deflation there is.

    The error of n signs is sqrt(2 / n) times that norm. With a third of the products left for it, what
    Hutch++ misses must shrink to 1 / (5 sqrt(3)) for a fifth of Hutchinson's error.
    """
    eye, rank = torch.eye(len(matrix), dtype=matrix.dtype), bench.sizes.budget // 3
    shifted = sigma**2 * 0.5 * (matrix + matrix.T) + eye
    values, vectors = torch.linalg.eigh(shifted)
    best = vectors[:, values.abs().argsort(descending=True)[:rank]]
    projector = eye - best @ best.T
    return judged(
        [float(_off_diagonal(projector @ shifted @ projector) / _off_diagonal(shifted))],
        reads="share",
        target=Target("at most", round(1 / (5 * 3**0.5), 3)),
        benchmark=NAME,
        what=f"off-diagonal norm without the {rank} best directions",
        instead_of="the whole off-diagonal norm",
        setting=f"{kind}, directions known for free",
        note="signs see only this norm; a fifth of the error needs the target. Deflation moves some of "
        "the diagonal, which signs do not see, off the diagonal",
    )


def _off_diagonal(matrix: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.matrix_norm(matrix - torch.diag(matrix.diagonal()))
    return norm
