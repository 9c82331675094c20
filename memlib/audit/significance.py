"""How sure a list of suspicious captions is: p-values, the list itself, and bounds for any other list.

The scores of captions that are known to be harmless are the calibration. A harmless caption that is screened
ranks among them like one of them, whatever the distribution, and that is all that is used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

PValues = NDArray[np.float64]


def conformal(
    scores: ArrayLike,
    calibration: ArrayLike,
    *,
    strata: Sequence[Hashable] | None = None,
    calibration_strata: Sequence[Hashable] | None = None,
) -> PValues:
    """The share of harmless captions, and itself, that score at least as high (Bates et al. 2023).

    Where the null hypothesis "this caption is harmless" is true, P(p <= a) <= a for every a: its score and
    those of the calibration are exchangeable. p-values that share a calibration depend on each other
    positively, which is what `rejected` and `true_discoveries` need.

    Args:
        scores: `(m,)` of the captions in question; higher is more suspicious.
        calibration: `(n,)` of harmless captions.
        strata: `(m,)` kinds of captions; each is compared with the calibration of its own kind.
        calibration_strata: `(n,)` kinds of the calibration captions.

    Returns:
        `(m,)`, each at least 1 / (n + 1).

    Raises:
        ValueError: no calibration for a kind, or values that are not finite.

    Example:
        >>> conformal([3.5, 0.0], [1.0, 2.0, 3.0])
        array([0.25, 1.  ])
    """
    given, known = _finite("scores", scores), _finite("calibration", calibration)
    kinds = np.asarray(strata if strata is not None else np.zeros(len(given)))
    known_kinds = np.asarray(calibration_strata if calibration_strata is not None else np.zeros(len(known)))
    if (len(kinds), len(known_kinds)) != (len(given), len(known)):
        raise ValueError(
            f"{len(given)} scores with {len(kinds)} strata, {len(known)} calibration scores with "
            f"{len(known_kinds)}; expected one stratum for each score"
        )
    found = np.empty(len(given))
    for kind in dict.fromkeys(kinds.tolist()):
        mine, theirs = kinds == kind, np.sort(known[known_kinds == kind])
        if not len(theirs):
            there = ", ".join(map(str, Counter(known_kinds.tolist()))) or "none"
            raise ValueError(f"no calibration caption of the kind {kind!r}; there are: {there}")
        above = len(theirs) - np.searchsorted(theirs, given[mine], side="left")
        found[mine] = (1 + above) / (1 + len(theirs))
    return found


def rejected(p: ArrayLike, rate: float = 0.1) -> NDArray[np.bool_]:
    """The list of Benjamini and Hochberg (1995): on average at most the share `rate` of it is harmless.

    Args:
        p: `(m,)` p-values, independent or positively dependent (Benjamini & Yekutieli 2001).
        rate: false discovery rate, in (0, 1).

    Example:
        >>> rejected([0.01, 0.9, 0.04, 0.5], rate=0.1)
        array([ True, False,  True, False])
    """
    given = _p_values(p)
    ranked = np.sort(given)
    passing = np.flatnonzero(ranked <= rate * np.arange(1, len(given) + 1) / max(1, len(given)))
    return given <= (ranked[passing[-1]] if len(passing) else -1.0)


def true_discoveries(p: ArrayLike, level: float = 0.95) -> NDArray[np.int64]:
    """How many of the k most suspicious captions are memorized, at least: for all k together.

    With probability `level` all of these bounds hold at once, so that a reader may choose k after looking
    (Goeman & Solari 2011): closed testing with Simes' test, by the shortcut of Goeman et al. (2019).

    Args:
        p: `(m,)` p-values, independent or positively dependent.
        level: probability with which all bounds hold.

    Returns:
        `(m,)` at k - 1 the bound for the k captions of smallest p-value; never falling.

    Example:
        >>> true_discoveries([0.001, 0.9, 0.002, 0.5], level=0.95)
        array([1, 2, 2, 2])
    """
    ranked, alpha = np.sort(_p_values(p)), 1 - level
    m = len(ranked)
    h = _hommel(ranked, alpha)
    # d(k) = max over u of 1 - u + #{i <= k: h p_i <= u alpha}; only u <= k can matter.
    levels = np.ceil(np.round(h * ranked / alpha, 9)).astype(int).clip(1) if m else np.empty(0, int)
    found = np.zeros(m, dtype=np.int64)
    within = np.zeros(m + 2, dtype=np.int64)  # by u: how many of the first k pass at u
    for k in range(m):
        if levels[k] <= m:
            within[levels[k] :] += 1
        u = np.arange(1, k + 2)
        found[k] = max(0, int((1 - u + within[1 : k + 2]).max()))
    return found


def _hommel(ranked: PValues, alpha: float) -> int:
    """The largest number of hypotheses that Simes' test does not reject, however they are chosen."""
    m = len(ranked)
    for size in range(m, 0, -1):
        largest = ranked[m - size :]
        if (largest > alpha * np.arange(1, size + 1) / size).all():
            return size
    return 0


def calibration_needed(captions: int, memorized: int, rate: float = 0.1, *, overlap: float = 0.0) -> int:
    """The least number of harmless captions with which `rejected` can list the memorized ones.

    A list of k of m captions needs p-values of at most `rate` k / m. That of the least suspicious memorized
    caption is (1 + `overlap` n) / (n + 1), on average over calibrations of n. Captions that are compared
    with those of their own family need so many in each family.

    Args:
        captions: m, how many are screened.
        memorized: k, how many of them are to be found.
        rate: false discovery rate.
        overlap: share of harmless captions that look as suspicious as the least suspicious memorized one.

    Raises:
        ValueError: not 1 <= memorized <= captions, a rate outside (0, 1), or an overlap that no number of
            harmless captions makes up for.

    Example:
        >>> calibration_needed(1000, 20, rate=0.1), calibration_needed(1000, 20, rate=0.1, overlap=0.001)
        (499, 998)
    """
    if not (1 <= memorized <= captions and 0 < rate < 1):
        raise ValueError(
            "expected 1 <= memorized <= captions and a rate in (0, 1), "
            f"got {memorized}, {captions} and {rate}"
        )
    if not 0 <= overlap < (least := rate * memorized / captions):
        raise ValueError(f"an overlap of {overlap:g} is not below {least:g}: no number of captions suffices")
    return math.ceil(round((1 - least) / (least - overlap), 9))


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    given = np.asarray(values, dtype=float)
    if given.ndim != 1 or not np.isfinite(given).all():
        bad = np.count_nonzero(~np.isfinite(given))
        raise ValueError(
            f"{name} must be finite numbers in one row, got shape {given.shape}, {bad} not finite"
        )
    return given


def _p_values(p: ArrayLike) -> PValues:
    given = _finite("p-values", p)
    if ((given < 0) | (given > 1)).any():
        raise ValueError(f"p-values lie in [0, 1], got {given.min():g} to {given.max():g}")
    return given
