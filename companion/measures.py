"""What chapters measure of a class-conditional network, image by image: its score and its Jacobian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import mse_loss

from companion.fitting import score_matching_errors
from memlib import copies, hessian, intervals, sharpness
from memlib.hessian import JacobianOperator, lanczos, trace, trace_power
from memlib.networks import DiffusionModel
from memlib.score import Score, score_at
from memlib.sharpness import norms
from memlib.sharpness.dimension import flipd_from_trace

TITLES = {
    "score_norm": r"$\|s\|\,\sigma$",
    "tr_h": r"$-\mathrm{tr}\,H\,\sigma^2$",
    "count": "eigenvalues $\\geq 0$",
    "local_dimension": "local dimension",
    "flipd": "FLIPD",
    "norm_of_hs": r"$\|Hs\|\,\sigma^3$",
    "training_set": "ratio test, with the training set",
}
"""Statistics of an unconditional score, and the test that has the training set, as titles of figures."""
WORDS = TITLES | {
    "score_norm": "‖s‖ σ",
    "tr_h": "−tr H σ²",
    "count": "eigenvalues ≥ 0",
    "norm_of_hs": "‖Hs‖ σ³",
}
"""The same for tables, which set no formulas."""
SIGNS = {"score_norm": 1, "tr_h": 1, "count": -1, "local_dimension": -1, "flipd": -1, "norm_of_hs": 1}
"""The sign with which theory expects a copy to have the larger statistic."""


def noised(
    images: Float[Tensor, "B C H W"], model: DiffusionModel, t: int, seed: int
) -> Float[Tensor, "B C H W"]:
    """The images at time index t, under noise that depends on the seed alone."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images.device)
    return model.schedule.alpha(t).item() * images + model.schedule.sigma(t).item() * noise


def traces_and_norms(
    model: DiffusionModel, label: int, x: Float[Tensor, "B C H W"], t: int, probes: int
) -> dict[str, Float[Tensor, " B"]]:
    """Traces of the Hessian and of its cube, and the squared norms that stand for them on Gaussians.

    Args:
        model: the network with its schedule.
        label: condition of all points.
        x: points at time index t.
        t: time index.
        probes: random directions behind each trace, the same with the condition and without it.

    Returns:
        On the CPU, in units of sigma, in which an isolated point has the dimension everywhere: `-tr H`,
        `norm of s`, `-tr H^3`, `norm of Hs`, and `-tr H without condition`.
    """
    sigma = model.schedule.sigma(t).item()
    with JacobianOperator(score_at(model, t, label), x) as H, JacobianOperator(score_at(model, t), x) as U:
        found = {
            "-tr H": -trace(H, probes).value * sigma**2,
            "norm of s": H.value.square().sum(1) * sigma**2,
            "-tr H^3": -trace_power(H, 3, 2 * probes, symmetric=True).value * sigma**6,
            "norm of Hs": H.matvec(H.value).square().sum(1) * sigma**6,
            "-tr H without condition": -trace(U, probes).value * sigma**2,
        }
    return {name: values.cpu() for name, values in found.items()}


def radial(
    model: DiffusionModel, label: int, x: Float[Tensor, "B C H W"], t: int
) -> tuple[Float64[Tensor, " B"], Float64[Tensor, " B"]]:
    """How much of the score lies along the top eigenvector, and the curvature along x itself.

    Returns:
        On the CPU: the share of ||s||^2 along the eigenvector of the largest eigenvalue, found by 40 steps of
        Lanczos, and the second derivative of the log density along x in units of 1 / sigma^2.
    """
    score = score_at(model, t, label)
    with JacobianOperator(score, x, product="symmetric") as H:
        vectors = lanczos(H, 40, k=1, which="largest", vectors=True).eigenvectors
        top = vectors[:, :, 0]  # type: ignore[index]  # asked for
        share = (top * H.value).sum(1).square() / H.value.square().sum(1)
        direction = torch.nn.functional.normalize(x.flatten(1).double(), dim=1)
        curvature = (direction * H.matvec(direction)).sum(1) * score.sigma**2
    return share.cpu(), curvature.cpu()


def losses(
    model: DiffusionModel, images: Float[Tensor, "B C H W"], label: int, t: int, *, probes: int, seed: int
) -> dict[str, Float[Tensor, " B"]]:
    """Both score-matching losses on every image at time index t, and the Jacobian there.

    Args:
        model: the network with its schedule.
        images: clean ones, in the range that the network was trained on.
        label: condition of all of them.
        t: time index.
        probes: random directions behind each mean eigenvalue.
        seed: of the noise and the directions of the losses.

    Returns:
        On the CPU: `first_loss` and `second_loss` as `score_matching_errors` defines them, `asymmetry`
        relative to the norm of the Jacobian, and `mean_eigenvalue` in units of 1 / sigma^2.
    """
    first, second = score_matching_errors(
        model.network, model.schedule, images, label, t, torch.Generator().manual_seed(seed)
    )
    with JacobianOperator(score_at(model, t, label), noised(images, model, t, seed)) as jacobian:
        asymmetry = jacobian.asymmetry(8).ratio
        mean = trace(jacobian, probes).value * model.schedule.sigma(t).item() ** 2 / jacobian.dim
    found = {"first_loss": first, "second_loss": second, "asymmetry": asymmetry, "mean_eigenvalue": mean}
    return {name: values.detach().cpu() for name, values in found.items()}


def unconditional(
    model: DiffusionModel,
    x: Float[Tensor, "B C H W"],
    t: int,
    probes: int,
    steps: int,
    generator: torch.Generator,
) -> dict[str, Float64[Tensor, " B"]]:
    """The statistics of `SIGNS` at points without a condition, on the CPU, see `estimates`."""
    found = estimates(score_at(model, t), x, probes=probes, steps=steps, generator=generator)
    named = {
        "score_norm": found.score_norm,
        "tr_h": found.sharpness,
        "count": found.nonnegative_count,
        "local_dimension": found.local_dimension,
        "flipd": found.flipd,
        "norm_of_hs": found.hessian_score_norm,
    }
    return {name: values.cpu() for name, values in named.items()}


@dataclass(frozen=True, eq=False)
class Estimates:
    """Statistics of B points from the same few products, in units of sigma; each `(B,)` float64.

    Attributes:
        score_norm: sigma ||s||.
        sharpness: -sigma^2 tr H; d at an isolated point.
        nonnegative_count: number of eigenvalues that are not negative. A few Lanczos steps rank points; they
            do not give the exact number.
        local_dimension: by the spectral filter of Osada (2026).
        flipd: FLIPD of Kamkari et al. (2024), made for points without noise.
        hessian_score_norm: sigma^3 ||H s||.
    """

    score_norm: Float64[Tensor, " B"]
    sharpness: Float64[Tensor, " B"]
    nonnegative_count: Float64[Tensor, " B"]
    local_dimension: Float64[Tensor, " B"]
    flipd: Float64[Tensor, " B"]
    hessian_score_norm: Float64[Tensor, " B"]


def estimates(
    score: Score,
    x: Float[Tensor, "B ..."],
    *,
    probes: int,
    steps: int,
    generator: torch.Generator | None = None,
) -> Estimates:
    """Every statistic at once, from `probes * steps + 1` products with the transpose at each point.

    Args:
        score: at the noise level of `x`.
        x: points, `(B, *sample_shape)`, finite.
        probes: random directions of `memlib.hessian.density`.
        steps: the number of Lanczos steps from each direction.
        generator: draws the directions; None takes seed 0.
    """
    sigma = score.sigma
    with JacobianOperator(score, x) as op:
        spectrum = hessian.density(op, probes=probes, steps=steps, generator=generator)
        s, product = op.value, op.matvec(op.value)
    trace, norm = spectrum.trace_of(lambda values: values), norms.of_score(s)
    return Estimates(
        score_norm=norm * sigma,
        sharpness=-trace.value * sigma**2,
        nonnegative_count=spectrum.count_above(0.0).value,
        local_dimension=sharpness.estimated_dimension(spectrum, sigma).value,
        flipd=flipd_from_trace(trace, norm, sigma, op.dim).value,
        hessian_score_norm=norms.of_product(product) * sigma**3,
    )


@dataclass(frozen=True, eq=False)
class ConditionalEstimates:
    """Statistics of B points under a condition, in units of sigma; each `(B,)` float64.

    Attributes:
        sharpness: -sigma^2 tr H / d of the conditional score; 1 at an isolated point.
        difference_norm: sigma ||s_Delta||.
        curvature_gain: sigma^3 ||H_Delta s_Delta||.
    """

    sharpness: Float64[Tensor, " B"]
    difference_norm: Float64[Tensor, " B"]
    curvature_gain: Float64[Tensor, " B"]


def conditional_estimates(
    conditional: Score,
    unconditional: Score,
    x: Float[Tensor, "B ..."],
    *,
    probes: int,
    generator: torch.Generator | None = None,
) -> ConditionalEstimates:
    """Sharpness by Hutchinson's estimator, and both norms of the difference by a forward difference.

    Args:
        conditional: at the noise level of `x`.
        unconditional: at the same.
        x: points.
        probes: random directions of the trace, products with the transpose.
        generator: draws the directions; None takes seed 0.
    """
    sigma = conditional.sigma
    with JacobianOperator(conditional - unconditional, x, product="difference") as difference:
        s, product = difference.value, difference.matvec(difference.value)
    # The conditional score has passed the check of rows as a part of the difference.
    with JacobianOperator(conditional, x, check=False) as jacobian:
        trace = hessian.trace(jacobian, probes, generator=generator)
    return ConditionalEstimates(
        sharpness=-(sigma**2) * trace.value / jacobian.dim,
        difference_norm=sigma * norms.of_score(s),
        curvature_gain=sigma**3 * norms.of_product(product),
    )


def conditional(
    model: DiffusionModel,
    labels: Int64[Tensor, " B"],
    x: Float[Tensor, "B C H W"],
    t: int,
    probes: int,
    generator: torch.Generator,
) -> dict[str, Float64[Tensor, " B"]]:
    """Sharpness and both norms of the score difference, see `conditional_estimates`.

    Returns:
        On the CPU, in units of sigma: `sharpness` from `probes` random directions, `difference`, the norm of
        the score difference, and `gain`, the paper's statistic.
    """
    found = conditional_estimates(
        score_at(model, t, labels), score_at(model, t), x, probes=probes, generator=generator
    )
    named = {"sharpness": found.sharpness, "difference": found.difference_norm, "gain": found.curvature_gain}
    return {name: values.cpu() for name, values in named.items()}


def whole_spectra(
    model: DiffusionModel, label: int, x: Float[Tensor, "B C H W"], t: int
) -> dict[str, Float[Tensor, " B"]]:
    """On the CPU, by whole spectra: `count` of eigenvalues >= 0, local `dimension`, relative `asymmetry`."""
    found = hessian.spectra(score_at(model, t, label), x)
    eigenvalues = found.eigenvalues.cpu()
    return {
        "count": sharpness.nonnegative_count(eigenvalues),
        "dimension": sharpness.local_dimension(eigenvalues, model.schedule.sigma(t).item()),
        "asymmetry": found.asymmetry.cpu(),
    }


def copies_of_first(
    points: Float[Tensor, "B C H W"], known: Float[Tensor, "N C H W"], threshold: float
) -> dict[str, Tensor]:
    """Whether samples are copies of the first of some known images, or of another one.

    Args:
        points: samples.
        known: different training images, of which the first is the one in question.
        threshold: the calibrated ratio of distances, in (0, 1).

    Returns:
        Columns `(B,)`:
        `copy` by the ratio of a third, `calibrated` by the ratio `threshold`; `other`, whether it is one of
        another image by the ratio of a third; and the `ratio` of distances itself.
    """
    found = copies.nearest(points, known)
    first, copied = found.index == 0, copies.is_copy(found)
    calibrated = first & copies.is_copy(found, ratio=threshold)
    return {"copy": first & copied, "calibrated": calibrated, "other": ~first & copied, "ratio": found.ratio}


def roc_areas(table: pd.DataFrame, by: list[str]) -> pd.Series:
    """Area under the ROC curve of column `value` for column `copied` in each group of a table."""
    return table.groupby(by)[["value", "copied"]].apply(
        lambda of: intervals.roc_area(of["value"][of["copied"]], of["value"][~of["copied"]])
    )


def squared_error(first: Float[Tensor, "B C H W"], second: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
    """Mean squared difference of each pair of images, on the CPU."""
    return mse_loss(first, second, reduction="none").mean((1, 2, 3)).double().cpu()


def denoised(
    score: Score, images: Float[Tensor, "B C H W"], noise: Float[Tensor, "N C H W"]
) -> tuple[Float[Tensor, "B C H W"], Float64[Tensor, " B"]]:
    """What a network takes images for under noise, the first B of `noise`, and its `squared_error`."""
    with torch.no_grad():
        guess = score.denoised(score.alpha * images + score.sigma * noise[: len(images)])
    return guess, squared_error(guess, images)


def paired_changes(
    each: pd.DataFrame, by: list[str], pair: str, of: str, names: Mapping[str, str]
) -> list[dict[str, object]]:
    """Rows of what changes from the first to the second kind of a pair, on the same things.

    Args:
        each: one row for every kind and thing.
        by: columns that make groups.
        pair: the column that tells the two kinds apart; the kind that comes first is the reference.
        of: the column that tells things apart.
        names: the columns that are compared, and how they are called.

    Returns:
        For each quantity and group `key`, `quantity`, the group, the mean of each kind and `change`, the mean
        of the paired differences with its interval. Things without a value are left out.
    """
    first, second = each[pair].unique()
    rows: list[dict[str, object]] = []
    for key, name in names.items():
        for group, part in each.dropna(subset=[key]).groupby(by, sort=False):
            values = part.pivot(index=of, columns=pair, values=key)
            rows.append(
                {"key": key, "quantity": name}
                | dict(zip(by, group, strict=True))
                | {kind: values[kind].mean() for kind in (first, second)}
                | {"change": intervals.mean((values[second] - values[first]).to_numpy())}
            )
    return rows
