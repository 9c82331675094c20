"""Captions that state what an image looks like: what moves the score difference under them, and what tells.

Lemma 4.2 adds two gaps, between means and between curvatures. Over points of the conditional density the mean
of s_Delta is the first and its spread the second, whatever the densities are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from companion import tables
from companion.under_captions.kinds import LABELS
from companion.under_captions.maps import estimated_curvature
from memlib import checks, intervals
from memlib.hessian import JacobianOperator
from memlib.sharpness import norms

if TYPE_CHECKING:
    from companion.experiment import Run
    from memlib.text_to_image.model import TextToImage
    from memlib.text_to_image.prompts import Prompts

STATISTICS = {
    "norm": "||s_Delta||",
    "gain": "||H_Delta s_Delta||",
    "trace": "-tr H_Delta",
}
"""What is compared, declared before the result -> its name for readers."""


def decomposition(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."]
) -> dict[str, Float64[Tensor, " P"]]:
    """The two terms of Lemma 4.2, and those of the paper's statistic, over n points of every prompt.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n >= 2 independent points of each, of p_t(x | c); at the first step noise is.

    Returns:
        In units in which they have one scale at every time, without bias: "total", the mean of
        sigma^2 ||s_Delta||^2, which is the sum of "means" and "curvatures"; and the means of
        sigma^6 ||H_Delta v||^2 with v the mean of s_Delta ("gain_means") and the rest ("gain_curvatures").
    """
    checks.batched("x", x.flatten(0, 1), model.sample_shape)
    sigma, n = model.level(t)["sigma"], x.shape[1]
    with JacobianOperator(
        model.difference(t, prompts), x.flatten(0, 1), product="difference", check=False
    ) as op:
        each = op.value.double().reshape(len(prompts), n, -1)
        mean = each.mean(1, keepdim=True)
        away = each - mean
        spread = away.square().sum((1, 2)) / (n - 1)
        parts = [
            op.matvec(v.to(op.value.dtype).flatten(0, 1)).double().square().sum(1).reshape(-1, n)
            for v in (mean.expand_as(each), away)
        ]
    gains = [sigma**6 * part.mean(1) for part in parts]
    found = {
        "total": sigma**2 * each.square().sum(2).mean(1),
        "means": sigma**2 * (mean.square().sum((1, 2)) - spread / n),
        "curvatures": sigma**2 * spread,
        "gain_means": gains[0] - gains[1] / (n - 1),
        "gain_curvatures": gains[1] * n / (n - 1),
    }
    return {name: values.cpu() for name, values in found.items()}


def statistics(
    model: TextToImage, t: int, prompts: Prompts, x: Float[Tensor, "P n ..."], *, probes: int
) -> dict[str, Float64[Tensor, " P"]]:
    """`STATISTICS` of every prompt, means over its points, in units that have one scale at every time.

    Args:
        model: the text-to-image model.
        t: time index.
        prompts: P prompts.
        x: n points of each.
        probes: sign vectors behind the trace.
    """
    sigma = model.level(t)["sigma"]
    score = model.difference(t, prompts)
    with JacobianOperator(score, x.flatten(0, 1), product="difference", check=False) as op:
        gain, norm = norms.of_product(op.matvec(op.value)), norms.of_score(op.value.double())
    trace = -estimated_curvature(model, t, prompts, x, probes=probes).flatten(2).sum(2)
    scaled = {"norm": norm * sigma, "gain": gain * sigma**3, "trace": trace.flatten() * sigma**2}
    return {name: values.cpu().double().reshape(x.shape[:2]).mean(1) for name, values in scaled.items()}


def shares(
    run: Run, found: Mapping[str, Float64[Tensor, " P"]], kinds: Sequence[str], prefix: str = ""
) -> list[dict[str, Any]]:
    """Record and save what `decomposition` gives by kind of caption: both terms, and the share of the means.

    Args:
        run: records and saves them, as `{prefix}decomposition`.
        found: see `decomposition`.
        kinds: of the captions.
        prefix: of the recorded names.
    """
    rows = []
    for kind in dict.fromkeys(kinds):
        some = {name: values.numpy()[np.equal(kinds, kind)] for name, values in found.items()}
        row: dict[str, Any] = {"kind": kind, "captions": LABELS[kind], "n": len(some["total"])}
        row |= {name: intervals.mean(some[name]) for name in ("means", "curvatures")}
        row["share"] = intervals.mean(some["means"] / some["total"]).clipped(0.0, 1.0)
        whole = some["gain_means"] + some["gain_curvatures"]
        rows.append(row | {"gain_share": intervals.mean(some["gain_means"] / whole).clipped(0.0, 1.0)})
    about = "under {captions} captions, first step"
    record = {
        "means": (f"{prefix}means_{{kind}}", f"Gap of the means in sigma^2 ||s_Delta||^2, {about}"),
        "curvatures": (f"{prefix}curvatures_{{kind}}", f"Gap of the curvatures in it, {about}"),
        "share": (f"{prefix}means_share_{{kind}}", f"Share of the means in ||s_Delta||^2, {about}"),
        "gain_share": (
            f"{prefix}gain_share_{{kind}}",
            f"Share of the means in ||H_Delta s_Delta||^2, {about}",
        ),
    }
    meaning = "The terms of Lemma 4.2 at the first step, by kind of caption"
    tables.tabulate(run, f"{prefix}decomposition", rows, about=meaning, record=record)
    return rows


def told(
    run: Run,
    found: Mapping[str, Mapping[str, Float64[Tensor, " P"]]],
    kinds: Sequence[str],
    prefix: str = "",
) -> list[dict[str, Any]]:
    """Record and save how well each statistic tells exact captions from stated and from general ones.

    Args:
        run: records and saves them, as `{prefix}told`.
        found: end -> what `statistics` gives.
        kinds: of the captions.
        prefix: of the recorded names.
    """
    rows = []
    for end, by_name in found.items():
        for name, values in by_name.items():
            of = {kind: values.numpy()[np.equal(kinds, kind)] for kind in ("exact", "stated", "general")}
            row = {"end": end, "name": name, "statistic": STATISTICS[name]}
            rows.append(
                row | {rival: intervals.auc(of["exact"], of[rival]) for rival in ("stated", "general")}
            )
    record = {
        rival: (
            f"{prefix}told_{rival}_{{name}}_{{end}}",
            f"AUC of {{statistic}}, exact against {rival} captions, {{end}} step",
        )
        for rival in ("stated", "general")
    }
    about = "How well statistics tell exact captions from stated and from general ones"
    tables.tabulate(run, f"{prefix}told", rows, about=about, record=record)
    return rows


def both(
    run: Run,
    model: TextToImage,
    texts: Sequence[str],
    kinds: Sequence[str],
    points: Mapping[str, tuple[int, Float[Tensor, "P n ..."]]],
    *,
    probes: int,
    prefix: str = "",
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure and record one model: rows of `shares` at the first step, and rows of `told` at both.

    Args:
        run: records and saves them.
        model: the text-to-image model.
        texts: P captions.
        kinds: of the captions.
        points: "first" and "last" -> time index and points of each caption.
        probes: sign vectors behind a trace.
        prefix: of the recorded names.
    """
    prompts = model.encode(list(texts))
    terms = decomposition(model, points["first"][0], prompts, points["first"][1])
    found = {end: statistics(model, t, prompts, x[:, :2], probes=probes) for end, (t, x) in points.items()}
    return shares(run, terms, kinds, prefix), told(run, found, kinds, prefix)
