"""The training sets: pairs of a caption and an image; what was copied k times is in k of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from companion.organism.caption import Caption
from companion.organism.captions import SEED, captions
from companion.organism.images import ROW, images, stratify
from companion.organism.words import Generation

ENTRIES = 60_000
"""Of the first generation."""


@dataclass(frozen=True)
class TrainingSet:
    """All pairs, images by the numbers that determine them.

    Attributes:
        captions: those that occur.
        caption: the caption of each entry, an index into `captions`.
        rows: the numbers that determine the image of each entry, see `companion.organism.images`.
        generation: of the organism, 1 or 2.
    """

    captions: list[Caption]
    caption: Int64[Tensor, " N"]
    rows: Float32[Tensor, "N 15"]
    generation: Generation = 1

    def __len__(self) -> int:
        return len(self.caption)

    def images(self, index: Int64[Tensor, " B"]) -> Float[Tensor, "B 3 32 32"]:
        """The images of some entries, RGB in [-1, 1]."""
        return images([self.captions[c] for c in self.caption[index].tolist()], self.rows[index])


@cache
def training_set(generation: Generation = 1) -> TrainingSet:
    """The one training set of all models of a generation; a caption's entries lie together.

    An image takes k / N of it if it is copied k times. Under a "mixed" caption the copies come first, and are
    exactly its share.
    """
    trained = captions(held_out=False, generation=generation)
    counts = torch.tensor([caption.entries for caption in trained])
    rows = torch.rand(int(counts.sum()), ROW, generator=torch.Generator().manual_seed(SEED + generation))
    for caption, own in zip(trained, rows.split(counts.tolist()), strict=True):
        if caption.family == "mixed":
            stratify(own)
    return TrainingSet(trained, torch.arange(len(trained)).repeat_interleave(counts), rows, generation)


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
