"""Of noises that give a copy, how many a method makes end elsewhere: the paper's Figure 6 where a noise can.

Under a caption that gives its copy from every noise a method must change what the model knows of it; under
one that gives it at times, moving the noise can be enough, and so can taking another noise. Captions are the
unit: the noises of one caption resemble each other in what saves them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from companion import effects
from companion.comparison.summary import chosen
from memlib.intervals import Interval

RATES = (0.1, 0.9)
"""Copy rates between which the noise decides."""


def undecided(
    each: pd.DataFrame, rates: tuple[float, float] = RATES, *, copied: int = 0, needed: int = 0
) -> list[int]:
    """The captions of which some noises end in the copy and others do not.

    Args:
        each: a row for every noise, without a mitigation, with the columns `caption` and `copy`.
        rates: their share of copies lies strictly between these two.
        copied: noises that end in the copy, at least.
        needed: how many such captions there must be.

    Raises:
        ValueError: fewer captions than are needed.
    """
    found = each.groupby("caption")["copy"].agg(["mean", "sum"])
    kept = found.index[found["mean"].between(*rates, inclusive="neither") & (found["sum"] >= copied)]
    if len(kept) < needed:
        raise ValueError(
            f"{len(kept)} of {len(found)} captions have {copied} copied noises or more and a copy rate "
            f"between {rates[0]:g} and {rates[1]:g}, where {needed} are needed; take more captions, more "
            "noises or other shares"
        )
    return [int(caption) for caption in kept]


def copied_noises(
    images: pd.DataFrame, method: str, setting: str, captions: Sequence[int] | None = None
) -> pd.DataFrame:
    """The rows of a method whose caption and seed gave a copy without a mitigation, in `captions`.

    Args:
        images: of all trials.
        method: its name.
        setting: one of its settings.
        captions: None takes the `undecided` ones without a mitigation.

    Raises:
        ValueError: no such noise.
    """
    some = undecided(chosen(images, "none", "")) if captions is None else captions
    none = chosen(images, "none", "")
    before = none.loc[none["copy"] & none["caption"].isin(some), ["caption", "seed"]]
    if before.empty:
        raise ValueError(
            f"none of the captions {list(some)} has a noise that gives a copy without a mitigation; take "
            "captions that are copied more often, or more noises"
        )
    return chosen(images, method, setting).merge(before)


def escapes(
    images: pd.DataFrame, method: str, setting: str, captions: Sequence[int] | None = None
) -> Interval:
    """Share of copied noises that end elsewhere, the mean over captions with an interval over captions."""
    return _over_captions(_column(copied_noises(images, method, setting, captions), "escape"))


def escape_lead(
    images: pd.DataFrame,
    first: tuple[str, str],
    second: tuple[str, str],
    captions: Sequence[int] | None = None,
    *,
    what: str = "escape",
) -> Interval:
    """The first's share of escapes less the second's among copied noises, paired by caption.

    Args:
        images: of all trials.
        first: name and setting of a method.
        second: that of another.
        captions: None takes the `undecided` ones without a mitigation.
        what: "escape", or a column of `images`: "success" is an escape that agrees with its prompt.
    """
    a, b = (
        _column(copied_noises(images, *which, captions), what).groupby("caption").mean()
        for which in (first, second)
    )
    return effects.bounded_mean((a - b).to_numpy(), -1.0, 1.0)


def escape_rows(
    images: pd.DataFrame,
    against: tuple[str, str] = ("redrawn", ""),
    captions: Sequence[int] | None = None,
) -> list[dict[str, object]]:
    """A row for every method and setting: what becomes of the copied noises of undecided captions.

    Args:
        images: of all trials, with the methods "none" and that of `against` among them.
        against: the baseline, its name and setting.
        captions: whose rate is known from elsewhere; None takes the `undecided` ones without a mitigation.

    Returns:
        `escapes`; `lead` over the baseline; `agree` and `success`, means over captions among these noises;
        `diversity` of all images of these captions; `passes` and `backward`, rows through the network for an
        image; `captions` and `noises` that were counted.
    """
    some = undecided(chosen(images, "none", "")) if captions is None else captions
    rows: list[dict[str, object]] = []
    for method, setting in images[["method", "setting"]].drop_duplicates().itertuples(index=False):
        here = copied_noises(images, method, setting, some)
        own = (method, setting) == against
        all_images = chosen(images, method, setting)
        all_images = all_images[all_images["caption"].isin(some)]
        rows.append(
            {"method": method, "setting": setting, "captions": here["caption"].nunique()}
            | {"noises": len(here), "escapes": _over_captions(_column(here, "escape"))}
            | {"lead": None if own else escape_lead(images, (method, setting), against, some)}
            | {what: _over_captions(_column(here, what)) for what in ("agree", "success")}
            | {what: float(all_images[what].mean()) for what in ("diversity", "passes", "backward")}
        )
    return rows


def _column(rows: pd.DataFrame, what: str) -> pd.Series:
    """By caption a column of true and false; "escape" is no copy."""
    known = rows.set_index("caption")
    return ~known["copy"].astype(bool) if what == "escape" else known[what].astype(bool)


def _over_captions(true: pd.Series) -> Interval:
    means = true.groupby("caption").mean().to_numpy(dtype=float)
    if len(means) < 2:
        share = float(np.mean(means))
        raise ValueError(f"one caption has no interval over captions (its share is {share:.2f}); take more")
    return effects.bounded_mean(means, 0.0, 1.0)
