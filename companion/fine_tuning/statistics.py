"""The audit's statistics of captions in groups, and how well each tells two groups apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from companion.organism import Caption
from companion.prompts.equivalence import area_difference
from memlib import detection, intervals
from memlib.audit.against_base import AgainstBase
from memlib.intervals import Interval
from memlib.text_to_image import TextToImage

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Statistics of captions; the caption is the unit.

    Attributes:
        captions: C of them.
        groups: the group of each.
        values: by statistic of `AgainstBase`, `(C,)` means over noises.
    """

    captions: tuple[Caption, ...]
    groups: tuple[str, ...]
    values: Mapping[str, Values]

    def of(self, statistic: str, group: str) -> Values:
        """The values of a group."""
        return self.values[statistic][[name == group for name in self.groups]]

    def area(self, statistic: str, first: str, second: str) -> Interval:
        """Chance that a caption of the first group is above one of the second."""
        return intervals.auc(self.of(statistic, first), self.of(statistic, second))

    def table(self) -> pd.DataFrame:
        """A row for each caption."""
        texts = [caption.text for caption in self.captions]
        return pd.DataFrame({"caption": texts, "group": self.groups, **self.values})


def measure(
    model: TextToImage,
    base: TextToImage,
    groups: Mapping[str, Sequence[Caption]],
    noise: Float[Tensor, "n ..."],
    *,
    steps: int = 50,
    rows: int = 128,
) -> Measured:
    """All statistics at the first sampling step.

    Args:
        model: the model in question.
        base: what it is compared with.
        groups: captions by group.
        noise: starts that all captions share.
        steps: of sampling, by which the first has its time.
        rows: captions times noises at a time.
    """
    task = AgainstBase(model, base, noise, num_inference_steps=steps)
    named = [(name, caption) for name, some in groups.items() for caption in some]
    n, found = len(noise), []
    together = max(1, rows // n)
    for start in range(0, len(named), together):
        texts = [caption.text for _, caption in named[start : start + together]]
        found.append(
            {name: some.reshape(-1, n).mean(1) for name, some in task(model.encode(texts)).values.items()}
        )
    values = {name: torch.cat([part[name] for part in found]).cpu().numpy() for name in found[0]}
    return Measured(tuple(c for _, c in named), tuple(name for name, _ in named), values)


def differences(first: Values, second: Values, memorized: Sequence[bool] | NDArray[np.bool_]) -> Interval:
    """Area under the ROC curve of the first statistic less that of the second, on the same captions.

    Args:
        first: `(C,)` values, higher for memorized captions.
        second: the same of another statistic or another model.
        memorized: `(C,)`.
    """
    label = np.asarray(memorized, dtype=bool)
    ours, theirs = (detection.evaluate(values[:, None], label) for values in (first, second))
    return area_difference(ours, theirs)
