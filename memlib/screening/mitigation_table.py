"""What a mitigation did to each image, as columns of a table that a reader understands, and their summary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Bool
from pyarrow import parquet
from torch import Tensor

from memlib.mitigation import Mitigated
from memlib.text_to_image import Prompts

COLUMNS = pa.schema(
    [
        ("result", pa.string()),
        ("step", pa.int64()),
        ("candidate", pa.int64()),
        ("repeated", pa.bool_()),
        ("objective", pa.float64()),
        ("threshold", pa.float64()),
        ("norm_before", pa.float64()),
        ("norm_after", pa.float64()),
        ("prompt_passes", pa.int64()),
        ("prompt_backward", pa.int64()),
        ("prompt_after", pa.string()),
        ("truncated_after", pa.string()),
    ]
)
"""A `memlib.mitigation.Record`, image by image.

- `result` says in words what `step` (null: none was accepted, or there is no threshold) and `candidate` say;
- `prompt_passes` and `prompt_backward` are of all images of a prompt together;
- `prompt_after` is the changed prompt, null if the method leaves it; `truncated_after` what was cut from it.
"""
NOT_MET = "threshold not met"
AT_ONCE = "threshold met as it came"


def columns(found: Mitigated, prompts: Prompts, changed: Bool[Tensor, "P n"]) -> dict[str, list[Any]]:
    """The columns of P prompts times n images.

    Args:
        found: what a method did.
        prompts: as they were given to it.
        changed: which images start from another noise, under another text or with another attention.
    """
    record, n = found.record, changed.shape[1]
    met = record.reached & ~record.threshold.isnan()
    own = record.candidate == torch.arange(n)
    states = zip(*map(_flat, (record.step, met, record.reached, own, changed)), strict=True)
    texts, cut = found.prompts.captions, found.prompts.removed
    new = [p for p, text in enumerate(texts) if text != prompts.captions[p]]
    return {
        "result": [_words(*state) for state in states],
        "step": [step if ok else None for step, ok in zip(_flat(record.step), _flat(met), strict=True)],
        "candidate": _flat(record.candidate),
        "repeated": _flat(record.repeated),
        "objective": _known(record.objective),
        "threshold": _known(record.threshold),
        "norm_before": _flat(record.norm_before),
        "norm_after": _flat(record.norm_after),
        "prompt_passes": _flat(record.passes.repeat_interleave(n)),
        "prompt_backward": _flat(record.backward.repeat_interleave(n)),
        "prompt_after": [texts[p] if p in new else None for p in range(len(texts)) for _ in range(n)],
        "truncated_after": [cut.get(p) if p in new else None for p in range(len(texts)) for _ in range(n)],
    }


@dataclass
class MitigationSummary:
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


def summary(table: Path) -> MitigationSummary:
    """What a finished table of mitigated images says as a whole, read piece by piece."""
    total = MitigationSummary()
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


def _flat(values: Tensor) -> list[Any]:
    found: list[Any] = values.flatten().tolist()
    return found


def _known(values: Tensor) -> list[float | None]:
    return [None if math.isnan(value) else value for value in _flat(values)]


def _words(step: int, accepted: bool, reached: bool, own: bool, changed: bool) -> str:
    if not reached:
        return NOT_MET
    if not accepted:
        return "changed" if changed else "unchanged"
    if own and step == 0:
        return AT_ONCE
    way = "as it came" if step == 0 else f"after {step} step{'s' * (step > 1)}"
    return f"threshold met {way}{'' if own else ', other noise'}"
