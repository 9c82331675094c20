"""What a finished table of mitigated images says as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet

from memlib.screening.records import AT_ONCE, NOT_MET


@dataclass
class Outcomes:
    """Counts over all images.

    Attributes:
        images: number of images.
        judged: those of a method with a threshold.
        at_once: those whose own noise met it without a step.
        unmet: those that never met it.
        least: smallest objective of these.
        most: largest.
        same: those whose noise is that of an earlier image of their prompt.
        cut: those whose changed prompt lost its end to the tokenizer's limit.
    """

    images: int = 0
    judged: int = 0
    at_once: int = 0
    unmet: int = 0
    least: float = math.inf
    most: float = -math.inf
    same: int = 0
    cut: int = 0


def outcomes(table: Path) -> Outcomes:
    """Read them, piece by piece."""
    total = Outcomes()
    names = ["result", "threshold", "objective", "repeated", "truncated_after"]
    with parquet.ParquetFile(table) as file:
        for batch in file.iter_batches(columns=names):
            result, threshold, objective, repeated, cut = (batch[name].to_pylist() for name in names)
            unmet = [value for value, word in zip(objective, result, strict=True) if word == NOT_MET]
            total.images += len(result)
            total.judged += sum(value is not None for value in threshold)
            total.at_once += result.count(AT_ONCE)
            total.unmet += len(unmet)
            total.least, total.most = min([total.least, *unmet]), max([total.most, *unmet])
            total.same += sum(repeated)
            total.cut += sum(text is not None for text in cut)
    return total
