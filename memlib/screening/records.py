"""What a mitigation did to each image, as columns of a table that a reader understands."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Bool
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
