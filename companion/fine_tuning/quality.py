"""How good the audit's list is, over many draws of its calibration: what it finds and what is false in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memlib import intervals
from memlib.audit import significance
from memlib.intervals import Interval

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ListQuality:
    """Means over draws; the intervals are over draws of the same captions, and do not cover other captions.

    Attributes:
        found: share of the memorized captions that is listed.
        whole: share of draws in which all of them are.
        false: share of the list that is harmless; 0 where it is empty.
    """

    found: Interval
    whole: Interval
    false: Interval


def list_quality(
    memorized: Values,
    harmless: Values,
    kinds: Sequence[str],
    *,
    kind: str,
    screened: int,
    calibration: int,
    pooled: bool,
    rate: float = 0.1,
    draws: int = 100,
    seed: int = 0,
) -> ListQuality:
    """Lists of the memorized captions and `screened` harmless ones, with `calibration` others beside them.

    Which harmless captions are screened and which calibrate is drawn anew each time, in both of each kind as
    large a share as there is of all.

    Args:
        memorized: `(k,)` scores, all of one kind.
        harmless: `(N,)` scores.
        kinds: `(N,)` of the harmless captions.
        kind: that of the memorized ones.
        screened: harmless captions among those in question.
        calibration: harmless captions beside them.
        pooled: compare with all of these, not with those of one's own kind.
        rate: false discovery rate of the list.
        draws: how many lists.
        seed: of the draws.

    Raises:
        ValueError: fewer harmless captions than are asked for.
    """
    if screened + calibration > len(harmless):
        raise ValueError(
            f"{screened} screened and {calibration} for calibration are more than the {len(harmless)} "
            "harmless captions there are"
        )
    rng, of = np.random.default_rng(seed), np.asarray(kinds)
    k, found, false = len(memorized), [], []
    for _ in range(draws):
        order = _stratified(of, rng)
        asked, known = order[:screened], order[screened : screened + calibration]
        p = significance.conformal(
            np.concatenate([memorized, harmless[asked]]),
            harmless[known],
            strata=None if pooled else [kind] * k + of[asked].tolist(),
            calibration_strata=None if pooled else of[known].tolist(),
        )
        listed = significance.rejected(p, rate)
        found.append(listed[:k].mean())
        false.append(listed[k:].sum() / max(1, listed.sum()))
    return ListQuality(
        intervals.mean(found).clipped(0.0, 1.0),
        intervals.proportion(np.equal(found, 1.0)),
        intervals.mean(false).clipped(0.0, 1.0),
    )


def _stratified(kinds: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of which each beginning holds every kind in its share, as near as it goes."""
    place = np.empty(len(kinds))
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        place[mine] = (rng.permutation(len(mine)) + rng.random(len(mine))) / len(mine)
    return np.argsort(place, kind="stable")
