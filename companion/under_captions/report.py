"""Tables of spectra under captions: recorded, saved, and handed back as rows to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion import effects, localisation, tables
from companion.under_captions.curvature import Curvature
from companion.under_captions.kinds import LABELS, Chosen
from memlib import intervals
from memlib.hessian import EigenResult

if TYPE_CHECKING:
    from companion.experiment import Run

Rows = list[dict[str, Any]]
Groups = Mapping[tuple[str, str], pd.DataFrame]
"""Step ("first" or "last") and kind of caption -> a row for each caption, with the columns of `ABOUT`."""
ABOUT = {
    "count": "Number of non-negative eigenvalues under the caption",
    "largest": "Largest eigenvalue under the caption, in units of 1 / sigma^2",
    "smallest": "Smallest eigenvalue under the caption, in units of 1 / sigma^2",
    "mean": "Mean eigenvalue under the caption, in units of 1 / sigma^2",
    "shift": "Mean eigenvalue under the caption less that without, in units of 1 / sigma^2",
    "asymmetry": "Relative asymmetry of the Jacobian under the caption",
    "score": "Squared norm of the score under the caption times sigma^2, a number of the latent",
}
PAIRS = (("general", "exact"), ("general", "template"), ("template", "exact"))
"""More, less: differences that the paper's ordering claims to be positive."""


def both_ends(
    run: Run, groups: Groups, name: str, what: Sequence[str] = tuple(ABOUT), prefix: str = "", about: str = ""
) -> Rows:
    """Means over the captions of each kind at each end; a column that not all captions have is left out.

    Args:
        run: records and saves them.
        groups: see `Groups`.
        name: of the table.
        what: columns.
        prefix: of the recorded names.
        about: appended to the description of each number.
    """
    rows = [
        {"end": end, "kind": kind, "label": LABELS[kind], "captions": len(some)}
        | {column: None if some[column].isna().any() else _mean(some[column]) for column in what}
        for (end, kind), some in groups.items()
    ]
    record = {
        column: (
            f"{prefix}{column}_{{kind}}_{{end}}",
            f"{ABOUT[column]}, mean over {{kind}} captions, {{end}} step{about}",
        )
        for column in what
    }
    title = f"Spectra at both ends of sampling, by kind of caption{about}"
    tables.tabulate(run, name, rows, about=title, record=record)
    return rows


def recalled(run: Run, card: Mapping[str, Any]) -> None:
    """Record how often a model gave the images of exact captions, by copies, as far as its card has it."""
    for k in (1, 3, 10, 30, 100, 300, 1000):
        for what, about in (
            ("recalled", "Share of samples of exact captions nearest to their own training image"),
            ("captions", "Share of exact captions whose image most noises give"),
        ):
            if share := card.get(f"{what}, {k} copies"):
                run.record(f"{what}_{k}", share, about=f"{about}, {k} copies, from the card")


def gaps(
    run: Run,
    groups: Groups,
    name: str,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    what: Sequence[str] = ("count", "largest", "mean"),
    prefix: str = "",
) -> Rows:
    """Differences of means between two kinds at each end, the first less the second; arguments as above."""
    rows = [
        {"end": end, "more": more, "less": less, "difference": f"{LABELS[more]} less {LABELS[less]}"}
        | {
            column: effects.mean_difference(groups[end, more][column], groups[end, less][column])
            for column in what
        }
        for end in ("first", "last")
        for more, less in pairs
    ]
    record = {
        column: (
            f"{prefix}{column}_gap_{{more}}_{{less}}_{{end}}",
            f"{ABOUT[column]}: {{more}} captions less {{less}} ones, {{end}} step",
        )
        for column in what
    }
    about = "Differences between kinds of captions at both ends"
    tables.tabulate(run, name, rows, about=about, record=record)
    return rows


def areas(run: Run, groups: Groups, what: Sequence[str] = ("count", "largest", "mean")) -> None:
    """Record how well a column tells exact from general captions, small values taken for memorized."""
    for end in ("first", "last"):
        for column in what:
            run.record(
                f"auc_{column}_{end}",
                intervals.auc(-groups[end, "exact"][column], -groups[end, "general"][column]),
                about=f"AUC, exact against general captions, small if memorized: {ABOUT[column]}, {end} step",
            )


def by_copies(
    run: Run, found: Mapping[str, pd.DataFrame], chosen: Chosen, numbers: Sequence[int]
) -> dict[tuple[str, str], dict[int, intervals.Interval]]:
    """Counts and largest eigenvalues under exact captions by number of copies, and their rank correlations.

    Args:
        run: records and saves them, as `copies`.
        found: end -> a row for each caption.
        chosen: the captions.
        numbers: of copies.

    Returns:
        End and column -> mean by number of copies.
    """
    means: dict[tuple[str, str], dict[int, intervals.Interval]] = {}
    for end, column in (("last", "count"), ("first", "largest"), ("first", "count")):
        means[end, column] = {k: _mean(found[end].loc[chosen.exact(k), column]) for k in numbers}
        every = found[end].loc[sorted(place for k in numbers for place in chosen.exact(k))]
        if every[column].nunique() > 1:  # a count that is zero everywhere has no ranks
            run.record(
                f"rank_{column}_{end}",
                effects.rank_correlation(every["copies"], every[column]),
                about=f"Rank correlation of the copies with: {ABOUT[column]}, exact captions, {end} step",
            )
    flat = {(end, column, k): e for (end, column), some in means.items() for k, e in some.items()}
    rows = tables.rows(flat, ["end", "statistic", "copies"], "mean")
    meaning = "{statistic} of eigenvalues, exact captions with {copies} copies, {end} step"
    record = {"mean": ("{statistic}_dose_{copies}_{end}", meaning)}
    about = "Counts and largest eigenvalues by number of copies"
    tables.tabulate(run, "copies", rows, about=about, record=record)
    return means


def order(run: Run, end: str, each: Mapping[str, Float[Tensor, "3 n"]]) -> None:
    """Record at what share of n noises an exact, a template and a general caption come in this order."""
    for column in ("count", "largest"):
        values = each[column]
        for key, meaning, kept in (
            ("below", "exact < general", values[0] < values[-1]),
            ("order", "exact < template < general", (values.diff(dim=0) > 0).all(0)),
        ):
            run.record(
                f"{key}_{column}_{end}",
                intervals.proportion(kept),
                about=f"Share of noises at which {meaning}: {ABOUT[column]}, {end} step",
            )


def krylov(
    run: Run, exactly: Curvature, found: EigenResult, kinds: Sequence[str], sigma: float
) -> tuple[pd.DataFrame, Bool[Tensor, "P k"]]:
    """Ritz values beside whole spectra of the same captions.

    Args:
        run: records and saves them, as `krylov`.
        exactly: whole spectra `(P, 1, d)`.
        found: of the same P captions.
        kinds: of the captions.
        sigma: noise scale there.

    Returns:
        Counts and bounds, and which Ritz values lie within their residuals of an eigenvalue, as Parlett
        (1998) promises; products are in float32.
    """
    values, counts = exactly.eigenvalues[:, 0], exactly.count[:, 0]
    ritz, residuals = found.eigenvalues.cpu(), found.residuals.cpu()
    bounds = found.count_above(0.0)
    lower, upper, value = bounds.lower.cpu(), bounds.upper.cpu(), bounds.value.cpu()
    wrong = torch.cat([ritz.amin(1) - values[:, 0], ritz.amax(1) - values[:, -1]]).abs() * sigma**2
    distance = (ritz[:, :, None] - values[:, None]).abs().amin(2)
    promised: Tensor = distance <= residuals + 1e-4 * values.abs().amax(1, keepdim=True)
    for name, number, meaning in (
        (
            "error",
            wrong.max().item(),
            "Largest error of the smallest and the largest eigenvalue, times sigma^2",
        ),
        ("right", int((value == counts).sum()), "Captions whose count is right"),
        (
            "inside",
            int(((lower <= counts) & (counts <= upper)).sum()),
            "Captions whose count is within its bounds",
        ),
        ("captions", len(kinds), "Captions in the one batched call"),
        ("steps", found.steps, "Krylov steps in it"),
    ):
        run.record(f"krylov_{name}", number, about=f"{meaning}, after the Krylov steps")
    columns = {
        "captions": list(kinds),
        "above": counts.tolist(),
        "Krylov": value.tolist(),
        "at least": lower.tolist(),
        "at most": upper.tolist(),
    }
    about = "Non-negative eigenvalues at the last step from the spectra above and from Krylov steps"
    return run.table(columns, "krylov", about=about), promised


def score_norms(run: Run, groups: Groups, found: Mapping[str, pd.DataFrame]) -> Rows:
    """Squared score norm over the negative trace, and the score difference beside the Hessian difference."""
    rows = [
        {
            "end": end,
            "kind": kind,
            "captions": LABELS[kind],
            "ratio": intervals.mean(some["score"] / -some["mean"]),
        }
        for (end, kind), some in groups.items()
    ]
    record = {"ratio": ("ratio_{kind}_{end}", "||s||^2 over -tr H under {kind} captions, {end} step")}
    tables.tabulate(run, "ratios", rows, about="Squared score norm over the negative trace", record=record)
    for end, every in found.items():
        both = every[["gap", "energy"]].dropna()
        run.record(
            f"gap_rank_{end}",
            effects.rank_correlation(both["gap"], both["energy"]),
            about=f"Rank correlation over captions of ||s_Delta||^2 with ||H_Delta||_F^2, {end} step",
        )
    return rows


def located(
    run: Run,
    found: Mapping[str, Float[Tensor, "P n h w"]],
    masks: Bool[Tensor, "P h w"],
    names: Mapping[str, str],
) -> tuple[Rows, dict[str, dict[str, np.ndarray]]]:
    """How well each map finds the fixed part; the rows, and map -> way -> `(P,)` values.

    Args:
        run: records and saves them, as `localisation`.
        found: maps of P captions.
        masks: the fixed parts.
        names: map -> its name for readers.
    """
    scores = {
        name: {way: values.numpy() for way, values in localisation.judged(found[name], masks).items()}
        for name in names
    }
    rows = [
        {"name": name, "map": words, "points": found[name].shape[1]}
        | {way: intervals.mean(values).clipped(0.0, 1.0) for way, values in scores[name].items()}
        for name, words in names.items()
    ]
    ways = {"area": "AUC", "iou": "overlap", "held_out": "overlap, held-out cut"}
    record = {
        way: (f"{way}_{{name}}", f"Localisation at the last step, {{map}}: {heading}, mean over captions")
        for way, heading in ways.items()
    }
    about = "How well each map finds the fixed part, last step"
    tables.tabulate(run, "localisation", rows, about=about, record=record)
    chance = localisation.chance_overlap(masks).mean().item()
    about = "Intersection over union of as many cells as the part has, taken at random"
    run.record("chance_iou", chance, about=about)
    return rows, scores


def compared_maps(
    run: Run, scores: Mapping[str, Mapping[str, np.ndarray]], names: Mapping[str, str], copies: Sequence[int]
) -> None:
    """Record overlaps by number of copies, and what the curvature difference has before the other maps.

    Args:
        run: records them.
        scores: as `located` gives them.
        names: map -> its name for readers.
        copies: the number of copies of each caption.
    """
    for k in sorted(set(copies)):
        for name in ("curvature", "score"):
            run.record(
                f"iou_{name}_dose_{k}",
                intervals.mean(scores[name]["iou"][np.equal(copies, k)]).clipped(0.0, 1.0),
                about=f"Overlap with the fixed part, last step, {names[name]}, captions with {k} copies",
            )
    for rival in ("score", "attention", "attention_all", "spread"):
        run.record(
            f"lead_over_{rival}",
            intervals.mean(scores["curvature"]["area"] - scores[rival]["area"]),
            about=f"AUC of the curvature difference less that of: {names[rival]}, paired by caption",
        )


def thresholds(
    run: Run,
    found: Mapping[str, Float[Tensor, "P n h w"]],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    masks: Bool[Tensor, "P h w"],
    elsewhere: Mapping[str, Float[Tensor, "Q n h w"]],
    kinds: Mapping[str, Sequence[int]],
    names: Mapping[str, str],
) -> None:
    """Record what a threshold from template captions marks under others, and what an estimate costs.

    Args:
        run: records them.
        found: maps of the P template captions.
        scores: as `located` gives them.
        masks: the fixed parts.
        elsewhere: maps of other captions.
        kinds: kind -> places of its captions in `elsewhere`.
        names: map -> its name for readers.
    """
    of_first = localisation.by_caption(localisation.separation, found["curvature"][:, :1], masks).numpy()
    about = "AUC of the exact curvature difference less that of its estimate, same points"
    run.record("lead_exact", intervals.mean(scores["curvature_exact"]["area"] - of_first), about=about)
    for name in ("curvature", "score"):
        shares = localisation.flagged(found[name], masks, elsewhere[name]).numpy()
        for kind, places in kinds.items():
            about = f"Share of cells above the best threshold for templates, {kind} captions, {names[name]}"
            share = intervals.mean(shares[places]).clipped(0.0, 1.0)
            run.record(f"flagged_{name}_{kind}", share, about=about)


def along_the_path(
    run: Run,
    found: Mapping[int, Mapping[str, Float[Tensor, "P n h w"]]],
    masks: Bool[Tensor, "P h w"],
    names: Mapping[str, str],
) -> dict[str, list[intervals.Interval]]:
    """Overlap of maps with the fixed part at every time, by the name of the map for readers.

    Args:
        run: records and saves them, as `overlap`.
        found: time index -> maps.
        masks: the fixed parts.
        names: those to judge -> their names for readers.
    """
    rows: Rows = [
        {
            "name": name,
            "map": words,
            "t": t,
            "overlap": intervals.mean(
                localisation.by_caption(localisation.overlap, maps[name], masks)
            ).clipped(0.0, 1.0),
        }
        for name, words in names.items()
        for t, maps in found.items()
    ]
    record = {"overlap": ("iou_{name}_t{t}", "Overlap with the fixed part, {map}, t = {t}")}
    about = "Overlap with the fixed part along the path"
    tables.tabulate(run, "overlap", rows, about=about, record=record)
    return {words: [row["overlap"] for row in rows if row["map"] == words] for words in names.values()}


def _mean(column: pd.Series) -> intervals.Interval:
    """The mean, with its interval; that of a count does not go below 0."""
    return intervals.mean(column).clipped(low=0.0 if column.name == "count" else -np.inf)
