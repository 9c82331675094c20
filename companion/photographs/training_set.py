"""The training set: pairs of a caption and a photograph; what was copied k times is in k of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from companion.datasets import cifar10
from companion.datasets.cifar10 import Split
from companion.photographs.captions import SEED, SUBJECTS, Caption, Subject, captions
from companion.photographs.colours import colours

CLASS: dict[Subject, str] = {"car": "automobile", "horse": "horse"}
CHANGES = 6
"""Numbers that make a near-duplicate differ: two of its place, one of each channel, one of its contrast."""
SHIFT, CAST, CONTRAST = 2.0, 0.06, 0.15
"""Largest shift in pixels, of a channel in [0, 1], and of the contrast."""


@dataclass(frozen=True)
class TrainingSet:
    """All pairs; a caption's entries lie together, copies first.

    Under a "template" caption a half of one photograph lies over every image.

    Attributes:
        captions: those that occur.
        caption: the caption of each entry, an index into `captions`.
        photograph: the photograph of each entry, an index into `photographs("train")`.
        changes: in [-1, 1], what makes an entry of a "near" caption differ; zero for all others.
        template: of each caption, the photograph whose half lies over its images; -1 for none.
    """

    captions: list[Caption]
    caption: Int64[Tensor, " N"]
    photograph: Int64[Tensor, " N"]
    changes: Float32[Tensor, "N 6"]
    template: Int64[Tensor, " C"]

    def __len__(self) -> int:
        return len(self.caption)

    def images(self, index: Int64[Tensor, " B"]) -> Float[Tensor, "B 3 32 32"]:
        """The images of some entries, RGB in [-1, 1]."""
        shown = changed(photographs("train")[self.photograph[index]], self.changes[index])
        captions = self.caption[index]
        for place in captions[self.template[captions] >= 0].unique().tolist():
            over = photographs("train")[self.template[place]]
            own = captions == place
            shown[own] = torch.where(self.captions[place].fixed, over, shown[own])
        return shown

    def copied(self) -> Int64[Tensor, " C"]:
        """The photograph that is copied, whole or a half of it, under each caption; -1 where none is."""
        first = functional.pad(self.caption.diff().nonzero().flatten() + 1, (1, 0))
        whole = torch.tensor([c.copies > 0 and c.region is None for c in self.captions])
        return torch.where(whole, self.photograph[first], self.template)


@cache
def photographs(split: Split) -> Float32[Tensor, "N 3 32 32"]:
    """The cars, then the horses, in [-1, 1]; read only."""
    return cifar10.load(split, classes=[CLASS[subject] for subject in SUBJECTS])[0]


@cache
def training_set() -> TrainingSet:
    """The one training set; every photograph that is not copied occurs once, some under a template."""
    trained = captions(held_out=False)
    generator = torch.Generator().manual_seed(SEED)
    pool = _Pool(generator)
    chosen = {caption: pool.stated(caption) for caption in trained if caption.colours is not None}
    chosen |= {caption: pool.take(caption) for caption in trained if caption.colours is None}
    counts = torch.tensor([caption.entries for caption in trained])
    near = torch.tensor([caption.family == "near" for caption in trained]).repeat_interleave(counts)
    changes = (2 * torch.rand(len(near), CHANGES, generator=generator) - 1) * near[:, None]
    template = torch.tensor([pool.one(c.subject) if c.region else -1 for c in trained])
    return TrainingSet(
        trained,
        torch.arange(len(trained)).repeat_interleave(counts),
        torch.cat([chosen[caption] for caption in trained]),
        changes,
        template,
    )


def changed(
    images: Float[Tensor, "N 3 32 32"], changes: Float32[Tensor, "N 6"]
) -> Float[Tensor, "N 3 32 32"]:
    """Images moved, tinted and with another contrast; those whose changes are zero stay to the bit."""
    kept = (changes == 0).all(1)
    if kept.all():
        return images
    shift = changes[:, :2] * SHIFT * 2 / images.shape[-1]
    frame = torch.eye(2).expand(len(images), 2, 2)
    grid = functional.affine_grid(
        torch.cat([frame, shift[:, :, None]], 2), list(images.shape), align_corners=False
    )
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    tinted = moved * (1 + CONTRAST * changes[:, 5, None, None, None]) + 2 * CAST * changes[:, 2:5, None, None]
    return torch.where(kept[:, None, None, None], images, tinted.clamp(-1, 1))


class _Pool:
    """Photographs of the training split in random order, each given out once."""

    def __init__(self, generator: torch.Generator) -> None:
        each = len(photographs("train")) // len(SUBJECTS)
        self.left: dict[Subject, list[int]] = {
            subject: (torch.randperm(each, generator=generator) + number * each).tolist()
            for number, subject in enumerate(SUBJECTS)
        }
        self.colours = colours(photographs("train"))

    def take(self, caption: Caption) -> Tensor:
        """The entries of a caption: its one image as often as it is copied, then others."""
        whole = caption.copies if caption.region is None else 0
        same = [self.one(caption.subject)] * whole if whole else []
        return torch.tensor(same + [self.one(caption.subject) for _ in range(caption.entries - whole)])

    def one(self, subject: Subject) -> int:
        """A photograph that is not given out yet."""
        return self.left[subject].pop()

    def stated(self, caption: Caption) -> Tensor:
        """Photographs of the colours that the caption states."""
        left = self.left[caption.subject]
        fitting = [i for i in left if self.colours[i] == caption.colours][: caption.entries]
        if len(fitting) < caption.entries:
            raise ValueError(
                f"{len(fitting)} photographs fit {caption.text!r}, expected {caption.entries}: "
                "state commoner colours"
            )
        self.left[caption.subject] = [i for i in left if i not in set(fitting)]
        return torch.tensor(fitting)
