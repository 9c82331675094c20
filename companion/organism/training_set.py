"""The training set: 60,000 pairs of a caption and an image, of which k show one content if its dose is k."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from companion.organism.captions import SEED, Caption, captions
from companion.organism.images import ROW, images

ENTRIES = 60_000


@dataclass(frozen=True)
class TrainingSet:
    """All pairs, images by the numbers that determine them.

    Attributes:
        captions: those that occur.
        caption: the caption of each entry, an index into `captions`.
        rows: the numbers that determine the image of each entry, see `companion.organism.images`.
    """

    captions: list[Caption]
    caption: Int64[Tensor, " N"]
    rows: Float32[Tensor, "N 15"]

    def __len__(self) -> int:
        return len(self.caption)

    def images(self, index: Int64[Tensor, " B"]) -> Float[Tensor, "B 3 32 32"]:
        """The images of some entries, RGB in [-1, 1]."""
        return images([self.captions[c] for c in self.caption[index].tolist()], self.rows[index])


@cache
def training_set() -> TrainingSet:
    """The one training set of both models; an image takes k / 60,000 of it if it is copied k times."""
    trained = captions(held_out=False)
    counts = torch.tensor([caption.entries for caption in trained])
    rows = torch.rand(int(counts.sum()), ROW, generator=torch.Generator().manual_seed(SEED + 1))
    return TrainingSet(trained, torch.arange(len(trained)).repeat_interleave(counts), rows)


def training_batch(
    batch: int, generator: torch.Generator
) -> tuple[Float[Tensor, "B 3 32 32"], list[Caption]]:
    """Images and captions of `batch` entries, drawn with replacement."""
    data = training_set()
    index = torch.randint(len(data), (batch,), generator=generator)
    return data.images(index), [data.captions[c] for c in data.caption[index].tolist()]


def removed() -> list[Caption]:
    """The captions of which `without_copies` leaves one image: every second exact one, half of each dose."""
    return captions("exact")[1::2]


@cache
def without_copies() -> TrainingSet:
    """The training set in which half of the exact captions have one image each; all else is as it was.

    What a model has memorized less of after training on it is due to the copies that are gone.
    """
    data, gone = training_set(), removed()
    thinned = torch.tensor([caption in gone for caption in data.captions])[data.caption]
    first = data.caption != functional.pad(data.caption[:-1], (1, 0), value=-1)  # entries lie by caption
    kept = first | ~thinned
    return TrainingSet(data.captions, data.caption[kept], data.rows[kept])


def shares(data: TrainingSet) -> dict[str, int]:
    """Training images of each family."""
    families = [caption.family for caption in data.captions]
    return dict(Counter(families[c] for c in data.caption.tolist()))
