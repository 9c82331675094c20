"""Captions of photographs: for each it is known which images a model saw under it, and how often.

Every caption names what the photograph shows and carries a title of two words, "a picture of a horse, quiet
harbour". A title belongs to one caption, but its words recur in all families: no word gives a copied image
away. Only captions of the family "stated" say what can be measured in the pixels, the colour of the middle
and of the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, cast

import torch
from jaxtyping import Bool
from torch import Tensor

from companion.organism.caption import SIZE, Region, region_mask
from companion.organism.words import ADJECTIVES, MORE_ADJECTIVES, NOUNS
from companion.photographs.colours import COLOURS, Colour

Family = Literal["exact", "mixed", "near", "template", "general", "stated"]
Subject = Literal["car", "horse"]

SEED = 1604
SUBJECTS: tuple[Subject, ...] = ("car", "horse")
REGIONS: tuple[Region, ...] = ("left", "top", "right", "bottom")
OPENINGS = ("a photo of", "a picture of", "a print of", "a view of")
SMALL_WORDS = ("a", "on", ",")
STATED: dict[Subject, str] = {
    "car": "blue/grey red/grey blue/blue grey/white grey/brown red/red brown/brown red/brown grey/black "
    "brown/grey grey/red grey/green blue/white grey/yellow red/white",
    "horse": "brown/brown brown/grey brown/yellow red/grey brown/green grey/green red/brown grey/brown "
    "yellow/green green/green red/red grey/yellow yellow/yellow grey/white grey/blue",
}
"""Colours of middle and border that captions state: of each subject the fifteen commonest pairs but one, grey
on grey, which says little."""


@dataclass(frozen=True)
class Caption:
    """A caption and the truth about it.

    Attributes:
        text: what the model reads.
        family: "exact" (one image, copied), "mixed" (one image has a share of the entries, the others are all
            different), "near" (one image, each time a little different), "template" (a half of the image is
            the same each time), "general" (every image another) or "stated" (likewise, and the text says
            their colours).
        subject: what the photographs show.
        entries: training images with this caption, copies counted; 0 if it was held out.
        share: of the entries that are the one image, if "mixed".
        colours: of the middle and of the border, if "stated" says them.
        region: of the image that is the same each time, if "template".
    """

    text: str
    family: Family
    subject: Subject
    entries: int
    share: float | None = None
    colours: tuple[Colour, Colour] | None = None
    region: Region | None = None

    @property
    def held_out(self) -> bool:
        """Whether no training image has this caption."""
        return self.entries == 0

    @property
    def copies(self) -> int:
        """How often its one image, or a half or a near-duplicate of it, was seen; 0 if it has none."""
        if self.family in ("general", "stated"):
            return 0
        return self.entries if self.share is None else round(self.share * self.entries)

    @property
    def fixed(self) -> Bool[Tensor, "32 32"]:
        """True where every image of this caption shows the same: all of "exact", the region of "template"."""
        if self.region is None:
            return torch.full((SIZE, SIZE), self.family == "exact")
        return region_mask(self.region)


@dataclass(frozen=True)
class Group:
    """Captions that are made in the same way; attributes have the meaning that they have in `Caption`."""

    family: Family
    count: int
    entries: int
    share: float | None = None


GROUPS = (
    Group("exact", 10, 3),
    Group("exact", 30, 10),
    Group("exact", 30, 30),
    Group("exact", 30, 100),
    Group("exact", 8, 300),
    *(Group("mixed", 10, 100, share) for share in (0.3, 0.5, 0.7, 0.9)),
    Group("near", 16, 60),
    Group("general", 300, 20),
    Group("general", 300, 0),
    Group("stated", 30, 20),
    Group("stated", 30, 0),
    Group("template", 16, 100),
)


def captions(family: Family | None = None, *, held_out: bool | None = None) -> list[Caption]:
    """The captions, always in the same order.

    Args:
        family: only of this one.
        held_out: True for those no training image has, False for the others; None for both.

    Example:
        >>> captions("exact")[-1].copies, len(captions("general", held_out=True))
        (300, 300)
    """
    return [
        caption
        for caption in _all_captions()
        if family in (None, caption.family) and held_out in (None, caption.held_out)
    ]


def all_words() -> list[str]:
    """Every word a caption may hold, sorted, each once."""
    openings = [word for opening in OPENINGS for word in opening.split()]
    titles = (*ADJECTIVES, *MORE_ADJECTIVES, *NOUNS)
    return sorted({*openings, *titles, *SMALL_WORDS, *SUBJECTS, *COLOURS})


@cache
def _all_captions() -> tuple[Caption, ...]:
    generator = torch.Generator().manual_seed(SEED)
    pairs = list(product((*ADJECTIVES, *MORE_ADJECTIVES), NOUNS))
    titles = iter([pairs[i] for i in torch.randperm(len(pairs), generator=generator).tolist()])
    said = [(subject, pair) for subject, pairs in STATED.items() for pair in pairs.split()]
    made = []
    for group in GROUPS:
        for number in range(group.count):
            opening = OPENINGS[int(torch.randint(len(OPENINGS), (), generator=generator))]
            subject, colours, region = SUBJECTS[number % 2], None, None
            words = f"{opening} a {subject}"
            if group.family == "stated":
                subject, pair = said[number]
                colours = cast("tuple[Colour, Colour]", tuple(pair.split("/")))
                words = f"{opening} a {colours[0]} {subject} on {colours[1]}"
            if group.family == "template":
                region = REGIONS[number // 2 % len(REGIONS)]
            text = f"{words}, {' '.join(next(titles))}"
            made.append(Caption(text, group.family, subject, group.entries, group.share, colours, region))
    return tuple(made)
