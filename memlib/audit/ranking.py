"""The captions by suspicion: scores become p-values, p-values a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memlib.audit import significance
from memlib.audit.against_base import STATISTICS

Means = Mapping[str, NDArray[np.float64]]
"""Statistic -> a value for each row."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The captions by suspicion.

    Attributes:
        statistic: that ranks.
        order: rows, the most suspicious first.
        p: of each row; None without harmless captions.
        listed: of each row, whether it is in the list.
        calibration: harmless captions with which a caption is compared: of its family, and of the families
            that there are in the smallest one.
    """

    statistic: str
    order: NDArray[np.intp]
    p: NDArray[np.float64] | None
    listed: NDArray[np.bool_]
    calibration: int = 0


NOTHING = Ranking("excess", np.empty(0, np.intp), None, np.empty(0, bool))
"""Of no captions."""


def ranked(means: Means, table: pa.Table, rate: float, *, pooled: bool = False) -> Ranking:
    """Captions by p-value, then by the first of `STATISTICS` there is; without harmless ones by this alone.

    Args:
        means: of every statistic.
        table: as `Run.table`; a caption is compared with harmless ones of its own family, where both sides
            tell it.
        rate: false discovery rate of the list.
        pooled: compare it with all harmless ones, whatever their families.

    Raises:
        ValueError: a family without a harmless caption.
    """
    name = next(name for name in STATISTICS if name in means)
    harmless = table["reference"].to_numpy()
    scores, known = means[name][~harmless], means[name][harmless]
    if not len(known):
        return Ranking(name, np.argsort(-scores, kind="stable"), None, np.zeros(len(scores), bool))
    kinds = np.array(table["family"].to_pylist(), dtype=object)
    if pooled or not any(kinds[harmless]) or not any(kinds[~harmless]):
        kinds[:] = None  # kinds that one side does not tell cannot be matched
    mine, theirs = kinds[~harmless].tolist(), kinds[harmless].tolist()
    p = significance.conformal(scores, known, strata=mine, calibration_strata=theirs)
    fewest = min(map(theirs.count, set(mine)))
    return Ranking(name, np.lexsort((-scores, p)), p, significance.rejected(p, rate), fewest)
