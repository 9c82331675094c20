"""What an organism is fine-tuned on: captions that it has not read, with one image each, some repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from companion.organism.caption import Caption
from companion.organism.captions import captions
from companion.organism.images import ROW
from companion.organism.training_set import TrainingSet

REPEATS = {"10 times": 10, "3 times": 3, "once": 1}
"""Group of captions -> how often the image of each is shown."""
STATED = "once, stated"
"""The group of captions that say the colours of their image, which is shown once."""


@dataclass(frozen=True)
class FineTuneSet:
    """Pairs of a caption and its one image, and how often each is shown.

    Attributes:
        captions: all different.
        rows: `(C, 15)` the numbers that determine the image of each, see `companion.organism.images`.
        times: `(C,)` how often each is shown.
        groups: `(C,)` the names of the groups that they are in.
    """

    captions: tuple[Caption, ...]
    rows: Float[Tensor, "C 15"]
    times: tuple[int, ...]
    groups: tuple[str, ...]

    @property
    def deduplicated(self) -> FineTuneSet:
        """The same with every image shown once; the groups keep their names."""
        return replace(self, times=(1,) * len(self.times))

    @property
    def pairs(self) -> TrainingSet:
        """An entry for each time that an image is shown; those of a caption lie together."""
        shown = torch.arange(len(self.captions)).repeat_interleave(torch.tensor(self.times))
        return TrainingSet(list(self.captions), shown, self.rows[shown])


def fine_tune_set(each: int, *, seed: int = 0) -> FineTuneSet:
    """Captions held out by the organism: `each` for every number of `REPEATS`, and as many stated.

    The stated ones are shown once, so that a statistic that takes them for memorized is wrong.

    Raises:
        ValueError: more than the organism has held out.
    """
    plain, stated = (captions(family, held_out=True) for family in ("general", "stated"))
    if not 1 <= each <= min(len(plain) // len(REPEATS), len(stated)):
        raise ValueError(f"each must lie in [1, {min(len(plain) // len(REPEATS), len(stated))}], got {each}")
    chosen = (*plain[: each * len(REPEATS)], *stated[:each])
    groups = tuple(group for group in (*REPEATS, STATED) for _ in range(each))
    rows = torch.rand(len(chosen), ROW, generator=torch.Generator().manual_seed(seed))
    return FineTuneSet(chosen, rows, tuple(REPEATS.get(group, 1) for group in groups), groups)
