"""A finished table, read back: prompts in order of suspicion, and thresholds where something is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from memlib.detection.calibration import Threshold, calibrate
from memlib.detection.evaluation import Evaluation, evaluate
from memlib.screening import partial_table
from memlib.screening.tasks import statistics


@dataclass(frozen=True, eq=False)
class RankedTable:
    """What a table of a screening says of P prompts.

    Attributes:
        prompts: `P` rows of number, prompt, truncated and whatever else came with the prompts.
        values: name of a statistic -> `(P, n)`.
        higher_is_memorized: name of a statistic -> whether larger values mean memorized.
    """

    prompts: pa.Table
    values: dict[str, NDArray[np.float64]]
    higher_is_memorized: dict[str, bool]

    def means(self, name: str) -> NDArray[np.float64]:
        """`(P,)` means over seeds."""
        means: NDArray[np.float64] = self.values[name].mean(axis=1)
        return means

    def column(self, name: str) -> list[Any]:
        """A column of `prompts`; all None if it is not there."""
        if name not in self.prompts.column_names:
            return [None] * len(self.prompts)
        found: list[Any] = self.prompts[name].to_pylist()
        return found

    def flags(self, name: str) -> NDArray[np.bool_]:
        """A column of true values; what is null counts as false."""
        return np.array([value is True for value in self.column(name)])

    def ranked(self, name: str) -> NDArray[np.intp]:
        """Positions of the prompts that are no reference, most suspicious first."""
        sign = -1.0 if self.higher_is_memorized[name] else 1.0
        order = np.argsort(sign * self.means(name), kind="stable")
        return order[~self.flags("reference")[order]]


def load(path: Path) -> RankedTable:
    """Read a table that a screening wrote."""
    table = parquet.read_table(path)
    settings = partial_table.settings_of(path)
    names, n = settings["statistics"], len(settings["seeds"])
    first = pa.array(range(0, len(table), n))
    kept = [name for name in table.column_names if name not in (*names, "seed", "image")]
    known = statistics(names, average_steps=settings["average_steps"], product=settings["product"])
    return RankedTable(
        table.select(kept).take(first),
        {name: table[name].to_numpy().reshape(-1, n) for name in names},
        {name: statistic.higher_is_memorized for name, statistic in known.items()},
    )


def threshold(table: RankedTable, name: str, target: float) -> Threshold | None:
    """The threshold of a statistic: from the reference prompts, else from those labelled as not memorized.

    Returns:
        None where neither are there, or fewer than 2.
    """
    others = table.flags("reference")
    if not others.any():
        others = np.array([label is False for label in table.column("label")])
    if others.sum() < 2:
        return None
    return calibrate(
        table.means(name)[others], higher_is_memorized=table.higher_is_memorized[name], target=target
    )


def evaluation(table: RankedTable, name: str, target: float) -> Evaluation | None:
    """How well a statistic separates labelled prompts; None without two of each kind."""
    labels: Sequence[bool | None] = table.column("label")
    chosen = np.array([label is not None for label in labels]) & ~table.flags("reference")
    truth = np.array([label is True for label in labels])[chosen]
    if truth.sum() < 2 or (~truth).sum() < 2:
        return None
    return evaluate(
        table.values[name][chosen], truth, higher_is_memorized=table.higher_is_memorized[name], target=target
    )
